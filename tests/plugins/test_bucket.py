"""The pages while the bucket is away: an answer soon, and threads for the others."""

import asyncio
import threading
import time
from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from carpipe.errors import AccessError, UnavailableError


async def ask_for(app: FastAPI, paths: list[str], *, together: bool = False) -> list[httpx.Response]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pages") as client:
        if together:
            return await asyncio.gather(*(client.get(path) for path in paths))
        return [await client.get(path) for path in paths]


def test_a_bucket_that_is_away_is_not_asked_by_everybody(monkeypatch):
    from carpipe_airflow.pages import bucket

    asked, away = [], [True]

    def open_session(config, *, access, reads_only):
        asked.append(config.store.timeout_s)
        if away:
            raise UnavailableError("away")
        return SimpleNamespace(config=config)

    clock = [0.0]
    monkeypatch.setattr(bucket, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(bucket, "open_session", open_session)
    ours = bucket.Bucket()
    for _ in range(3):
        with pytest.raises(UnavailableError, match="away"):
            ours.cache  # noqa: B018  # asking is what fails
    assert asked == [20]

    away.clear()
    clock[0] = bucket.PAUSE_S + 1
    assert ours.cache is ours.cache
    assert asked == [20, 20]


def test_keys_that_have_ended_are_asked_for_again(monkeypatch):
    from carpipe_airflow.pages import bucket
    from carpipe_airflow.pages.errors import explain_errors

    opened, clock = [], [0.0]
    monkeypatch.setattr(bucket, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(bucket, "open_session", lambda config, access, **_: opened.append(access) or SimpleNamespace())
    monkeypatch.setattr(bucket, "find_access", lambda: f"keys {len(opened)}")
    app = FastAPI()
    app.state.bucket = bucket.Bucket()
    explain_errors(app)

    @app.get("/")
    def page() -> str:
        app.state.bucket.cache  # noqa: B018  # opens the bucket
        if opened[-1] == "keys 0":
            raise AccessError("ExpiredToken")
        return opened[-1]

    @app.get("/late")
    def late() -> None:
        raise AccessError("of the old keys, when there were new ones already")

    answers = asyncio.run(ask_for(app, ["/", "/", "/late", "/"]))
    assert [answer.status_code for answer in answers] == [503, 200, 503, 200]
    assert opened == ["keys 0", "keys 1"]

    clock[0] = bucket.PAUSE_S + 1
    asyncio.run(ask_for(app, ["/late", "/"]))
    assert opened == ["keys 0", "keys 1", "keys 2"]


def test_pages_take_a_few_threads_only():
    from carpipe_airflow.pages.threads import MAX_THREADS, PageRoute

    running, peak, lock = [], [], threading.Lock()
    router, app = APIRouter(route_class=PageRoute), FastAPI()

    @router.get("/{number}")
    def work(number: int) -> int:
        with lock:
            running.append(number)
            peak.append(len(running))
        time.sleep(0.02)
        with lock:
            running.remove(number)
        return number

    app.include_router(router)

    answers = asyncio.run(ask_for(app, [f"/{number}" for number in range(3 * MAX_THREADS)], together=True))
    assert [answer.json() for answer in answers] == list(range(3 * MAX_THREADS))
    assert 1 < max(peak) <= MAX_THREADS
