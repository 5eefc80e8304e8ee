"""Advice on classes, from answers in a bucket: kept once, printed, and written as a taxonomy that `diff` reads."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from carpipe import manifest
from carpipe.cli import main
from carpipe.config import load_config
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.steps import results
from carpipe.steps.models.advice import _with_cars, advise, change_taxonomy, find_evaluation, read_advice
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.upkeep.garbage import find_garbage
from carpipe.taxonomy.read import load
from carpipe.weights import channel
from tests import recorded
from tests.steps.models.advised import SIZES, TAXONOMY, a_bucket, drawn_answers, evaluate, rows_of


@pytest.fixture(scope="module")
def session(s3):
    return a_bucket(s3)


@pytest.fixture(scope="module")
def answers():
    return drawn_answers()


@pytest.fixture(scope="module")
def evaluation(session, answers):
    return evaluate(session, answers, tag="first")


@pytest.fixture(scope="module")
def done(session, evaluation):
    return advise(session, evaluation)


def test_twins_are_found_and_models_that_are_told_apart(session, done):
    text, found = read_advice(session, done)
    assert [merge["classes"] for merge in found["merges"]] == [["viano", "vito"]]
    assert [split["class_name"] for split in found["splits"]] == ["golf"]
    assert found["photos"] == 4 * sum(SIZES.values())
    assert "1. viano + vito -> vito" in text


def test_a_car_that_was_corrected_is_of_the_model_that_people_named(session, answers, done):
    sellers = evaluate(session, answers, tag="corrected", corrected={"from": "golf", "to": "golf_gti"})
    assert read_advice(session, advise(session, sellers))[1] == read_advice(session, done)[1]


def test_it_is_made_once(session, evaluation, done, monkeypatch):
    monkeypatch.setattr("carpipe.steps.models.advice._advise", None)
    assert advise(session, evaluation).key == done.key
    assert done.key.startswith("stages/advice/classifier/")


def test_other_rules_are_another_advice(session, evaluation, done):
    config = session.config.model_copy(
        update={"classes": session.config.classes.model_copy(update={"min_photos": 10_000})}
    )
    other = advise(type(session)(config, session.store), evaluation)
    assert other.key != done.key
    assert read_advice(session, other)[1]["splits"] == []


def test_the_changed_taxonomy_keeps_comments_and_says_what_it_left(session, done, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(TAXONOMY)
    text, left = change_taxonomy(read_advice(session, done)[1], str(mine), moves={})
    assert left == []
    assert "# Mine, and it stays." in text
    mine.write_text(text)
    rules = load(str(mine)).class_by_model
    assert rules == {"golf": "golf", "golf_gti": "golf_gti", "vito": "vito", "viano": "vito"}
    again, left = change_taxonomy(read_advice(session, done)[1], str(mine), moves={})
    assert again == text
    assert [sentence.split(":")[0] for sentence in left] == ["viano + vito -> vito", "golf -> golf + golf_gti"]


def test_an_evaluation_of_before_gives_what_its_test_photos_give(session, answers):
    old = advise(session, evaluate(session, answers, tag="old", only_best=True))
    found = read_advice(session, old)[1]
    assert found["photos"] == (answers.photos["vehicle"].str.rpartition("-")[2].astype(int) % 2 == 1).sum()
    assert [merge["classes"] for merge in found["merges"]] == [["viano", "vito"]]


def test_the_command_asks_the_newest_evaluation_and_writes_what_diff_shows(s3, answers, tmp_path, capsys):
    session = a_bucket(s3)
    evaluate(session, answers, tag="only")
    (tmp_path / "mine.yaml").write_text(TAXONOMY)
    settings = tmp_path / "carpipe.toml"
    settings.write_text(f'[store]\nurl = "{session.config.store.url}"\n[classes]\ntaxonomy = "mine.yaml"\n')
    out = tmp_path / "new.yaml"
    assert run("classes", "advise", "--out", str(out), settings=settings) == 0
    printed = capsys.readouterr()
    assert "Taxonomy: vito: [viano, vito]" in printed.out
    assert f"`carpipe classes diff {out}`" in printed.err
    assert (tmp_path / "mine.yaml").read_text() == TAXONOMY
    assert run("classes", "advise", "--json", settings=settings) == 0
    assert json.loads(capsys.readouterr().out)["merges"][0]["name"] == "vito"
    assert run("classes", "diff", str(out), settings=settings) == 0
    assert "vito" in capsys.readouterr().out


def run(*arguments, settings):
    try:
        return main(["--config", str(settings), *arguments]) or 0
    except SystemExit as stopped:
        return stopped.code


def test_the_command_takes_a_report_without_a_bucket(tmp_path, capsys):
    report = tmp_path / "report.csv"
    report.write_text("class,precision,recall,f1-score,support\na,0.5,0.5,0.5,100\nb,0.5,0.5,0.5,100\n")
    settings = tmp_path / "carpipe.toml"
    settings.write_text("")
    assert run("classes", "advise", "--report", str(report), settings=settings) == 0
    assert "1. a + b" in capsys.readouterr().out
    assert run("classes", "advise", "--report", str(report), "--out", str(tmp_path / "x"), settings=settings) != 0
    assert "--report goes with no --out" in capsys.readouterr().err


def test_what_is_no_evaluation_of_the_classifier_is_a_sentence(session, done):
    with pytest.raises(InputError, match="no evaluation of the classifier"):
        advise(session, done.key)


def test_an_evaluation_that_cannot_be_meant_is_a_sentence(session, answers):
    strange = manifest.read(session.store, evaluate(session, answers, tag="strange", only_best=True))
    work = Work("evaluate", 2, "classifier", {"odd": 1}, tuple(strange.inputs))
    lost = manifest.commit(session.store, work, {}, counts={}, extra={"classes": []})
    with pytest.raises(InputError, match="does not say which dataset"):
        advise(session, lost.key)
    work = Work("evaluate", 2, "classifier", {"odd": 2}, tuple(strange.inputs))
    files = {"predictions.parquet": manifest.read_file(session.store, strange, "predictions.parquet")}
    extra = {**strange.extra, "classes": list(answers.classes[1:])}
    with pytest.raises(InputError, match="none of its classes"):
        advise(session, manifest.commit(session.store, work, files, counts={}, extra=extra).key)


def test_a_photo_that_the_dataset_has_lost_is_a_sentence(answers):
    with pytest.raises(InputError, match="lacks 1 photos"):
        _with_cars(rows_of(answers, np.ones(len(answers.photos), bool)), answers.photos[1:])


def test_a_bucket_of_before_can_be_asked(s3):
    old = open_session(load_config(recorded.SETTINGS, {"store.url": f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"}))
    with pytest.raises(InputError, match="No classifier has been evaluated"):
        find_evaluation(old, None)
    recorded.restore(old)
    live = channel.read_channel(old.store, "classifier").model
    assert find_evaluation(old, live.split("/")[2]) == manifest.read(old.store, live).inputs[0]
    done = advise(old, find_evaluation(old, None))
    assert done.counts["in"] > 0
    listings = results.read_photos(
        old.store, manifest.read(old.store, done.extra["dataset"]), columns=["listing_uuid"]
    )["listing_uuid"]
    kept = b"".join(manifest.read_file(old.store, done, name) for name in done.files).decode()
    assert not any(listing in kept for listing in listings)
    # A forgotten listing is not in it, so it stays.
    forget(old, listings.iloc[0], at="2026-02-01T03:00:00Z")
    assert manifest.read(old.store, done.key).key == done.key
    # gc keeps it as long as the model that it advises on is there, and not a day longer.
    assert done.key not in _garbage(old)
    for folder in ("channels", "models"):
        old.store.delete([info.key for info in old.store.list_usable(folder)])
    assert {done.key, done.inputs[0]} <= _garbage(old)


def _garbage(session):
    found = find_garbage(session, older_than=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    return {info.key for info in found.objects}
