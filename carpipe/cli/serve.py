"""`carpipe serve`: the classification API."""

import argparse
import signal
from types import FrameType

from carpipe.cli.common import Commands, add
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "serve", _run, "answer photos over HTTP with a channel's live weights")
    command.add_argument("--host", help="address to listen on; default: serving.host")
    command.add_argument("--port", type=int, help="default: serving.port")


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.serving.server import serve

    changes = {name: getattr(options, name) for name in ("host", "port") if getattr(options, name) is not None}
    settings = type(config.serving).model_validate({**config.serving.model_dump(), **changes})
    signal.signal(signal.SIGTERM, _stop)
    serve(config.model_copy(update={"serving": settings}))


def _stop(number: int, frame: FrameType | None) -> None:
    """A service that is told to end does so as if interrupted: what is in work is finished."""
    raise KeyboardInterrupt
