"""What a running task asks of Airflow: credentials and parameters for its session, its run's id, the time of day."""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.configuration import conf

from carpipe.errors import InputError
from carpipe_airflow.s3_access import find_access
from carpipe_airflow.signing_key import find_signing_key

if TYPE_CHECKING:
    from carpipe.config import Config
    from carpipe.steps.session import Session

log = logging.getLogger(__name__)

# Name of the XCom with the settings of a run.
FIXED = "settings"
# Label of a mapped task in the UI: `label` below fills it in.
MAP_LABEL = "{{ partition }}"


def open_task_session(*, signs: bool = False, fixed_by: str = "", **settings: str) -> "Session":
    """The session of the running task: with the connection's credentials, and figures to Airflow's StatsD server.

    Args:
        signs: the task signs models: it gets the key that the settings name, and no other task does.
        fixed_by: id of the task whose settings are those of the run. Itself reads them, and hands them on.
        settings: dotted setting by name of the DAG parameter that overrides it.

    Raises:
        InputError: the run was given a parameter that its DAG does not have.
        ConfigError: another version of carpipe has fixed the settings.
    """
    from carpipe.config import load_config
    from carpipe.steps.session import open_session

    context = get_current_context()
    given, params = context["dag_run"].conf or {}, context["params"]
    refuse_unknown(given, context["dag"].params)
    # Others are what the form shows: the settings of the machine that has read the DAG file, maybe another one.
    overrides = {key: params.get(name) for name, key in settings.items() if name in given}
    config = load_config(overrides=overrides)
    if not config.metrics.statsd and (server := _statsd_of_airflow()):
        config = load_config(overrides={**overrides, "metrics.statsd": server})
    if fixed_by:
        _tell_overridden(config, settings, context["ti"], fixed_by)
        config = _of_the_run(config, context["ti"], fixed_by)
    return open_session(config, access=find_access(), signing_key=find_signing_key(config.signing) if signs else b"")


def _of_the_run(config: "Config", task: Any, fixed_by: str) -> "Config":
    """The settings that the run was planned with, by an XCom: whoever clears that task has them read anew."""
    from carpipe import run_settings

    if task.task_id == fixed_by:
        task.xcom_push(FIXED, run_settings.fixed_of(config))
        return config
    fixed = task.xcom_pull(task_ids=fixed_by, key=FIXED)
    if fixed is None:  # carpipe 0.1 has planned it
        log.info("This run does not say with which settings it was planned; those of this machine count.")
        return config
    if others := run_settings.changed(config, fixed):
        log.warning(
            "This run goes on with the settings that it was planned with: %s. To have it go on with those of here, "
            "clear the task `%s` and all that comes after it.", ", ".join(others), fixed_by,
        )  # fmt: skip
    return run_settings.follow(config, fixed)


def _tell_overridden(config: "Config", settings: Mapping[str, str], task: Any, fixed_by: str) -> None:
    """Who starts a run by the form sends every value that it shows, and may not know that it is one of another day."""
    from carpipe import run_settings
    from carpipe.config import load_config

    if task.task_id != fixed_by or not settings:
        return
    if others := run_settings.changed(load_config(), run_settings.fixed_of(config)):
        log.info("This run was started with other settings than those of here: %s.", ", ".join(others))


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Airflow itself passes over what is misspelt in a run's `conf`."""
    if unknown := sorted(set(given) - set(known)):
        close = get_close_matches(unknown[0], list(known), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}."
        raise InputError(f"This DAG has no parameter {unknown[0]!r}; {hint}")


def _statsd_of_airflow() -> str | None:
    """`host:port` of the server that Airflow sends its own metrics to, if it does."""
    if not conf.getboolean("metrics", "statsd_on"):
        return None
    return f"{conf.get('metrics', 'statsd_host')}:{conf.getint('metrics', 'statsd_port')}"


def partition_of(key: str) -> str:
    """The partition that the manifest under a key is of."""
    return key.split("/")[2]


def label(keys: list[str]) -> list[str]:
    """Show the partitions of manifest keys as the mapped task's label; returns the keys.

    A task has several where there are more partitions than Airflow maps a task over.
    """
    first, last = partition_of(keys[0]), partition_of(keys[-1])
    show(first if len(keys) == 1 else f"{first} to {last} ({len(keys)})")
    return keys


def show(text: str) -> None:
    """Show a text as the mapped task's label."""
    get_current_context()["partition"] = text  # type: ignore[typeddict-unknown-key]  # ours


def run_facts() -> dict[str, str]:
    """Id of the DAG run and time of day, for what gets published: carpipe has no clock of its own."""
    return {"run": get_current_context()["run_id"], "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
