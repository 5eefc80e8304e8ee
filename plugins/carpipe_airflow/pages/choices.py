"""Choices in the trigger forms, read from the bucket when a form is opened: datasets, models, channels.

A field whose schema names what it is of (`choices`) is given an `enum` and labels for it on the way from Airflow to the
browser, in the answer that the form is made of. In Airflow's database it stays a text: any id or key is accepted, an
older one too. Why here, and not where the DAG is read:

- the list is that of now, whoever made or deleted something, with Airflow or without;
- the DAG processor needs no keys of the bucket, and no request is made while DAGs are read, once for every task;
- a list in the DAG would give it a new version with every dataset, and so hide when its code has changed.

The bucket is asked as the pages ask it, at most every `FRESH_S`. When it does not answer within `WAIT_S`, or not well,
the field stays what it is in the DAG: a text to type an id into. So does it with an Airflow that answers otherwise.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from anyio import move_on_after, to_thread

from carpipe.errors import AccessError
from carpipe.steps.cache import ResultCache
from carpipe.steps.views import choices
from carpipe.steps.views.choices import Choice
from carpipe_airflow.pages.bucket import Bucket

log = logging.getLogger(__name__)

FRESH_S = 20.0
WAIT_S = 3.0
KINDS: dict[str, Callable[[ResultCache], list[Choice]]] = {
    "datasets": choices.dataset_choices,
    "models": choices.model_choices,
    "channels": choices.channel_choices,
}
# Held by the thread that asks the bucket, also when nobody waits for it any more; others make do without choices.
_busy = threading.Lock()
_read: dict[str, tuple[float, list[Choice]]] = {}


async def answer(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """Have Airflow answer a question for a DAG's details (ASGI), and add the choices."""
    plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
    kept: dict[str, Any] = {"body": b""}

    async def keep(message: Any) -> None:
        if message["type"] == "http.response.start":
            kept["start"] = message
        else:
            kept["body"] += message.get("body", b"")

    await app({**scope, "headers": plain}, receive, keep)
    start, body = kept["start"], kept["body"]
    if start["status"] == 200 and b'"choices"' in body:
        body = await _with_choices(body)
    headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


async def _with_choices(body: bytes) -> bytes:
    with move_on_after(WAIT_S):
        return await to_thread.run_sync(_fill, body, abandon_on_cancel=True)
    log.info("The bucket does not answer in time: the trigger form has no choices.")
    return body


def _fill(body: bytes) -> bytes:
    if not _busy.acquire(blocking=False):
        return body
    try:
        details = json.loads(body)
        for param in details["params"].values():
            schema = param.get("schema") or {}
            if found := _choices(schema.get("choices")):
                nothing = [None] if "null" in schema["type"] else []
                schema["enum"] = [*nothing, *(one.value for one in found)]
                schema["values_display"] = {
                    **(schema.get("values_display") or {}), **{one.value: one.label for one in found},
                }  # fmt: skip
    except Exception as error:  # of the bucket, of Airflow's connection, of an answer of another form: forms must open
        log.info("The trigger form has no choices: %s", error)
        return body
    finally:
        _busy.release()
    return json.dumps(details).encode()


def _choices(kind: str | None) -> list[Choice]:
    if kind not in KINDS:
        return []
    at, found = _read.get(kind, (0.0, []))
    if not at or time.monotonic() > at + FRESH_S:
        found = _ask(kind)
        _read[kind] = time.monotonic(), found
    return found


def _ask(kind: str) -> list[Choice]:
    bucket = _pages_bucket()
    try:
        return KINDS[kind](bucket.cache)
    except AccessError:  # keys that have ended, maybe
        bucket.reopen()
        raise


def _pages_bucket() -> Bucket:
    from carpipe_airflow.pages.app import shared_app

    bucket: Bucket = shared_app().state.bucket
    return bucket
