"""`carpipe run`: the whole chain in this process."""

import argparse
from typing import TYPE_CHECKING

from carpipe.cli.common import Commands, accepting, add, add_accept_option, now, session
from carpipe.config import Config

if TYPE_CHECKING:
    from carpipe.steps.models.gate import Verdict


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "run", _run, "the whole chain without Airflow: car filter, dataset, classifier")
    add_accept_option(command)


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps import chain
    from carpipe.steps.views.summary import summary

    opened = session(accepting(options, config))
    outcome = chain.run(opened, run_id=f"cli-{now()}", now=now, progress=lambda stage, done: None)
    verdict = outcome.verdict
    said = f"{verdict.outcome}: {verdict.reason}"
    print(summary(opened, dataset=outcome.dataset, evaluation=outcome.evaluation, model=verdict.model, verdict=said))
    if verdict.compared:
        print(f"What changed: {compare_command(verdict)}")


def compare_command(verdict: "Verdict") -> str:
    """What shows how a model differs from the one that it was held against, whatever is live by then."""
    model, other = (key.split("/")[2] for key in (verdict.model, verdict.champion))
    return f"carpipe weights compare {verdict.channel} {model} --with {other} --out comparison.html"
