"""What all commands share: how they are declared, the session they open, the time they run at."""

import argparse
import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from carpipe.backports import UTC
from carpipe.cli.bars import bars
from carpipe.config import Config
from carpipe.errors import InputError
from carpipe.names import shown
from carpipe.steps.session import Session, open_session

Commands = Any  # argparse keeps the type of add_subparsers to itself
Run = Callable[[argparse.Namespace, Config], None]
# How a dataset, a model or a validation may be named.
ID = "id, its first digits (4 or more), or manifest key"


def add(commands: Commands, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    """Declare a command."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def add_dataset_option(command: argparse._ActionsContainer) -> None:
    """Let the command work on another dataset than the newest."""
    command.add_argument("--dataset", help=f"{ID}; default: the newest dataset")


def add_accept_option(command: argparse._ActionsContainer) -> None:
    """Let the command go on past photos that the storage may have spoilt."""
    command.add_argument(
        "--accept-unreadable",
        action="store_true",
        help="take photos that the storage may have spoilt for broken ones, and go on",
    )


def accepting(options: argparse.Namespace, config: Config) -> Config:
    """The settings, with what `add_accept_option` was given."""
    if not options.accept_unreadable:
        return config
    return config.model_copy(update={"clean": config.clean.model_copy(update={"accept_unreadable": True})})


def check_out(path: Path | None) -> None:
    """Before any work: whether a file can be written there.

    Raises:
        InputError: its folder is not there, or it is a folder itself.
    """
    if path and path.is_dir():
        raise InputError(f"--out {path} is a folder; name a file in it.")
    if path and not path.absolute().parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.parent}; make it, or name another file.")


def say_written(path: Path, more: str = "") -> None:
    """Confirm on standard error that a file is there now; `more` says what to do with it."""
    print(shown(f"{path} is written{f'; {more}' if more else ''}."), file=sys.stderr)


def say_to_fill_in(path: Path) -> None:
    """As `say_written`, of a file of listings, and what somebody does with it."""
    say_written(path, f"fill in the column `to`, then import it: `carpipe listings import {path}`")


def session(config: Config) -> Session:
    """The bucket of the settings, checked."""
    return open_session(config, progress=bars())


def reader(config: Config) -> Session:
    """The same for commands that write nothing: keys that may only read are enough."""
    return open_session(config, reads_only=True, progress=bars())


def now() -> str:
    """The time of day for what gets recorded: carpipe's steps have no clock of their own."""
    return datetime.datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
