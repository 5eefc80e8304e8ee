"""What `carpipe weights` prints of a bucket that somebody else may write: no text of it commands the terminal."""

import json

import pytest

from carpipe import manifest
from carpipe.cli import main
from carpipe.errors import CarpipeError, InputError
from carpipe.manifest import Work
from carpipe.steps.models.publish import describe_release, promote, rollback
from carpipe.steps.viewpoints.store import import_views
from carpipe.steps.views.weights import list_weights, show_weights
from carpipe.weights import channel
from tests.tiny import Tiny, go_live, publish

EVIL = "fine\nFORGED\x1b[2J\u202e\u2028"
TAMED = "fine\\nFORGED\\x1b[2J\\u202e\\u2028"


@pytest.fixture(scope="module")
def files():
    return Tiny().files()


@pytest.fixture
def model(session, files):
    made = publish(session, files, metrics={EVIL: 1.0, "test_accuracy": EVIL}, dataset=EVIL)
    go_live(session, made)
    return made


@pytest.fixture
def release(session, model):
    """The live one, by somebody who writes texts of his own into it."""
    body = {"channel": "classifier", "generation": 2, "model": model.key, "reason": EVIL, "run": EVIL, "at": EVIL}
    session.store.put("channels/classifier/production.json", json.dumps(body).encode())
    return channel.read_channel(session.store, "classifier")


def lines_of(text):
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\u2028" not in text
    assert not [line for line in text.splitlines() if line.startswith("FORGED")]
    return text.splitlines()


def test_the_list_shows_texts_of_the_bucket_in_their_lines(session, release):
    session.store.put("models/classifier/\u200b\u200b\u200b/x", b"")

    lines = lines_of(list_weights(session, "classifier"))

    assert (len(lines), lines[2].count(TAMED)) == (4, 3)
    assert "\\u200b\\u200b\\u200b" in lines[3]


def test_the_list_says_why_a_model_never_went_live(session, release):
    keys = [f"models/classifier/{name * 20}/manifest.json" for name in "bcd"]
    for key in keys:
        session.store.put(key, b"")
    facts = {"champion": "", "run": "r", "checks": [], "numbers": {}}
    for number, (key, outcome) in enumerate([(keys[0], "ask"), (keys[0], "refuse"), (keys[0], "nothing_to_do"),
                                             (keys[1], "ask")]):  # fmt: skip
        decision = {**facts, "model": key, "at": f"T{number}", "outcome": outcome, "reasons": [f"Because {number}."]}
        session.store.put(f"channels/classifier/decisions/{number}.json", json.dumps(decision).encode())

    found = list_weights(session, "classifier")

    assert f"{keys[0]}  refused T1: Because 1." in found
    assert f"{keys[1]}  the gate asked a person T3: Because 3." in found
    assert f"{keys[2]}  the gate was not asked" in found


def test_a_model_shows_figures_and_decisions_in_their_lines(session, model):
    decision = {
        "model": model.key, "champion": "", "run": EVIL, "at": EVIL, "outcome": EVIL, "reasons": [EVIL],
        "checks": [{"name": EVIL, "ok": True, "message": EVIL}], "numbers": {},
    }  # fmt: skip
    session.store.put("channels/classifier/decisions/x.json", json.dumps(decision).encode())

    lines = lines_of(show_weights(session, "classifier", None))

    assert (len(lines), "\n".join(lines).count(TAMED)) == (9, 9)


def test_a_car_filter_without_views_says_how_many_are_labelled_and_needed(session, files):
    work = Work("model", 1, "car_filter", {}, (), home="models/car-filter")
    extra = {"classes": ["auto", "no_auto"], "metrics": {}, "dataset": "d"}
    model = manifest.commit(session.store, work, files, counts={}, extra=extra).key
    assert "view" not in show_weights(session, "car-filter", model)
    import_views(session, b"key,view\na/1.jpg,front\n", at="2026-01-01T00:00:00Z")

    text = show_weights(session, "car-filter", model)

    assert "  views: it tells none. 1 photo has a view label now.\n  Each view needs some 30 photos of 20 cars" in text


@pytest.mark.parametrize("odd", [b"[]", b"no JSON", b'{"model": 1}', b'{"form": 2}', b"[" * 100_000])
def test_an_odd_decision_costs_itself_only(session, model, odd, caplog):
    before = show_weights(session, "classifier", None)
    session.store.put("channels/classifier/decisions/x.json", odd)

    assert show_weights(session, "classifier", None) == before
    assert "channels/classifier/decisions/x.json" in caplog.text
    assert "It is passed over." in caplog.text


@pytest.mark.parametrize("extra", [{"classes": None}, {"dataset": 1}, {"metrics": []}, {"classes": {"a": 1}}])
def test_a_model_that_lacks_what_is_shown_is_a_sentence(session, files, extra):
    made = publish(session, files, tag="odd")
    body = json.loads(session.store.get(made.key))
    body["extra"] |= extra
    session.store.put(made.key, json.dumps(body).encode())

    with pytest.raises(InputError, match=r"cannot be shown: extra\.[a-z]+ is (missing|odd), expected"):
        show_weights(session, "classifier", made.key)


def test_news_of_a_release_are_five_lines(session, release):
    assert len(lines_of(describe_release(session, release))) == 5


@pytest.mark.parametrize("model", [f"models/classifier/{EVIL}/manifest.json", f"models/{EVIL}", EVIL])
def test_a_release_of_what_is_no_model_is_said_in_one_line(session, model):
    release = channel.Release("classifier", 1, model, reason="r", run="r", at="t")

    with pytest.raises(InputError, match="is no model of this channel") as raised:
        channel.read_released(session.store, release)
    assert len(lines_of(str(raised.value))) == 1


def test_a_model_that_is_not_there_is_said_in_one_line(session, model):
    for wrong in (f"models/classifier/{EVIL}", "models/classifier/\u202e"):
        with pytest.raises(CarpipeError) as raised:
            channel.promote(session.store, "classifier", model=wrong, reason="r", run="r", at="t")
        assert len(lines_of(str(raised.value))) == 1


@pytest.mark.parametrize("reason", ["a\nb", "\x1b[31m", "a\0", "a\u202eb", "a\u2028b", "\ud800"])
def test_a_reason_is_one_line_without_control_characters(session, files, model, reason, monkeypatch, capsys):
    other = publish(session, files, tag="other")
    told = {"run": "r", "at": "t", "reason": reason}
    with pytest.raises(InputError, match="A reason is one line without control characters"):
        promote(session, "classifier", other.key, **told)
    go_live(session, other)
    with pytest.raises(InputError, match="A reason is one line without control characters"):
        rollback(session, "classifier", **told)
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    for command in (["promote", "classifier", model.key], ["rollback", "classifier"]):
        assert main(["--quiet", "weights", *command, "--reason", reason]) == 1
        assert "A reason is one line" in capsys.readouterr().err

    assert channel.read_channel(session.store, "classifier").generation == 2
    assert promote(session, "classifier", model.key, run="r", at="t", reason="Schön, 日本 👍").generation == 3
