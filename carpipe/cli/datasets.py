"""`carpipe datasets`: every dataset there is."""

import argparse

from carpipe.cli.common import Commands, add, reader
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    add(commands, "datasets", _run, "every dataset, the newest first")


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.views.datasets import describe_datasets

    print(describe_datasets(reader(config)))
