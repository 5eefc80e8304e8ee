"""Label Studio's JSON: tasks to label, and what people said, as its export `JSON` writes it.

An annotation is what a person said. A prediction is not, so labels that go to Label Studio go as predictions, which it
shows and people may overrule; who gave them and when stays in the task's `meta`, which comes back with the task. So
a task that nobody touched comes back as the label it was, and not as one that was given today.

Format: https://labelstud.io/guide/task_format
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from carpipe.errors import InputError
from carpipe.steps.labels.rows import Label, Row
from carpipe.steps.people.rows import short, write_time

# Names of the labelling interface in docs/train-the-car-filter.md: Label Studio refuses predictions that do not fit it.
CHOICES, IMAGE = "car", "photo"
META = "carpipe"

Model = TypeVar("Model", bound=BaseModel)


class _Value(BaseModel):
    choices: list[str] = []


class _Result(BaseModel):
    value: _Value | None = None


class _Person(BaseModel):
    id: int | None = None
    email: str | None = None


class _Annotation(BaseModel):
    result: list[_Result] | None = None
    was_cancelled: bool | None = None
    completed_by: int | str | _Person | None = None
    created_at: str | None = None
    updated_at: str | None = None


class _Given(BaseModel):
    label: str
    by: str = ""
    at: str = ""


class _Task(BaseModel):
    data: dict[str, Any]
    annotations: list[_Annotation] | None = None
    meta: dict[str, Any] | None = None


def read_tasks(text: str) -> Iterator[Row]:
    """One row per annotation, or one without a label for a task that nobody decided.

    Annotations that were skipped, or hold no choice, count as nobody's decision.

    Raises:
        InputError: that is no JSON, no list of tasks, or a task is not as Label Studio writes it; names the task.
    """
    try:
        tasks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The labels begin like JSON but are none: {error}.") from None
    if not isinstance(tasks, list):
        raise InputError("The labels are JSON, but no list of tasks; export them from Label Studio as `JSON`.")
    for number, task in enumerate(tasks, start=1):
        name = task.get("id") if isinstance(task, dict) else None
        yield from _rows(task, f"Task {name}" if isinstance(name, int) else f"Task number {number}")


def write_task(key: str, image: str, label: Label | None = None) -> dict[str, Any]:
    """A task to import into Label Studio: a photo to label, with the label that it has where it has one."""
    task: dict[str, Any] = {"data": {"image": image, "key": key}}
    if label:
        choice = {"from_name": CHOICES, "to_name": IMAGE, "type": "choices", "value": {"choices": [label.label]}}
        task["predictions"] = [{"model_version": "labels so far", "result": [choice]}]
        task["meta"] = {META: {"label": label.label, "by": label.by, "at": write_time(label.at)}}
    return task


def to_json(tasks: Sequence[dict[str, Any]]) -> bytes:
    """A file to import into Label Studio; what `write_task` put in it, `read_tasks` reads back as it was."""
    return json.dumps(tasks, indent=1, ensure_ascii=False).encode()


def _rows(found: object, where: str) -> Iterator[Row]:
    task = _parse(_Task, found, where)
    key = _key_of(task, where)
    said = [row for one in task.annotations or () if (row := _row(one, key, where))]
    if before := (task.meta or {}).get(META):
        given = _parse(_Given, before, where)
        said.append(Row(where, key, given.label, given.by, given.at))
    yield from said or [Row(where, key, "")]


def _row(annotation: _Annotation, key: str, where: str) -> Row | None:
    """What a person said; None where it was skipped or left empty."""
    choices = sorted({choice for one in annotation.result or () if one.value for choice in one.value.choices})
    if annotation.was_cancelled or not choices:
        return None
    if len(choices) > 1:
        raise InputError(
            f"{where} of the labels says {' and '.join(map(short, choices[:2]))} at once; a photo has one."
        )
    at = annotation.updated_at or annotation.created_at or ""
    return Row(where, key, choices[0], _name(annotation.completed_by), at)


def _key_of(task: _Task, where: str) -> str:
    """The photo's key, which is in the task's data or, where the tasks came from the bucket, in the image's address."""
    key, image = task.data.get("key"), task.data.get("image")
    if isinstance(key, str):
        return key
    if isinstance(image, str) and image.startswith("s3://") and "/raw/" in image:
        return image.rpartition("/raw/")[2]
    raise InputError(
        f"{where} of the labels does not say which photo it is about: its data has neither a `key` nor an `image` at "
        "s3://<bucket>/raw/<key>; let `carpipe labels sample` write the tasks."
    )


def _name(person: int | str | _Person | None) -> str:
    if isinstance(person, _Person):
        return person.email or (f"user {person.id}" if person.id is not None else "")
    return f"user {person}" if isinstance(person, int) else person or ""


def _parse(model: type[Model], found: object, where: str) -> Model:
    try:
        return model.model_validate(found)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise InputError(
            f"{where} of the labels is not as Label Studio's export `JSON` writes it: {place or 'it'}: {fault['msg']}."
        ) from None
