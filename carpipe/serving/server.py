"""The API on waitress, until it is told to stop."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import waitress  # type: ignore[import-untyped]  # it comes without types
from flask import Flask

from carpipe.config import Config, ServingConfig
from carpipe.errors import InputError
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
        InputError: the address cannot be listened on.
    """
    settings = config.serving
    follower = Follower(store, settings, config.signing)
    workers = Workers(settings.workers, queue=settings.queue)
    candidates = None
    if settings.feedback:
        candidates = Candidates(store, channel=settings.channel, per_hour=settings.candidates_per_hour)
    app = create_app(Service(follower, workers, candidates, config=config), settings)
    server = _bound(
        app,
        settings,
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


def _bound(app: Flask, settings: ServingConfig, **options: Any) -> Any:
    try:
        return waitress.create_server(app, host=settings.host, port=settings.port, **options)
    except OSError as error:
        raise InputError(
            f"serving.host and serving.port, {settings.host}:{settings.port}, cannot be listened on: {error.strerror}."
        ) from error
