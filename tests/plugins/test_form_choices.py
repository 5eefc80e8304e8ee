"""Choices on their way into a trigger form: what happens where the bucket or Airflow is not as it should be."""

import asyncio
import json
import threading
from types import SimpleNamespace

import pytest

from carpipe.errors import AccessError

DETAILS = {
    "params": {
        "dataset": {
            "schema": {"type": ["null", "string"], "choices": "datasets", "values_display": {"null": "newest"}}
        },
        "model": {"schema": {"type": "string", "choices": "models"}},
        "other": {"schema": {"type": "string"}},
    }
}


class Airflow:
    """Answers every question alike, and keeps what it was asked."""

    def __init__(self, body, status=200):
        self.body, self.status, self.asked = json.dumps(body).encode(), status, []

    async def __call__(self, scope, receive, send):
        self.asked.append(scope)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body[:9], "more_body": True})
        await send({"type": "http.response.body", "body": self.body[9:]})


def ask(airflow, path="/api/v2/dags/learning_curve/details", method="GET", release=None):
    """The answer's headers and body; then what hangs is let go, since the loop waits for its threads."""
    from carpipe_plugin import LazyChoices

    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"accept-encoding", b"gzip"), (b"cookie", b"x")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}

    async def answered():
        await LazyChoices(airflow)(scope, None, send)
        if release:
            release.set()

    asyncio.run(answered())
    body = b"".join(message.get("body", b"") for message in sent)
    return dict(sent[0]["headers"]), body


@pytest.fixture
def offer(monkeypatch):
    """Have the bucket offer as datasets what a function says."""
    from carpipe.steps.views.choices import Choice
    from carpipe_airflow.pages import choices

    reopened = []
    bucket = SimpleNamespace(cache=None, reopen=lambda: reopened.append(True))
    monkeypatch.setattr(choices, "_pages_bucket", lambda: bucket)
    monkeypatch.setattr(choices, "_read", {})
    monkeypatch.setitem(choices.KINDS, "models", lambda cache: [])

    def have(function):
        monkeypatch.setitem(choices.KINDS, "datasets", lambda cache: [Choice(*one) for one in function()])
        return reopened

    return have


def test_a_field_gets_its_choices_and_the_empty_one(offer):
    offer(lambda: [("ab12", "1 Dec, 5 photos"), ("cd34", "30 Nov, 4 photos")])
    airflow = Airflow(DETAILS)

    headers, body = ask(airflow)

    params = json.loads(body)["params"]
    assert params["dataset"]["schema"]["enum"] == [None, "ab12", "cd34"]
    labels = {"null": "newest", "ab12": "1 Dec, 5 photos", "cd34": "30 Nov, 4 photos"}
    assert params["dataset"]["schema"]["values_display"] == labels
    assert {name: params[name] for name in ("model", "other")} == {
        name: DETAILS["params"][name] for name in ("model", "other")
    }, "where there is nothing to choose from it stays a text"
    assert headers[b"content-length"] == str(len(body)).encode()
    assert headers[b"content-type"] == b"application/json"
    assert airflow.asked[0]["headers"] == [(b"cookie", b"x")], "what is compressed cannot be added to"


def test_the_bucket_is_not_asked_again_at_once(offer):
    asked = []
    offer(lambda: asked.append(1) or [("ab12", "1 Dec")])
    ask(Airflow(DETAILS))
    ask(Airflow(DETAILS))
    assert len(asked) == 1


def test_a_form_opens_where_the_bucket_fails(offer):
    def fail():
        raise AccessError("ExpiredToken")

    reopened = offer(fail)
    airflow = Airflow(DETAILS)
    assert ask(airflow)[1] == airflow.body
    assert reopened == [True], "the connection may have other keys by now"


def test_a_form_opens_where_the_bucket_hangs(offer, monkeypatch):
    monkeypatch.setattr("carpipe_airflow.pages.choices.WAIT_S", 0.05)
    end = threading.Event()
    offer(lambda: end.wait(30) and [])
    airflow = Airflow({"params": {"dataset": DETAILS["params"]["dataset"]}})
    try:
        assert ask(airflow, release=end)[1] == airflow.body
    finally:
        end.set()


@pytest.mark.parametrize(
    "body", [{"params": None, "x": "choices"}, {"params": {"a": {"choices": 1}}, "choices": 1}, []]
)
def test_an_airflow_that_answers_otherwise_is_left_alone(offer, body):
    offer(lambda: [("ab12", "1 Dec")])
    airflow = Airflow(body)
    assert json.loads(ask(airflow)[1]) == body


def test_a_refusal_stays_one(offer):
    offer(lambda: [("ab12", "1 Dec")])
    airflow = Airflow({"detail": "Forbidden", "choices": 1}, status=403)
    assert ask(airflow)[1] == airflow.body


@pytest.mark.parametrize(("path", "method"), [("/api/v2/dags", "GET"), ("/api/v2/dags/x/details", "POST")])
def test_all_else_goes_past(path, method):
    airflow = Airflow(DETAILS)
    assert ask(airflow, path, method)[1] == airflow.body
    assert airflow.asked[0]["headers"][0] == (b"accept-encoding", b"gzip")
