"""Commands on datasets and their classes."""

import argparse
import json
from pathlib import Path

from carpipe.cli.common import Commands, add, add_dataset_option, session
from carpipe.config import Config
from carpipe.errors import InputError


def add_commands(commands: Commands) -> None:
    """Declare them."""
    command = add(commands, "funnel", _funnel, "photos in, dropped per reason and kept, stage by stage")
    command.add_argument("--json", action="store_true", help="for machines")
    add_dataset_option(command)
    command = add(commands, "report", _report, "download a dataset's report and Data Docs, and open the report")
    command.add_argument("folder", type=Path, help="where report.html and data_docs/ go")
    command.add_argument("--no-browser", action="store_true", help="download only")
    which = command.add_mutually_exclusive_group()
    add_dataset_option(which)
    which.add_argument("--validation", metavar="ID", help="of a validation that failed, as its message names it")
    add(commands, "datasets", _datasets, "every dataset, the newest first")
    command = add(commands, "photo", _photo, "why a photo is in a dataset, or why not, and what each stage found")
    command.add_argument("key", help="its key, a listing's uuid, or another part of keys")
    add_dataset_option(command)
    command = add(commands, "export", _export, "lay a dataset out as data/{train,val,test}/<class>/*.jpg")
    command.add_argument("folder", type=Path)
    add_dataset_option(command)
    _add_classes(commands)


def _add_classes(commands: Commands) -> None:
    parent = commands.add_parser("classes", help="look at a taxonomy before a run uses it")
    actions = parent.add_subparsers(title="actions", required=True, metavar="ACTION")
    command = add(actions, "check", _classes_check, "faults of a taxonomy, and rules and models without each other")
    command.add_argument("taxonomy", nargs="?", help="`published`, `identity` or a YAML file; default: the settings'")
    command.add_argument("--offline", action="store_true", help="faults only; does not look at the newest dataset")
    command.add_argument("--all", action="store_true", help="every note, not the first ten of each kind")
    add_dataset_option(command)
    command = add(actions, "show", _classes_show, "print a taxonomy's YAML, to start your own from")
    command.add_argument("taxonomy", nargs="?", help="`published`, `identity` or a YAML file; default: the settings'")
    command = add(actions, "diff", _classes_diff, "what a taxonomy would change against a dataset's")
    command.add_argument("taxonomy", nargs="?", help="`published`, `identity` or a YAML file; default: the settings'")
    command.add_argument("--all", action="store_true", help="also rules for models that the dataset has no photo of")
    add_dataset_option(command)


def _funnel(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.summary import read_funnel, render_funnel

    entries = read_funnel(session(config), options.dataset)
    print(json.dumps(entries, indent=1) if options.json else render_funnel(entries))


def _report(options: argparse.Namespace, config: Config) -> None:
    import webbrowser

    from carpipe.steps.report import download_refusal, download_report

    if options.validation:
        page = download_refusal(session(config), options.folder, options.validation)
    else:
        page = download_report(session(config), options.folder, options.dataset)
    print(page)
    if not options.no_browser:
        webbrowser.open(page.resolve().as_uri())


def _datasets(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.lookup import list_datasets

    print(list_datasets(session(config)))


def _photo(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.lookup import describe_photos

    print(describe_photos(session(config), options.key, options.dataset))


def _export(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.export import export

    print(f"{export(session(config), options.folder, options.dataset)} photos written to {options.folder}")


def _classes_check(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.taxonomy import check_taxonomy

    opened = None if options.offline else session(config)
    text, faults = check_taxonomy(
        opened, options.taxonomy or config.classes.taxonomy, options.dataset, every=options.all
    )
    print(text)
    if faults:
        raise InputError(f"The taxonomy does not fit: {faults} errors.")


def _classes_show(options: argparse.Namespace, config: Config) -> None:
    from carpipe.stages.taxonomy import load

    print(load(options.taxonomy or config.classes.taxonomy).to_yaml(), end="")


def _classes_diff(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.taxonomy import diff_taxonomy

    print(
        diff_taxonomy(session(config), options.taxonomy or config.classes.taxonomy, options.dataset, every=options.all)
    )
