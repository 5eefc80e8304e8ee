"""`carpipe sample`: draw the sample world."""

import argparse
from pathlib import Path

from carpipe.cli.common import Commands, add
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "sample", _run, "draw the sample world: photos with known truth, and labels")
    command.add_argument("folder", type=Path, help="where raw/, labels.csv and truth.csv go")
    command.add_argument("--seed", type=int, default=0, help="another seed, another world")


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.sample.world import draw_world

    draw_world(options.folder, seed=options.seed)
    print(options.folder)
