"""`carpipe listings ...`: which class listings are really of, as people say."""

import argparse
from pathlib import Path

from carpipe.cli.common import Commands, add, now, session
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    parent = commands.add_parser("listings", help="listings in the wrong class: correct them, import, export")
    actions = parent.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_correct(actions)
    _add_files(actions)
    add(actions, "status", _status, "how many listings were corrected, by whom, and what people disagree about")


def _add_correct(actions: Commands) -> None:
    command = add(actions, "correct", _correct, "say which class a listing is of; counts from the next dataset on")
    command.add_argument("listing", metavar="UUID", help="the first of the two in the names of its photos")
    command.add_argument(
        "to",
        help="a model or class; not-a-car: of no class; cannot-tell: nobody can; seller-is-right: it is as it was",
    )
    command.add_argument("--by", default="", metavar="NAME", help="who says so")


def _add_files(actions: Commands) -> None:
    command = add(actions, "import", _import, "add corrections: a CSV with the columns listing,to[,from,by,at]")
    command.add_argument("file", type=Path)
    command.add_argument("--by", default="", metavar="NAME", help="who gave them, where the file does not say")
    command = add(actions, "export", _export, "write what counts, of several for a listing the latest")
    command.add_argument("file", type=Path, help="a new file: .csv")


def _correct(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import shown
    from carpipe.steps.data.listings import known_listings
    from carpipe.steps.listings.store import correct_listing, told

    opened = session(config)
    known = known_listings(opened)
    said = correct_listing(opened, options.listing, options.to, known=known, at=now(), by=options.by)
    print(shown(f"{said.listing}: {told(said)}"))


def _import(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.listings import known_listings
    from carpipe.steps.listings.store import import_corrections
    from carpipe.steps.people.files import read_file

    opened, data = session(config), read_file(options.file, "corrections")
    done = import_corrections(opened, data, known=known_listings(opened), at=now(), by=options.by)
    undecided = f"; {done.undecided:,} listings are not decided" if done.undecided else ""
    if done.added:
        print(f"{done.added:,} corrections added as {done.key}{undecided}")
    else:
        print(f"nothing added: {f'the file is there already as {done.key}' if done.key else 'all is known'}{undecided}")


def _export(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.listings.store import export_corrections

    print(f"{export_corrections(session(config), options.file):,} corrections written to {options.file}")


def _status(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.listings import describe_corrections

    print(describe_corrections(session(config)))
