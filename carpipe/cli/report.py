"""`carpipe report`: a dataset's report and Data Docs, on disk and in the browser."""

import argparse
from pathlib import Path

from carpipe.cli.common import Commands, add, add_dataset_option, reader
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "report", _run, "download a dataset's report and Data Docs, and open the report")
    command.add_argument("folder", type=Path, help="where report.html and data_docs/ go")
    command.add_argument("--no-browser", action="store_true", help="download only")
    which = command.add_mutually_exclusive_group()
    add_dataset_option(which)
    which.add_argument(
        "--validation", metavar="ID", help="of a validation that failed, as its message names it, or its first digits"
    )


def _run(options: argparse.Namespace, config: Config) -> None:
    import webbrowser

    from carpipe.steps.data.report import download_refusal, download_report

    if options.validation:
        page = download_refusal(reader(config), options.folder, options.validation)
    else:
        page = download_report(reader(config), options.folder, options.dataset)
    print(page)
    if not options.no_browser:
        webbrowser.open(page.resolve().as_uri())
