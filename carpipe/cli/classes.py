"""`carpipe classes ...`: taxonomies, looked at before a run uses one."""

import argparse

from carpipe.cli.common import Commands, add, add_dataset_option, session
from carpipe.config import Config
from carpipe.errors import InputError


def add_command(commands: Commands) -> None:
    """Declare it."""
    parent = commands.add_parser("classes", help="look at a taxonomy before a run uses it")
    actions = parent.add_subparsers(title="actions", required=True, metavar="ACTION")
    command = add(actions, "check", _check, "faults of a taxonomy, and rules and models without each other")
    command.add_argument("taxonomy", nargs="?", help="`published`, `identity` or a YAML file; default: the settings'")
    command.add_argument("--offline", action="store_true", help="faults only; does not look at the newest dataset")
    command.add_argument("--all", action="store_true", help="every note, not the first ten of each kind")
    add_dataset_option(command)
    command = add(actions, "show", _show, "print a taxonomy's YAML, to start your own from")
    command.add_argument("taxonomy", nargs="?", help="`published`, `identity` or a YAML file; default: the settings'")
    command = add(actions, "diff", _diff, "what a taxonomy would change against a dataset's")
    command.add_argument("taxonomy", nargs="?", help="`published`, `identity` or a YAML file; default: the settings'")
    command.add_argument("--all", action="store_true", help="also rules for models that the dataset has no photo of")
    add_dataset_option(command)


def _check(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.taxonomy import check_taxonomy

    opened = None if options.offline else session(config)
    text, faults = check_taxonomy(
        opened, options.taxonomy or config.classes.taxonomy, options.dataset, every=options.all
    )
    print(text)
    if faults:
        raise InputError(f"The taxonomy does not fit: {faults} error{'s' * (faults > 1)}.")


def _show(options: argparse.Namespace, config: Config) -> None:
    from carpipe.taxonomy.read import load

    print(load(options.taxonomy or config.classes.taxonomy).to_yaml(), end="")


def _diff(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.taxonomy import diff_taxonomy

    print(
        diff_taxonomy(session(config), options.taxonomy or config.classes.taxonomy, options.dataset, every=options.all)
    )
