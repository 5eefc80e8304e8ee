"""`carpipe config`: the settings that count here."""

import argparse
import json

from carpipe.cli.common import Commands, add
from carpipe.config import Config, describe_config


def add_command(commands: Commands) -> None:
    """Declare it."""
    add(commands, "config", _run, "print every setting with its value and meaning")


def _run(options: argparse.Namespace, config: Config) -> None:
    for key, value, meaning in describe_config(config):
        print(f"{key} = {json.dumps(value)}  # {meaning}")
