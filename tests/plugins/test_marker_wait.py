"""Waiting for the uploader's marker, on the real S3 server."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from carpipe.errors import AccessError, ConfigError, InputError
from carpipe.steps.data.inventory import inventory
from carpipe.steps.session import Session

RUN = SimpleNamespace(run_after=datetime(2026, 11, 24, 1, tzinfo=UTC), conf={})
PHOTO = "raw/audi_a3_2001/12_3_0b9b1b0e-52f8-4e7c-9a80-0d3b2f9a4c11_0b9b1b0e-52f8-4e7c-9a80-0d3b2f9a4c12.jpg"


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, session: Session) -> Any:
    from carpipe_airflow.marker_wait import wait_for_marker

    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    monkeypatch.setenv("CARPIPE_WAIT_FOR", "raw/_complete/{{ ds }}")
    monkeypatch.setenv("CARPIPE_WAIT_H", "2")
    return wait_for_marker()


def execute(task: Any, running: Callable[..., Any], wait_for: str | None) -> Any:
    context = {"params": {"wait_for": wait_for}, "dag_run": RUN}
    with running(**context):
        return task.execute(context)


def deferred(task: Any, running: Callable[..., Any]) -> Any:
    from airflow.sdk.exceptions import TaskDeferred

    with pytest.raises(TaskDeferred) as raised:
        execute(task, running, "raw/_complete/{{ ds }}")
    return raised.value


def wait(trigger: Any) -> Any:
    async def first() -> Any:
        return await anext(trigger.run())

    return asyncio.run(asyncio.wait_for(first(), 20)).payload


def revived(trigger: Any, **changed: Any) -> Any:
    """The trigger as the triggerer makes it of what lies in the database."""
    from airflow.sdk._shared.module_loading import import_string

    path, arguments = trigger.serialize()
    return import_string(path)(**{**arguments, "look_s": 0.1, **changed})


def test_it_waits_in_the_triggerer_until_the_marker_is_there(
    task: Any, session: Session, running: Callable[..., Any]
) -> None:
    pause = deferred(task, running)
    assert pause.kwargs["key"] == "raw/_complete/2026-11-24"
    assert datetime.fromisoformat(pause.trigger.until) - datetime.now(UTC) == pytest.approx(
        timedelta(hours=2), abs=timedelta(minutes=1)
    )
    trigger = revived(pause.trigger)

    async def upload_meanwhile() -> Any:
        waiting = asyncio.create_task(anext(trigger.run()))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        session.store.put("raw/_complete/2026-11-24", b"")
        return await asyncio.wait_for(waiting, 20)

    event = asyncio.run(upload_meanwhile())
    assert task.resume({}, event.payload, pause.kwargs["key"]) == "raw/_complete/2026-11-24"


def test_where_it_is_there_already_nothing_is_deferred(
    task: Any, session: Session, running: Callable[..., Any]
) -> None:
    session.store.put("raw/_complete/2026-11-24", b"")
    assert execute(task, running, "raw/_complete/{{ ds }}") == "raw/_complete/2026-11-24"


def test_a_key_is_no_template_that_could_read_secrets(task: Any, running: Callable[..., Any], session: Session) -> None:
    key = "raw/_{{ conn.aws_default.password }}/{{ds}}"
    session.store.put(key.replace("{{ds}}", "2026-11-24"), b"")
    assert execute(task, running, key) == "raw/_{{ conn.aws_default.password }}/2026-11-24"


def test_a_run_may_be_told_not_to_wait(task: Any, running: Callable[..., Any]) -> None:
    assert execute(task, running, None) is None
    assert execute(task, running, "") is None


def test_what_does_not_come_is_an_error_that_says_what_to_do(task: Any, running: Callable[..., Any]) -> None:
    trigger = revived(deferred(task, running).trigger, until="2026-01-01T00:00:00+00:00")

    with pytest.raises(InputError, match="did not come within 2 hours"):
        task.resume({}, wait(trigger), "raw/_complete/2026-11-24")


def test_a_bucket_that_refuses_ends_the_waiting(
    task: Any, running: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = revived(deferred(task, running).trigger)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    with pytest.raises(AccessError):
        task.resume({}, wait(trigger), "raw/_complete/2026-11-24")


def test_no_credentials_lie_in_the_database(task: Any, running: Callable[..., Any], s3: Any) -> None:
    kept = repr(deferred(task, running).trigger.serialize())

    assert s3.bucket in kept
    assert s3.secret_key not in kept
    assert s3.access_key not in kept


def test_a_marker_that_looks_like_a_photo_is_refused(task: Any, running: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="would be taken for a photo"):
        execute(task, running, "raw/complete/{{ ds }}")


def test_markers_are_no_photos_but_pictures_beside_them_are(session: Session) -> None:
    session.store.put(PHOTO, b"photo")
    session.store.put("raw/_complete/2026-11-24", b"done")
    session.store.put("raw/_SUCCESS", b"")
    session.store.put("raw/_lost/1.JPG", b"photo")

    assert inventory(session).photos == 2
