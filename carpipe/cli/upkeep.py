"""Commands that remove things from the bucket; to be run when no DAG runs."""

import argparse
import datetime
import re

from carpipe.cli.common import Commands, add, now, session
from carpipe.config import Config


def add_commands(commands: Commands) -> None:
    """Declare them."""
    command = add(
        commands,
        "forget",
        _forget,
        "remove a listing from raw/ and from all that later datasets are made of; when no DAG runs",
    )
    command.add_argument("--listing", required=True, metavar="UUID")
    command = add(commands, "gc", _gc, "delete old stage results that no dataset or model refers to; when no DAG runs")
    command.add_argument("--dry-run", action="store_true", help="list every object, delete nothing")
    command.add_argument(
        "--older-than", type=_age, default="7d", metavar="AGE", help="spare younger objects; as in 12h or 7d (default)"
    )


def _forget(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.upkeep.forget import forget

    done = forget(session(config), options.listing, at=now())
    print(
        f"{done.raw} objects removed from raw/, {done.photos} photos from the partitions, {done.label_sets} label sets "
        f"to be made anew."
    )
    if done.datasets:
        print("Datasets made before still hold it; delete their folders and run `carpipe gc` to be rid of them:")
        print("\n".join(done.datasets))
    if done.left:
        print("Results that this version cannot read may still hold it; run it again with the carpipe that wrote them:")
        print("\n".join(done.left))


def _gc(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.upkeep.garbage import collect, find_garbage, render_garbage

    opened = session(config)
    garbage = find_garbage(opened, older_than=options.older_than, now=datetime.datetime.now(datetime.UTC))
    print(render_garbage(garbage, every=options.dry_run))
    if not options.dry_run:
        print(f"{collect(opened, garbage):,} objects deleted")


def _age(text: str) -> datetime.timedelta:
    match = re.fullmatch(r"(\d{1,5})([hd])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected hours or days, such as 12h or 7d, got {text!r}")
    return datetime.timedelta(**{{"h": "hours", "d": "days"}[match[2]]: int(match[1])})
