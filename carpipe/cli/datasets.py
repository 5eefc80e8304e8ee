"""Commands on datasets."""

import argparse
import json
from pathlib import Path

from carpipe.cli.common import Commands, add, add_dataset_option, session
from carpipe.config import Config


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


def _funnel(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.views.summary import read_funnel, render_funnel

    entries = read_funnel(session(config), options.dataset)
    print(json.dumps(entries, indent=1) if options.json else render_funnel(entries))


def _report(options: argparse.Namespace, config: Config) -> None:
    import webbrowser

    from carpipe.steps.data.report import download_refusal, download_report

    if options.validation:
        page = download_refusal(session(config), options.folder, options.validation)
    else:
        page = download_report(session(config), options.folder, options.dataset)
    print(page)
    if not options.no_browser:
        webbrowser.open(page.resolve().as_uri())


def _datasets(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.datasets import list_datasets

    print(list_datasets(session(config)))


def _photo(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.views.photo import describe_photos

    print(describe_photos(session(config), options.key, options.dataset))


def _export(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.export import export

    print(f"{export(session(config), options.folder, options.dataset)} photos written to {options.folder}")
