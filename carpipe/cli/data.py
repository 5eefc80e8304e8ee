"""Commands from photos to a dataset: draw, upload, look ahead, run."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from carpipe.cli.common import Commands, add, now, session
from carpipe.config import Config


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


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps import chain
    from carpipe.steps.views.summary import summary

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
    from carpipe.steps.data.upload import upload

    done = upload(session(config), options.folder)
    print(f"{done.uploaded} photos uploaded, {done.skipped} were there already")


def _plan(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.inventory import inventory
    from carpipe.steps.data.plan import plan, render_plan

    opened = session(config)
    planned = plan(opened, inventory(opened).key)
    print(json.dumps(asdict(planned), indent=1) if options.json else render_plan(planned.forecast))
