"""`carpipe plan`: what the next run would do."""

import argparse
import json
from dataclasses import asdict

from carpipe.cli.common import Commands, add, session
from carpipe.config import Config


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "plan", _run, "what the next run would do: photos, bytes and minutes per stage")
    command.add_argument("--json", action="store_true", help="for machines: with weights and partitions")


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.steps.data.inventory import inventory
    from carpipe.steps.data.plan import plan
    from carpipe.steps.data.plan_text import render_plan
    from carpipe.steps.models.foresee import describe_backbone, foresee_start
    from carpipe.steps.views.said import said_since

    opened = session(config)
    planned = plan(opened, inventory(opened).key)
    training = foresee_start(opened, new_dataset=planned.forecast[-1].partitions > 0)
    backbone = describe_backbone(opened, config.classifier)
    said = said_since(opened, new_dataset=planned.forecast[-1].partitions > 0)
    if options.json:
        found = {**asdict(planned), "training": training, "backbone": backbone, "said": asdict(said)}
        print(json.dumps(found, indent=1))
    else:
        print("\n".join([render_plan(planned.forecast, config.cost), "", *said.sentences(), training]))
        print(f"Its backbone: {backbone}")
