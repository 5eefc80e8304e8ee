"""`carpipe gc`: remove what nothing refers to."""

import argparse
import datetime
import re

from carpipe.backports import UTC
from carpipe.cli.common import Commands, add, session
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "gc", _run, "delete old stage results that no dataset or model refers to; when no DAG runs")
    command.add_argument("--dry-run", action="store_true", help="list every object, delete nothing")
    command.add_argument(
        "--older-than", type=_age, default="7d", metavar="AGE", help="spare younger objects; as in 12h or 7d (default)"
    )


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import counted
    from carpipe.steps.upkeep.garbage import collect, find_garbage, render_garbage

    opened = session(config)
    garbage = find_garbage(opened, older_than=options.older_than, now=datetime.datetime.now(UTC))
    print(render_garbage(garbage, every=options.dry_run))
    if not options.dry_run:
        print(f"{counted(collect(opened, garbage), 'object')} deleted")


def _age(text: str) -> datetime.timedelta:
    match = re.fullmatch(r"(\d{1,5})([hd])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected hours or days, such as 12h or 7d, got {text!r}")
    return datetime.timedelta(**{{"h": "hours", "d": "days"}[match[2]]: int(match[1])})
