"""Commands for the people who label photos for the car filter: whether they show a car, and from where."""

import argparse
from pathlib import Path

from carpipe.cli.common import Commands, add, now, reader, session
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    parent = commands.add_parser(
        "labels", help="labels of the car filter, of cars and views: draw photos, import, export, compare"
    )
    actions = parent.add_subparsers(title="actions", required=True, metavar="ACTION")
    command = add(
        actions,
        "import",
        _import,
        "add labels: a CSV with the columns key,label[,by,at], or Label Studio's JSON export",
    )
    command.add_argument("file", type=Path)
    command.add_argument("--by", default="", metavar="NAME", help="who gave them, where the file does not say")
    _add_views(command)
    command = add(actions, "export", _export, "write all labels that count, of several for a photo the latest")
    command.add_argument("file", type=Path, help="a new file: .csv, or .json to import into Label Studio")
    _add_views(command)
    _add_sample(actions)
    told = "photos that were given different labels: by whom, when, and which counts"
    _add_views(add(actions, "conflicts", _conflicts, told))
    _add_views(add(actions, "status", _status, "how many photos are labelled, by whom and since when"))


def _add_views(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--views",
        action="store_true",
        help="labels of views: from where a photo shows the car, a CSV with the columns key,view[,by,at]; without it, "
        "whether it shows one from outside",
    )


def _add_sample(actions: Commands) -> None:
    command = add(actions, "sample", _sample, "draw photos that nobody has labelled yet, for people to label")
    command.add_argument("out", type=Path, help="a new file: a CSV with the label to fill in, or Label Studio's tasks")
    command.add_argument("--count", type=_count, default=200, metavar="N", help="photos; default: 200")
    command.add_argument(
        "--how",
        choices=("random", "unsure", "cars"),
        default="random",
        help="random: all photos under raw/ are equally likely (default); unsure: those of which the filter is least "
        "sure, by the newest results of the stage `filter`; cars: at random, but cars from outside first",
    )
    command.add_argument("--seed", type=int, default=0, help="another seed, other photos")
    command.add_argument(
        "--format", choices=("csv", "label-studio"), help="default: label-studio if the file ends in .json, else csv"
    )
    command.add_argument("--photos", type=Path, metavar="FOLDER", help="download the photos too, as they are in raw/")
    _add_views(command)


def _import(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.labels import store as cars
    from carpipe.steps.people.files import read_file
    from carpipe.steps.people.store import describe_import
    from carpipe.steps.viewpoints import store as views

    opened, data = session(config), read_file(options.file, "labels")
    if options.views:
        done, count_missing = views.import_views(opened, data, at=now(), by=options.by), views.count_missing
    else:
        done, count_missing = cars.import_labels(opened, data, at=now(), by=options.by), cars.count_missing
    print(describe_import(done, "label", of="photo"))
    if missing := count_missing(opened, data):
        matches = "matches no photo under raw/; it counts" if missing == 1 else "match no photo under raw/; they count"
        print(f"{missing:,} of the file's labels {matches} once there is one")


def _export(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import counted
    from carpipe.steps.labels.store import export_labels
    from carpipe.steps.viewpoints.store import export_views

    export = export_views if options.views else export_labels
    print(f"{counted(export(reader(config), options.file), 'label')} written to {options.file}")


def _sample(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import counted
    from carpipe.steps.labels.questions import QUESTIONS
    from carpipe.steps.labels.sampling import check_format, format_of, sample, write_sample
    from carpipe.steps.people.files import refuse_existing

    refuse_existing(options.out, "labels")
    opened = session(config)
    question = QUESTIONS["views" if options.views else "cars"]
    file_format = options.format or format_of(options.out)
    check_format(file_format, question)
    keys = sample(opened, options.count, how=options.how, seed=options.seed, question=question)
    written = write_sample(opened, options.out, keys, file_format=file_format, photos=options.photos, question=question)
    print(f"{counted(written, 'photo')} to label written to {options.out}")


def _conflicts(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.labels import store as cars
    from carpipe.steps.viewpoints import store as views

    print((views if options.views else cars).describe_conflicts(reader(config)))


def _status(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.labels.store import describe_labels
    from carpipe.steps.viewpoints.store import describe_views

    print((describe_views if options.views else describe_labels)(reader(config)))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of photos, at least 1, got {text!r}")
    return int(text)
