"""What changed from one model to another, on a bucket with real trainings; no trouble with it stops the gate."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from carpipe import manifest
from carpipe.called import moment
from carpipe.cli import main
from carpipe.config import load_config
from carpipe.errors import InputError, UnavailableError
from carpipe.manifest import Work
from carpipe.photos import to_parquet
from carpipe.steps.cache import ResultCache
from carpipe.steps.models import comparison as module
from carpipe.steps.models import gate as gate_module
from carpipe.steps.models.answers import PREDICTIONS, answer_test, read_answers
from carpipe.steps.models.comparison import (
    CARD,
    PAGE,
    TEXT,
    answers_of,
    compare_models,
    compare_named,
    keep_comparison,
)
from carpipe.steps.models.decisions import decisions
from carpipe.steps.models.gate import gate
from carpipe.steps.results import COMPARED
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.upkeep.garbage import collect, find_garbage
from carpipe.steps.views import channels
from carpipe.weights import channel
from tests import recorded

AT = "2026-02-01T03:00:00Z"
# Of an image that somebody could serve elsewhere, and what a page must not run.
EVIL = "<script>alert(1)</script>|[a](https://evil.example)"


@pytest.fixture(scope="module")
def bucket(s3):
    return recorded.restored(s3)


@pytest.fixture(scope="module")
def models(bucket):
    """(a model that is not live, the live one)."""
    live = channel.read_channel(bucket.store, "classifier").model
    keys = sorted(f"{folder}/manifest.json" for folder in bucket.store.list_folders("models/classifier"))
    other = next(key for key in keys if key != live)
    return manifest.read(bucket.store, other), manifest.read(bucket.store, live)


@pytest.fixture(scope="module")
def made(bucket, models):
    now, before = models
    answer_otherwise(bucket, now, before)
    return compare_models(bucket, now.key, before.key, at=AT)


def answer_otherwise(session, now, before):
    """Let the model before have three photos wrong that now has right, and all right that now has wrong."""
    done = answer_test(session, before.key, now.extra["dataset"])
    ours = read_answers(session, manifest.read(session.store, now.inputs[0]))
    table = read_answers(session, done).set_index("key").loc[ours["key"]].reset_index()
    table["answer"] = ours["class_name"].to_numpy()
    right = ours.index[ours["correct"]][:3]
    assert len(right) == 3
    assert not ours["correct"].all()
    table.loc[right, "answer"] = [EVIL, *before.extra["classes"][:2]]
    table.loc[right[1:], "answer"] = [next(one for one in before.extra["classes"] if one != truth)
                                      for truth in table.loc[right[1:], "class_name"]]  # fmt: skip
    session.store.delete([info.key for info in session.store.list_objects(done.key.rpartition("/")[0])])
    work = Work(done.stage, done.version, done.partition, done.config, tuple(done.inputs))
    assert session.commit(work, {PREDICTIONS: to_parquet(table)}, counts={}).key == done.key


def test_it_is_made_once_and_found_by_both_models(bucket, models, made):
    now, before = models
    assert (made.stage, made.partition, made.inputs) == ("comparison", "classifier", [now.key, before.key])
    assert set(made.files) == {PAGE, COMPARED, CARD, TEXT}
    again = compare_models(bucket, now.key, before.key, at="2026-03-01T00:00:00Z")
    assert (again.key, again.fresh) == (made.key, False)
    assert find(bucket, now, before) == made.key
    assert find(bucket, before, now) is None, "the other way round is another one"


def find(session, now, before):
    done = manifest.find(session.store, module.comparison_work(now, before.key, rules=session.config.gate.decisive()))
    return done and done.key


def test_other_rules_are_another_comparison_and_pages_show_that_of_the_decision(bucket, models, made):
    now, before = models
    lax = session_of(bucket, {"gate.confidence": 0.6, "gate.class_margin": 0, "gate.min_class_vehicles": 1})
    other = compare_models(lax, now.key, before.key, at=AT)
    assert other.key != made.key
    assert manifest.read_json(bucket.store, other, COMPARED)["rules"]["confidence"] == 0.6
    cache, model = ResultCache(bucket), now.key.split("/")[2]
    decide(bucket, now.key, before.key, at="2026-11-01T00:00:00Z", session_rules=bucket)
    decide(bucket, now.key, before.key, at="2026-11-02T00:00:00Z", session_rules=lax)
    assert channels.read_comparison(cache, "classifier", model, COMPARED) == manifest.read_file(
        bucket.store, other, COMPARED
    )
    view = channels.show_channel(cache, "classifier")
    assert view.compared[now.key]["at"] == "2026-11-02T00:00:00Z", "the older decision is not that page's"


def session_of(session, settings):
    return open_session(load_config(recorded.SETTINGS, {"store.url": session.store.url, **settings}))


def test_its_figures_are_those_of_the_answers(bucket, models, made):
    now, before = models
    facts = manifest.read_json(bucket.store, made, COMPARED)
    ours = read_answers(bucket, manifest.read(bucket.store, now.inputs[0]))
    theirs = answers_of(bucket, now, before)
    accuracy = facts["figures"][0]
    assert (accuracy["name"], accuracy["now"]) == ("test_accuracy", pytest.approx(ours["correct"].mean()))
    assert accuracy["before"] == pytest.approx(theirs["correct"].mean())
    assert facts["numbers"]["photos"] == len(ours)
    assert facts["now"] == now.key
    merged = ours.merge(theirs[["key", "correct"]], on="key", suffixes=("", "_before"))
    recalls = merged.groupby("class_name")[["correct", "correct_before"]].mean()
    moved = recalls[recalls["correct"] != recalls["correct_before"]]
    assert {row["class_name"] for row in (*facts["fell"], *facts["rose"])} == {*moved.index}
    assert facts["fell"]
    assert facts["rose"]
    right = {row["name"]: row["now"] for row in facts["own_figures"]}
    assert right["test_accuracy"] == now.extra["metrics"]["test_accuracy"]


def test_the_page_shows_photos_of_the_test_split(bucket, models, made):
    page = manifest.read_file(bucket.store, made, PAGE).decode()
    facts = manifest.read_json(bucket.store, made, COMPARED)
    assert page.count("data:image/jpeg;base64,") == len(facts["pictures"]) > 3
    # Models of 0.1 do not say when they were made; the storage does.
    now, before = (moment(bucket.store.head(model.key).modified) for model in models)
    assert f"<h1>Model of {now} <small><code>{models[0].key.split('/')[2][:8]}</code></small> against" in page
    assert f"that of {before} <small>" in page
    assert "<script" not in page
    assert "before: &lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_models_that_cannot_be_compared_are_a_sentence(bucket, models, caplog):
    now, _ = models
    other = channel.read_channel(bucket.store, "car-filter").model
    for key in (now.key, other):
        with pytest.raises(InputError, match="name two models of one channel"):
            compare_models(bucket, now.key, key, at=AT)
    assert not keep_comparison(bucket, now.key, "models/classifier/gone/manifest.json", at=AT)
    assert "There is no page that compares the model with the live one" in caplog.text


def test_the_gate_decides_though_no_comparison_can_be_made(bucket, models, monkeypatch, caplog):
    now, before = models
    decided = []
    monkeypatch.setattr(gate_module, "_decided", lambda *facts, **more: "")
    monkeypatch.setattr(gate_module, "check_servable", lambda *facts: "it is")
    monkeypatch.setattr(module, "_files", lambda *facts, **more: decided.append(1) or _raise(InputError("odd photo")))
    monkeypatch.setattr(module.manifest, "find", lambda *facts: None)
    with caplog.at_level(logging.WARNING):
        verdict = gate(bucket, now.key, model="classifier", run="r1", at=AT)
    assert decided, "it was tried"
    assert not verdict.compared
    assert json.loads(bucket.store.get(verdict.key))["champion"] == before.key
    assert "live one: odd photo" in caplog.text
    # An outage is what a task is tried again for. No attempt leaves a decision but the last.
    earlier = len(decisions(bucket, "classifier"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_files", lambda *facts, **more: _raise(UnavailableError("away")))
        with pytest.raises(UnavailableError):
            gate(bucket, now.key, model="classifier", run="r2", at="2026-02-02T03:00:00Z")
    assert len(decisions(bucket, "classifier")) == earlier
    gate(bucket, now.key, model="classifier", run="r2", at="2026-02-02T03:01:00Z")
    assert len(decisions(bucket, "classifier")) == earlier + 1


def _raise(error):
    raise error


def test_pages_find_it_by_the_decision(bucket, models, made):
    now, before = models
    cache = ResultCache(bucket)
    decide(bucket, now.key, before.key, at="2026-11-03T00:00:00Z")
    view = channels.show_channel(cache, "classifier")
    assert view.compared[now.key]["champion"] == before.key
    name, model = "classifier", now.key.split("/")[2]
    assert channels.read_comparison(cache, name, model, PAGE) == manifest.read_file(bucket.store, made, PAGE)
    with pytest.raises(InputError, match="has compared model"):
        channels.read_comparison(cache, name, before.key.split("/")[2], PAGE)


def decide(session, model, champion, *, at, session_rules=None):
    entry = {
        "model": model, "champion": champion, "run": "r", "at": at, "outcome": "refuse", "reasons": ["r"],
        "checks": [], "numbers": {},
    }  # fmt: skip
    if session_rules:
        entry["rules"] = session_rules.config.gate.decisive()
    session.store.put(f"channels/classifier/decisions/{at.replace(':', '')}-x.json", json.dumps(entry).encode())


def test_the_command_prints_it_in_short_and_writes_the_page(bucket, models, made, tmp_path, capsys, monkeypatch):
    now, before = models
    monkeypatch.setattr("carpipe.cli.weights.session", lambda config: bucket)
    page, model = tmp_path / "page.html", now.key.split("/")[2]
    assert main(["weights", "compare", "classifier", model, "--out", str(page)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{now.key}\nagainst {before.key}\n")
    assert "top-1" in said
    assert page.read_bytes() == manifest.read_file(bucket.store, made, PAGE)
    assert main(["weights", "compare", "classifier", before.key.split("/")[2], "--with", model]) == 0
    assert capsys.readouterr().out.startswith(f"{before.key}\nagainst {now.key}\n")


def test_the_live_model_is_compared_with_the_one_before_it(bucket, models, made):
    now, before = models
    live = channel.read_channel(bucket.store, "classifier").model
    facts = {"reason": "test", "run": "r", "at": AT}
    channel.promote(bucket.store, "classifier", model=now.key, **facts)
    try:
        said, _ = compare_named(bucket, "classifier", now.key, other=None, at=AT)
    finally:
        channel.promote(bucket.store, "classifier", model=live, **facts)
    assert said.startswith(f"{now.key}\nagainst {before.key}\n")


def test_a_comparison_that_shows_a_forgotten_listing_goes_and_gc_takes_others(bucket, models):
    now, before = models
    done = compare_models(bucket, now.key, before.key, at=AT)
    shown = manifest.read_json(bucket.store, done, COMPARED)["pictures"]
    rules = bucket.config.gate.decisive()
    other = module.comparison_work(before, now.key, rules=rules)
    bucket.store.delete([other.key])
    kept = bucket.commit(other, {COMPARED: json.dumps({"pictures": []}).encode()}, counts={})
    listing = shown[0].rpartition("/")[2].split("_")[2]
    forget(bucket, listing, at=AT)
    assert find(bucket, now, before) is None
    assert not [*bucket.store.list_objects(done.key.rpartition("/")[0])]
    assert manifest.find(bucket.store, other)

    garbage = find_garbage(bucket, older_than=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    assert kept.key in {info.key for info in garbage.objects}
    collect(bucket, garbage)
    assert manifest.find(bucket.store, other) is None
