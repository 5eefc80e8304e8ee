"""`carpipe candidates`: photos that the API would like to have labelled."""

import argparse
from pathlib import Path

from carpipe.cli.common import Commands, add, reader
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "candidates", _run, "download photos that the API was unsure of or told about")
    command.add_argument("folder", type=Path, help="where the photos and candidates.csv go")
    command.add_argument("--channel", help="default: serving.channel")


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import counted
    from carpipe.steps.labels.candidates import download_candidates

    count = download_candidates(reader(config), options.folder, channel=options.channel)
    print(f"{counted(count, 'candidate')} in {options.folder}")
