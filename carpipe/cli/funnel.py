"""`carpipe funnel`: photos in, dropped and kept, stage by stage."""

import argparse
import json

from carpipe.cli.common import Commands, add, add_dataset_option, reader
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "funnel", _run, "photos in, dropped per reason and kept, stage by stage")
    command.add_argument("--json", action="store_true", help="for machines")
    add_dataset_option(command)


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.views.funnel import read_funnel, render_funnel

    entries = read_funnel(reader(config), options.dataset)
    print(json.dumps(entries, indent=1) if options.json else render_funnel(entries))
