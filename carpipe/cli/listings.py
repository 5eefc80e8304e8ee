"""`carpipe listings ...`: which are in the wrong class, and which class they are really of; and the views of one."""

import argparse
import json
from pathlib import Path

from carpipe.cli.common import Commands, add, add_dataset_option, check_out, now, reader, say_to_fill_in, session
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    parent = commands.add_parser("listings", help="listings in the wrong class: find, correct; the views of one")
    actions = parent.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_suspects(actions)
    _add_correct(actions)
    _add_files(actions)
    command = add(
        actions,
        "show",
        _show,
        "the views of a listing's photos, what is missing, the cover, and its car's other listings",
    )
    command.add_argument("listing", metavar="UUID", help="the first of the two in the names of its photos")
    add_dataset_option(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    add(actions, "status", _status, "how many listings were corrected, by whom, and what people disagree about")


def _add_suspects(actions: Commands) -> None:
    command = add(actions, "suspects", _suspects, "listings that are probably in the wrong class, the likeliest first")
    add_dataset_option(command)
    command.add_argument("--count", type=_count, default=50, metavar="N", help="listings that are shown; default: 50")
    command.add_argument(
        "--out",
        type=Path,
        metavar="CSV",
        help="a new file with them, to fill in `to`; `from` is the class in the dataset",
    )
    command.add_argument("--json", action="store_true", help="print JSON")


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
    command.add_argument(
        "file", type=Path, help="`to`: a model or a class; `from`, for people alone: what the listing was taken for"
    )
    command.add_argument("--by", default="", metavar="NAME", help="who gave them, where the file does not say")
    command = add(actions, "export", _export, "write what counts, of several for a listing the latest")
    command.add_argument("file", type=Path, help="a new file: .csv")


def _suspects(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import shown_text
    from carpipe.steps.listings.store import current_corrections
    from carpipe.steps.models.suspects import suspects
    from carpipe.steps.people.files import refuse_existing, write_new
    from carpipe.steps.views import suspects as view

    check_out(options.out)
    if options.out:
        refuse_existing(options.out, "corrections")
    opened = session(config)
    settled = set(current_corrections(opened))
    found = view.read_suspects(opened, suspects(opened, options.dataset, settled=settled), count=options.count)
    if options.out:
        write_new(options.out, view.suspects_csv(found).encode())
        say_to_fill_in(options.out)
    print(view.suspects_json(found) if options.json else shown_text(view.render_suspects(found)))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of listings, at least 1, got {text!r}")
    return int(text)


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
    from carpipe.steps.people.store import describe_import

    opened, data = session(config), read_file(options.file, "corrections")
    done = import_corrections(opened, data, known=known_listings(opened), at=now(), by=options.by)
    print(describe_import(done, "correction", of="listing"))


def _export(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import counted
    from carpipe.steps.listings.store import export_corrections

    print(f"{counted(export_corrections(reader(config), options.file), 'correction')} written to {options.file}")


def _status(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.listings import describe_corrections

    print(describe_corrections(reader(config)))


def _show(options: argparse.Namespace, config: Config) -> None:
    from dataclasses import asdict

    from carpipe.steps.views.listing import describe_listing, listing_views

    found = listing_views(reader(config), options.listing, options.dataset)
    print(json.dumps(asdict(found)) if options.json else describe_listing(found))
