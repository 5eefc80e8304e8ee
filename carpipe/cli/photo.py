"""`carpipe photo`: what became of a photo."""

import argparse

from carpipe.cli.common import Commands, add, add_dataset_option, reader
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "photo", _run, "why a photo is in a dataset, or why not, and what each stage found")
    command.add_argument("key", help="its key, a listing's uuid, or another part of keys")
    add_dataset_option(command)


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.views.photo import describe_photos

    print(describe_photos(reader(config), options.key, options.dataset))
