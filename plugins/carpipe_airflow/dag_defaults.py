"""What all DAGs are declared with: assets, retries, deadline.

Cheap to import: Airflow parses the DAG files again for every task.
"""

from datetime import timedelta

from airflow.sdk import (
    Asset,
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
    ExceptionRetryPolicy,
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
