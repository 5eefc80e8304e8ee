"""The pages while the bucket is away: an answer soon, and threads for the others."""

import asyncio
import threading
import time
from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from carpipe.errors import UnavailableError


def test_a_bucket_that_is_away_is_not_asked_by_everybody(monkeypatch):
    from carpipe_pages import desk

    asked, away = [], [True]

    def open_session(config, *, access):
        asked.append(config.store.timeout_s)
        if away:
            raise UnavailableError("away")
        return SimpleNamespace(config=config)

    clock = [0.0]
    monkeypatch.setattr(desk, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(desk, "open_session", open_session)
    ours = desk.Desk()
    for _ in range(3):
        with pytest.raises(UnavailableError, match="away"):
            ours.shelf  # noqa: B018  # asking is what fails
    assert asked == [20]

    away.clear()
    clock[0] = desk.PAUSE_S + 1
    assert ours.shelf is ours.shelf
    assert asked == [20, 20]


def test_pages_take_a_few_threads_only():
    from carpipe_pages.threads import MOST, PageRoute

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

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pages") as client:
            answers = await asyncio.gather(*(client.get(f"/{number}") for number in range(3 * MOST)))
        return [answer.json() for answer in answers]

    assert asyncio.run(ask()) == list(range(3 * MOST))
    assert 1 < max(peak) <= MOST
