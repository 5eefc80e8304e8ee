"""`carpipe doctor`: whether the bucket holds what its manifests say."""

import argparse
from collections.abc import Callable
from functools import partial

from carpipe.cli.common import Commands, add, reader, session
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "doctor", _run, "check a bucket: what is lost, changed or broken, and what to do about it")
    command.add_argument("--sha256", action="store_true", help="read every file too, and compare its content")
    command.add_argument("--mend", action="store_true", help="put back what can be; when no DAG runs")


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.errors import InputError
    from carpipe.names import counted, shown_text
    from carpipe.steps.labels.store import folder_of, read_labels
    from carpipe.steps.listings.store import read_corrections
    from carpipe.steps.moves.store import current_moves
    from carpipe.steps.upkeep.doctor import examine, render
    from carpipe.steps.viewpoints.store import read_views

    opened = session(config) if options.mend else reader(config)
    people: dict[str, Callable[[], object]] = {
        folder_of(opened): partial(read_labels, opened),
        "labels/views": partial(read_views, opened),
        "labels/classes": partial(read_corrections, opened),
        "labels/taxonomy": partial(current_moves, opened),
    }
    found = examine(opened, sha256=options.sha256, mend=options.mend, people=people)
    print(shown_text(render(found)))
    if left := sum(not one.mended for one in found.findings):
        raise InputError(f"The bucket has {counted(left, 'fault')} that nobody has mended yet; see above.")
