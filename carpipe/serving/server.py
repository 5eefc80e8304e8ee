"""The API on waitress, until it is told to stop."""

import contextlib
import logging
import threading
from collections.abc import Iterator

from carpipe.config import Config, ServingConfig
from carpipe.serving.app import body_limits, create_app, create_health_app
from carpipe.serving.candidates import kept_candidates
from carpipe.serving.decoders import Decoders
from carpipe.serving.listening import Server, listening
from carpipe.serving.live import Follower
from carpipe.serving.service import Service
from carpipe.serving.viewpoints import Teller
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
def running(config: Config, store: Store) -> Iterator[Server]:
    """A waitress server that is bound and only needs `run`; the live model is followed for as long as the block runs.

    Raises:
        InputError: the address cannot be listened on.
    """
    settings = config.serving
    follower = Follower(store, settings, config.signing)
    with contextlib.ExitStack() as stack:
        workers = Workers(settings.workers)
        stack.callback(workers.close)
        decoders = Decoders(config)
        stack.callback(decoders.close)
        candidates = stack.enter_context(kept_candidates(store, settings)) if settings.feedback else None
        teller = Teller(store, config)
        service = Service(follower, workers, decoders=decoders, candidates=candidates, config=config, teller=teller)
        stack.callback(follower.stop)
        stack.callback(teller.stop)
        if settings.health_port:
            stack.enter_context(_health(service, settings))
        server = stack.enter_context(
            listening(
                create_app(service, settings),
                settings,
                port=settings.port,
                setting="serving.port",
                threads=settings.queue + SPARE_THREADS,
                limits=body_limits(settings),
            )
        )
        decoders.start()
        follower.start()
        teller.start()
        yield server


@contextlib.contextmanager
def _health(service: Service, settings: ServingConfig) -> Iterator[None]:
    """`/healthz` on a port of its own, which whoever sends photos has no business with. What asks it is not logged."""
    app, port = create_health_app(service, settings), settings.health_port
    quiet = settings.model_copy(update={"request_log": False})
    with listening(app, quiet, port=port, setting="serving.health_port", threads=2) as server:
        threading.Thread(target=_run, args=(server,), name="carpipe-health", daemon=True).start()
        yield


def _run(server: Server) -> None:
    # It is closed from another thread, and then finds its sockets gone.
    with contextlib.suppress(OSError, ValueError):
        server.run()
