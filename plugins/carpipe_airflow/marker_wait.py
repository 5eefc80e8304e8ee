"""Wait until an uploader says that all photos are there, by an object in the bucket. While waiting, no worker is held.

There is such a task only where `CARPIPE_WAIT_FOR` names a key; a run can be given another one, or none.
"""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Param

from carpipe import errors
from carpipe.errors import ConfigError, InputError
from carpipe_airflow.deployment import deployment
from carpipe_airflow.form import field

log = logging.getLogger(__name__)

# All of Jinja that a key may hold: a template could read every connection and variable, and the key is logged.
DAY = re.compile(r"\{\{\s*ds\s*\}\}")


def wait_params() -> dict[str, Param]:
    """The field of the trigger form, where there is something to wait for."""
    chosen = deployment()
    if not chosen.wait_for:
        return {}
    title, meaning = "Wait for", "Key of the object to wait for. {{ ds }} is the day of the run. Empty: do not wait."
    return {"wait_for": field(chosen.wait_for, "string", title, meaning, expected="a key in the bucket, or nothing")}


def wait_for_marker() -> "WaitForMarker | None":
    """The task that waits, None where nothing is to be waited for."""
    chosen = deployment()
    return WaitForMarker(task_id="wait_for_upload", hours=chosen.wait_h) if chosen.wait_for else None


class WaitForMarker(BaseOperator):
    """Succeeds once the object that the parameter `wait_for` names is there; returns its key.

    Args:
        hours: to wait at most; after that it fails, and trying again has to be asked for.
    """

    def __init__(self, *, hours: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.hours = hours

    def execute(self, context: Any) -> str | None:
        from carpipe_airflow.marker_trigger import MarkerTrigger
        from carpipe_airflow.task_session import open_task_session

        pattern = context["params"]["wait_for"]
        if not pattern:
            log.info("this run does not wait")
            return None
        key = marker_key(DAY.sub(_day(context), pattern))
        session = open_task_session()
        if session.store.head(key):
            return key
        until = datetime.now(UTC) + timedelta(hours=self.hours)
        log.info("waiting for %s until %s", key, until.isoformat(timespec="minutes"))
        trigger = MarkerTrigger(session.config.store.model_dump(), key=key, until=until.isoformat())
        return self.defer(trigger=trigger, method_name="resume", kwargs={"key": key})

    def resume(self, context: Any, event: Mapping[str, str], key: str) -> str:
        """Called when the waiting is over.

        Raises:
            InputError: the object did not come; or another of carpipe's errors, from looking for it.
        """
        if event["state"] == "late":
            raise InputError(
                f"{key} did not come within {self.hours:g} hours. Once the upload is complete, clear this task; "
                "or start the DAG with `wait_for` empty, which takes what is there."
            )
        if event["state"] == "error":
            raise getattr(errors, event["kind"])(event["message"])
        return key


def marker_key(key: str) -> str:
    """The key, if an inventory takes it for no photo.

    Raises:
        ConfigError: it would be taken for a photo with a bad name.
    """
    key = key.strip().lstrip("/")
    if key.startswith("raw/") and not key.startswith("raw/_"):
        raise ConfigError(
            f"A marker {key} would be taken for a photo; name it raw/_<anything>, such as raw/_complete/{{{{ ds }}}}."
        )
    return key


def _day(context: Any) -> str:
    """Of the logical date; runs that an asset or a person has started may have none."""
    return str(context.get("ds") or context["dag_run"].run_after.strftime("%Y-%m-%d"))
