"""Commands for the people who look after the classes of listings."""

import argparse
from pathlib import Path

from carpipe.cli.common import Commands, add, add_dataset_option, check_out, session
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    parent = commands.add_parser("listings", help="listings in the wrong class: which they probably are")
    actions = parent.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_suspects(actions)


def _add_suspects(actions: Commands) -> None:
    command = add(actions, "suspects", _suspects, "listings that are probably in the wrong class, the likeliest first")
    add_dataset_option(command)
    command.add_argument("--count", type=_count, default=50, metavar="N", help="listings that are shown; default: 50")
    command.add_argument("--out", type=Path, metavar="CSV", help="a new file with them, to fill in the right classes")
    command.add_argument("--json", action="store_true", help="print JSON")


def _suspects(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import shown_text
    from carpipe.steps.labels.store import refuse_existing, write_new
    from carpipe.steps.models.suspects import suspects
    from carpipe.steps.views import suspects as view

    check_out(options.out)
    if options.out:
        refuse_existing(options.out)
    opened = session(config)
    found = view.read_suspects(opened, suspects(opened, options.dataset), count=options.count)
    if options.out:
        write_new(options.out, view.suspects_csv(found).encode())
    print(view.suspects_json(found) if options.json else shown_text(view.render_suspects(found)))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of listings, at least 1, got {text!r}")
    return int(text)
