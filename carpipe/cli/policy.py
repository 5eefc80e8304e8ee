"""`carpipe policy`: the rights that a role needs on the bucket."""

import argparse
import json

from carpipe.cli.common import Commands, add
from carpipe.config import Config, StoreConfig
from carpipe.rights import ROLES


def add_command(commands: Commands) -> None:
    """Declare it."""
    command = add(commands, "policy", _run, "the rights that a role needs on the bucket, as a policy of AWS")
    command.add_argument(
        "role", choices=ROLES, metavar="ROLE", help="; ".join(f"{n}: {r.says}" for n, r in ROLES.items())
    )


def _run(options: argparse.Namespace, config: Config) -> None:
    from carpipe.errors import InputError
    from carpipe.rights import policy

    if config.store == StoreConfig():
        raise InputError("Say of which bucket: set CARPIPE_STORE, such as CARPIPE_STORE=s3://my-bucket/cars.")
    print(json.dumps(policy(options.role, config.store.url), indent=2))
