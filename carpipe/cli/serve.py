"""Commands of those who use published weights: the classification API, and what it leaves for labellers."""

import argparse
import signal
from pathlib import Path
from types import FrameType

from carpipe.cli.common import Commands, add, session
from carpipe.config import Config


def add_commands(commands: Commands) -> None:
    """Declare them."""
    command = add(commands, "serve", _serve, "answer photos over HTTP with a channel's live weights")
    command.add_argument("--host", help="address to listen on; default: serving.host")
    command.add_argument("--port", type=int, help="default: serving.port")
    command = add(commands, "candidates", _candidates, "download photos that the API was unsure of or told about")
    command.add_argument("folder", type=Path, help="where the photos and candidates.csv go")
    command.add_argument("--channel", help="default: serving.channel")


def _serve(options: argparse.Namespace, config: Config) -> None:
    from carpipe.serving.server import serve

    changes = {name: getattr(options, name) for name in ("host", "port") if getattr(options, name) is not None}
    settings = type(config.serving).model_validate({**config.serving.model_dump(), **changes})
    signal.signal(signal.SIGTERM, _stop)
    serve(config.model_copy(update={"serving": settings}))


def _candidates(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.labels.candidates import download_candidates

    count = download_candidates(session(config), options.folder, channel=options.channel)
    print(f"{count} candidates in {options.folder}")


def _stop(number: int, frame: FrameType | None) -> None:
    """A service that is told to end does so as if interrupted: what is in work is finished."""
    raise KeyboardInterrupt
