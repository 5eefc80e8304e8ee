"""What a process was told, its children know: the resolved settings and the access, as JSON on a pipe.

The access is secret. It is on no command line, in no file and in no environment.
"""

import json
from typing import NamedTuple

from carpipe.config import Config
from carpipe.s3_access import Access


class Told(NamedTuple):
    """Settings as they were resolved, and how to get into the bucket; None: by the AWS chain."""

    config: Config
    access: Access | None


def tell(config: Config, access: Access | None) -> str:
    """For the standard input of a child."""
    return json.dumps({"config": config.model_dump_json(), "access": access.to_json() if access else None})


def listen(text: str) -> Told:
    """What `tell` made, in the child."""
    told = json.loads(text)
    access = Access.from_json(told["access"]) if told["access"] else None
    return Told(Config.model_validate_json(told["config"]), access)
