"""The API on waitress, until it is told to stop."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import waitress  # type: ignore[import-untyped]  # it comes without types

from carpipe.config import Config
from carpipe.serving.app import MB, create_app
from carpipe.serving.candidates import Candidates
from carpipe.serving.live import Follower
from carpipe.serving.service import Service
from carpipe.serving.workers import Workers
from carpipe.storage import Store

log = logging.getLogger(__name__)

# Beside those that wait for an answer: threads that say busy, or how the server is.
SPARE_THREADS = 4


def serve(config: Config) -> None:
    """Answer until interrupted. The model is loaded while the server is already up, and answers 503."""
    store = Store(config.store)
    with running(config, store) as server:
        log.info("listening on http://%s:%s", server.effective_host, server.effective_port)
        server.run()  # returns when interrupted


@contextlib.contextmanager
def running(config: Config, store: Store) -> Iterator[Any]:
    """A waitress server that is bound and only needs `run`; the live model is followed for as long as the block runs.

    Raises:
        OSError: the port is taken.
    """
    settings = config.serving
    follower = Follower(store, settings)
    workers = Workers(settings.workers, queue=settings.queue)
    candidates = None
    if settings.feedback:
        candidates = Candidates(store, channel=settings.channel, per_hour=settings.candidates_per_hour)
    app = create_app(Service(follower, workers, candidates, config=config), settings)
    server = waitress.create_server(
        app,
        host=settings.host,
        port=settings.port,
        threads=settings.queue + SPARE_THREADS,
        # Flask refuses what is a little too large, in JSON; this is for what is absurd, before it is read.
        max_request_body_size=2 * settings.max_request_mb * MB,
        channel_timeout=60,
        ident="carpipe",
    )
    follower.start()
    try:
        yield server
    finally:
        server.close()
        follower.stop()
        workers.close()
        if candidates:
            candidates.close()
