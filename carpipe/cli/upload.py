"""`carpipe upload`: a folder of photos into the bucket."""

import argparse
from pathlib import Path

from carpipe.cli.common import Commands, add, session
from carpipe.config import Config
from carpipe.errors import InputError


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "upload", _run, "copy a folder of listing photos to raw/; what is there already is skipped")
    command.add_argument("folder", type=Path, help="holds <make>_<model>_<year>/ folders")


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import counted
    from carpipe.steps.data.upload import upload

    done = upload(session(config), options.folder)
    print(f"{counted(done.uploaded, 'photo')} uploaded, {done.skipped} were there already")
    if done.forgotten:
        print(f"{done.forgotten} were not uploaded: `carpipe forget` removed their listings")
    if done.refused:
        raise InputError(
            f"{len(done.refused)} could not be uploaded and were passed over, all others are in the bucket. "
            f"The first is {done.refused[0]}."
        )
