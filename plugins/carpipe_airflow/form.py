"""The fields of the trigger forms.

A field shows the value that counts now. For a setting that is what the settings say on the machine that reads the DAG
file. Where that machine has been told of no settings, or cannot read them, the field is empty and says so. Nothing is
asked of the bucket: a DAG file is read again for every task.

A setting's field that is emptied, or that a run's `conf` lacks, changes nothing: the settings count, as the run's tasks
find them. Scheduled runs go like that.

Help texts are plain: Airflow shows them as they are, with every back-tick.
"""

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from carpipe.errors import ConfigError
from carpipe_airflow.form_checks import DIALECT

log = logging.getLogger(__name__)

# Sections of forms that are closed at first: what few people need.
TRAINING = "Training"
AFTER_A_FAILURE = "After a run that failed"
RARELY = "Rarely needed"

# An id has 20 digits; the first 4 or more of them will do where no other begins like that.
_ID = "[0-9a-f]{4,20}"
KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "a text"}


def field(
    default: Any, kind: str, title: str, description: str, *, expected: str, section: str = "", **schema: Any
) -> Param:
    """A field of a trigger form that may be left empty.

    Args:
        kind: JSON schema type.
        title: its name in the form.
        description: plain sentences.
        expected: what to say of a value that is none, after "expected".
        section: where it stands; empty: in the open one, at the top.
        schema: further JSON schema, such as `minimum=1`.
    """
    if section:
        schema["section"] = section
    schema |= {"$schema": DIALECT, "type": ["null", kind], "title": title, "expected": expected}
    return Param(default, description=description, **schema)


def required(title: str, description: str, *, default: str | None = None, expected: str, **schema: Any) -> Param:
    """A text that must be there. Of a DAG with a schedule, its default must be."""
    schema |= {"$schema": DIALECT, "type": "string", "title": title, "expected": expected, "minLength": 1}
    return Param(default, description=description, **schema)


def setting(key: str, kind: str, title: str, description: str, *, section: str = "", **limits: Any) -> Param:
    """A field that overrides one setting, and shows its value.

    Args:
        key: dotted name of the setting.
        limits: further JSON schema; `enum` without the empty choice.
    """
    value = value_now(key)
    if value is None:
        says = f"Empty: what the settings say ({key})."
    else:
        shown = str(value).lower() if isinstance(value, bool) else value
        says = f"The settings say {shown} ({key})."
    expected = _say(kind, limits)
    if "enum" in limits:
        limits["enum"] = [None, *limits["enum"]]
        limits["values_display"] = {"null": "as the settings say", **limits.get("values_display", {})}
    return field(value, kind, title, f"{description} {says}", expected=expected, section=section, **_unseen(limits))


def epochs(model: str, *, section: str = "") -> dict[str, Param]:
    """How long a model is trained; `model` is its section of the settings."""
    return {
        "head_epochs": setting(
            f"{model}.head_epochs",
            "integer",
            "Epochs of the head",
            "Times that all photos are gone through while only the last layer learns.",
            section=section,
            minimum=0,
        ),
        "finetune_epochs": setting(
            f"{model}.finetune_epochs",
            "integer",
            "Epochs of all layers",
            "Times after that, at most, in which the whole network learns.",
            section=section,
            minimum=0,
        ),
    }


def dataset_field(empty: str) -> Param:
    """The dataset that a run takes, among those that there are.

    Args:
        empty: which one it is where none is chosen.
    """
    return field(
        None,
        "string",
        "Dataset",
        f"The newest to choose from; times are UTC. Any other by its id, under Advanced Options. Empty: {empty}.",
        expected="the id of a dataset or its first digits, as ce749f44, or a key as datasets/<id>/manifest.json",
        pattern=rf"^({_ID}|datasets/[^/]+/manifest\.json)?$",
        choices="datasets",
        values_display={"null": empty},
    )


def model_field() -> Param:
    """The model that shall go live, among those that there are."""
    return required(
        "Model",
        "The newest of each channel to choose from; times are UTC. Any other by its id, under Advanced Options.",
        expected="the id of a model or its first digits, as ce749f44, or a key as models/<channel>/<id>/manifest.json",
        pattern=rf"^({_ID}|models/.+/manifest\.json)$",
        choices="models",
    )


def value_now(key: str) -> Any:
    """The value of a setting on this machine; None where it does not know."""
    from carpipe.config import is_configured, load_config

    try:
        config = load_config() if is_configured() else None
    except ConfigError as error:  # tasks say it, where there may be another file
        log.warning("Forms show no settings: %s", error)
        return None
    section, name = key.split(".")
    return getattr(getattr(config, section), name) if config else None


def _unseen(limits: Mapping[str, Any]) -> dict[str, Any]:
    """The same limits where Airflow's form does not look: it would put a number that is out of them to the nearest one
    that is not, and start the run."""
    bounds = {name: value for name, value in limits.items() if name in ("minimum", "maximum")}
    rest = {name: value for name, value in limits.items() if name not in bounds}
    return {**rest, "allOf": [bounds]} if bounds else rest


def _say(kind: str, limits: Mapping[str, Any]) -> str:
    """What is expected, in words."""
    if "enum" in limits:
        return f"one of {', '.join(limits['enum'])}"
    low, high = limits.get("minimum"), limits.get("maximum")
    between = f" from {low} " + (f"to {high}" if high is not None else "up") if low is not None else ""
    return f"{KINDS[kind]}{between}, or nothing"
