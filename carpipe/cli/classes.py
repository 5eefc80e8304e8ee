"""`carpipe classes ...`: taxonomies, looked at before a run uses one, and what may be new classes."""

import argparse
import json
import sys
from pathlib import Path

from carpipe.cli.common import (
    ID,
    Commands,
    add,
    add_dataset_option,
    check_out,
    now,
    reader,
    say_to_fill_in,
    say_written,
    session,
)
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
    _add_advise(actions)
    _add_moves(actions)


def _add_advise(actions: Commands) -> None:
    command = add(actions, "advise", _advise, "which classes should be one, or several; changes nothing")
    command.add_argument("--model", help=f"{ID} of a published one; default: the newest evaluation")
    command.add_argument("--out", type=Path, metavar="YAML", help="a new file: the taxonomy with the advice followed")
    command.add_argument("--taxonomy", help="the one that --out changes; default: the settings'")
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument(
        "--report", type=Path, metavar="CSV", help="of a per-class report alone: what can be had of it"
    )
    command = add(actions, "new", _new, "names and groups of new listings that may be new classes; changes nothing")
    add_dataset_option(command)
    command.add_argument("--out", type=Path, metavar="CSV", help="a new file with their listings, to correct them in")
    command.add_argument("--json", action="store_true", help="for programs")


def _add_moves(actions: Commands) -> None:
    command = add(actions, "accept", _accept, "follow advice: counts from the next dataset on")
    command.add_argument("name", nargs="+", help="the class that others are merged into, or that is split")
    command.add_argument("--model", help="as for advise; default: the newest evaluation")
    command.add_argument("--by", default="", metavar="NAME", help="who accepts it")
    command = add(actions, "move", _move, "put a model into a class; counts from the next dataset on")
    command.add_argument("car_model", metavar="MODEL", help="such as audi_a4_avant")
    command.add_argument("to", metavar="CLASS", help="the class, which may be new; by-taxonomy: takes a move back")
    command.add_argument("--by", default="", metavar="NAME", help="who says so")
    command.add_argument("--why", default="", metavar="TEXT", help="for the record")
    add(actions, "moves", _moves, "which models people have moved, and what counts")


def _check(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.taxonomy import check_taxonomy

    opened = None if options.offline else reader(config)
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
        diff_taxonomy(reader(config), options.taxonomy or config.classes.taxonomy, options.dataset, every=options.all)
    )


def _advise(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import shown_text
    from carpipe.steps.models.advice import advise, change_taxonomy, find_evaluation, read_advice
    from carpipe.steps.moves.store import current_moves, effective
    from carpipe.steps.people.files import refuse_existing, write_new

    if options.report:
        _advise_of_report(options)
        return
    check_out(options.out)
    if options.out:
        refuse_existing(options.out, "a taxonomy")
    opened = session(config)
    text, found = read_advice(opened, advise(opened, find_evaluation(opened, options.model)))
    print(json.dumps(found, indent=1, ensure_ascii=False) if options.json else shown_text(text))
    if options.out:
        moves = effective(current_moves(opened))
        changed, left = change_taxonomy(found, options.taxonomy or config.classes.taxonomy, moves=moves)
        write_new(options.out, changed.encode())
        for sentence in left:
            print(shown_text(sentence), file=sys.stderr)
        say_written(options.out, f"`carpipe classes diff {options.out}` shows what it does")


def _advise_of_report(options: argparse.Namespace) -> None:
    from carpipe.evaluation.report_pairs import likely_pairs, read_report, render_pairs

    if options.out or options.model or options.taxonomy:
        raise InputError(
            "A report does not say which classes are confused: --report goes with no --out, --taxonomy and --model."
        )
    pairs = likely_pairs(read_report(options.report))
    print(pairs.to_json(orient="records", indent=1) if options.json else render_pairs(pairs))


def _accept(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import shown
    from carpipe.steps.models.accept import accept
    from carpipe.steps.models.advice import advise, find_evaluation
    from carpipe.steps.moves.rows import BY_TAXONOMY

    opened = session(config)
    advice = advise(opened, find_evaluation(opened, options.model))
    moves = accept(opened, advice, options.name, at=now(), by=options.by)
    if not moves:
        print("Nothing to do: this advice was followed already.")
        return
    for move in moves:
        print(shown(f"{move.model} -> {move.to}"))
    print(f"The next dataset has them so. `carpipe classes move <model> {BY_TAXONOMY}` takes one back.")


def _move(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import shown
    from carpipe.steps.data.taxonomy import models_of
    from carpipe.steps.moves.store import move_model
    from carpipe.taxonomy.read import load

    opened = session(config)
    said = move_model(
        opened, options.car_model, options.to, taxonomy=load(config.classes.taxonomy), models=models_of(opened),
        at=now(), by=options.by, why=options.why,
    )  # fmt: skip
    print(shown(f"{said.model} -> {said.to}: counts from the next dataset on"))


def _moves(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import shown_text
    from carpipe.steps.moves.store import describe_moves

    print(shown_text(describe_moves(reader(config))))


def _new(options: argparse.Namespace, config: Config) -> None:
    from carpipe.names import shown_text
    from carpipe.steps.models.new_models import new_models
    from carpipe.steps.people.files import refuse_existing, write_new
    from carpipe.steps.views import new_models as view

    check_out(options.out)
    if options.out:
        refuse_existing(options.out, "corrections")
    opened = session(config)
    done = new_models(opened, options.dataset)
    found = view.read_new_models(opened, done) if done else view.nothing_new()
    if options.out:
        write_new(options.out, view.new_models_csv(found).encode())
        say_to_fill_in(options.out)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    print(text if options.json else shown_text(view.render_new_models(found)))
