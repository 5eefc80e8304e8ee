"""`carpipe forget`: remove a listing."""

import argparse

from carpipe.cli.common import Commands, add, now, session
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(
        commands,
        "forget",
        _run,
        "remove a listing from raw/ and from all that later datasets are made of; when no DAG runs",
    )
    command.add_argument("--listing", required=True, metavar="UUID")


def _run(options: argparse.Namespace, config: Config) -> None:
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
        print("Results that could not be rewritten may still hold it; run this again with the carpipe that made them:")
        print("\n".join(done.left))
