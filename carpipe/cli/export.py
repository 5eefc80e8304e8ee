"""`carpipe export`: a dataset as folders of pictures."""

import argparse
from pathlib import Path

from carpipe.cli.common import Commands, add, add_dataset_option, reader
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "export", _run, "lay a dataset out as data/{train,val,test}/<class>/*.jpg")
    command.add_argument("folder", type=Path)
    add_dataset_option(command)


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.export import export

    print(f"{export(reader(config), options.folder, options.dataset)} photos written to {options.folder}")
