"""What datasets and models have cost, as pages say it."""

import logging
from collections.abc import Callable

from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps.data.cost import Cost, describe_cost
from carpipe.steps.session import Session

log = logging.getLogger(__name__)


def say_cost(session: Session, done: Manifest, cost_of: Callable[[Session, Manifest], Cost]) -> str:
    """What a result has cost; empty where what it was made of has gone, or was put there by hand."""
    try:
        return describe_cost(cost_of(session, done), session.config.cost)
    except (InputError, MissingError, LookupError) as error:
        log.info("what %s has cost cannot be told: %s", done.key, error)
        return ""
