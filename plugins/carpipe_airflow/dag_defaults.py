"""What all DAGs are declared with: assets, retries, deadline, fields of the trigger form.

Cheap to import: Airflow parses the DAG files again for every task.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import (
    Asset,
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
)

from carpipe.errors import CarpipeError, ConflictError, UnavailableError
from carpipe_airflow.deployment import deployment
from carpipe_airflow.notify import tell_failure, tell_late

DATASET = Asset("carpipe-dataset", uri="carpipe://dataset")
WEIGHTS = Asset("carpipe-weights", uri="carpipe://weights")

# The first rule that matches counts: network trouble and lost races may pass, wrong input will not.
RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=[UnavailableError, ConflictError], action=RetryAction.RETRY),
        RetryRule(exception=CarpipeError, action=RetryAction.FAIL, reason="trying again cannot help"),
    ]
)

DEFAULT_ARGS = {
    "owner": "carpipe",
    "retries": 3,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRIES,
    "on_failure_callback": tell_failure,
}


def deadline() -> DeadlineAlert | None:
    """When a nightly run counts as late, and who is told; None where that is turned off."""
    hours = deployment().deadline_h
    if not hours:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=hours),
        callback=AsyncCallback(tell_late),
    )


def setting(key: str, kind: str, description: str, **limits: Any) -> Param:
    """A field of the trigger form that overrides one setting; left empty, the configuration counts.

    Args:
        key: dotted name of the setting.
        kind: JSON schema type.
        limits: further JSON schema, such as `minimum=1`.
    """
    return Param(None, type=["null", kind], description=f"{description} Empty: `{key}` of the configuration.", **limits)
