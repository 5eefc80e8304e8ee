"""Commands on the photos, and on the bucket as a whole."""

import argparse
import datetime
import json
import re
from dataclasses import asdict
from pathlib import Path

from carpipe.cli.common import Commands, add, now, session
from carpipe.config import Config, describe_config


def add_commands(commands: Commands) -> None:
    """Declare them."""
    add(commands, "run", _run, "the whole chain without Airflow: car filter, dataset, classifier")
    command = add(commands, "sample", _sample, "draw the sample world: photos with known truth, and labels")
    command.add_argument("folder", type=Path, help="where raw/, labels.csv and truth.csv go")
    command.add_argument("--seed", type=int, default=0, help="another seed, another world")
    command = add(
        commands, "upload", _upload, "copy a folder of listing photos to raw/; what is there already is skipped"
    )
    command.add_argument("folder", type=Path, help="holds <make>_<model>_<year>/ folders")
    command = add(commands, "plan", _plan, "what the next run would do: photos, bytes and minutes per stage")
    command.add_argument("--json", action="store_true", help="for machines: with weights and partitions")
    command = add(
        commands,
        "forget",
        _forget,
        "remove a listing from raw/ and from all that later datasets are made of; when no DAG runs",
    )
    command.add_argument("--listing", required=True, metavar="UUID")
    command = add(commands, "gc", _gc, "delete old stage results that no dataset or model refers to; when no DAG runs")
    command.add_argument("--dry-run", action="store_true", help="list every object, delete nothing")
    command.add_argument(
        "--older-than", type=_age, default="7d", metavar="AGE", help="spare younger objects; as in 12h or 7d (default)"
    )
    add(commands, "config", _config, "print every setting with its value and meaning")


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps import chain
    from carpipe.steps.summary import summary

    opened = session(config)
    outcome = chain.run(opened, run_id=f"cli-{now()}", at=now(), progress=lambda stage, done: None)
    verdict = outcome.verdict
    print(
        summary(opened, dataset=outcome.dataset, evaluation=outcome.evaluation, model=verdict.model,
                verdict=f"{verdict.outcome}: {verdict.reason}")
    )  # fmt: skip


def _sample(options: argparse.Namespace, config: Config) -> None:
    from carpipe.sample.world import draw_world

    draw_world(options.folder, seed=options.seed)
    print(options.folder)


def _upload(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.upload import upload

    done = upload(session(config), options.folder)
    print(f"{done.uploaded} photos uploaded, {done.skipped} were there already")


def _plan(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.inventory import inventory
    from carpipe.steps.plan import plan, render_plan

    opened = session(config)
    planned = plan(opened, inventory(opened).key)
    print(json.dumps(asdict(planned), indent=1) if options.json else render_plan(planned.forecast))


def _forget(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.forget import forget

    done = forget(session(config), options.listing, at=now())
    print(
        f"{done.raw} objects removed from raw/, {done.photos} photos from the partitions, {done.label_sets} label sets "
        f"to be made anew."
    )
    if done.datasets:
        print("Datasets made before still hold it; delete their folders and run `carpipe gc` to be rid of them:")
        print("\n".join(done.datasets))


def _gc(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.garbage import collect, find_garbage, render_garbage

    opened = session(config)
    garbage = find_garbage(opened, older_than=options.older_than, now=datetime.datetime.now(datetime.UTC))
    print(render_garbage(garbage, every=options.dry_run))
    if not options.dry_run:
        print(f"{collect(opened, garbage):,} objects deleted")


def _age(text: str) -> datetime.timedelta:
    match = re.fullmatch(r"(\d{1,5})([hd])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected hours or days, such as 12h or 7d, got {text!r}")
    return datetime.timedelta(**{{"h": "hours", "d": "days"}[match[2]]: int(match[1])})


def _config(options: argparse.Namespace, config: Config) -> None:
    for key, value, meaning in describe_config(config):
        print(f"{key} = {json.dumps(value)}  # {meaning}")
