"""Old buckets live on: one that carpipe 0.1.0 made is read and taken over whole."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from carpipe import manifest
from carpipe.cli import main
from carpipe.sample import DETECTOR
from carpipe.steps import chain, results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.data.inventory import inventory, read_inventory
from carpipe.steps.data.plan import plan
from carpipe.steps.models.decisions import decisions
from carpipe.steps.models.score_log import scores
from carpipe.steps.upkeep.garbage import KNOWN, find_garbage
from carpipe.steps.views import channels, datasets
from carpipe.weights.client import pull
from tests.indexed import show_dataset
from tests.recorded import BUCKET, SETTINGS, objects, restored

pytestmark = pytest.mark.slow
# Stages whose VERSION was raised since the recording, and those behind them: they alone may be made anew.
# Say in CHANGELOG.md what is made anew, and why.
MADE_ANEW: set[str] = {
    "clean",
    "filter",
    "crop",
    "identify",
    "classes",
    "split",
    "pack",
    "validate",
    "dataset",
    "label_set",
    *(f"{step} {model}" for step in ("train", "evaluate", "package") for model in ("car_filter", "classifier")),
}
# Of these only what must be: where a thumbnail is as it was, its score and its crop are taken over.
PHOTO_BY_PHOTO = {"filter", "crop"}


@pytest.fixture(scope="module")
def session(s3):
    return restored(s3)


def objects_of(session):
    return {info.key: info.etag for info in session.store.list_objects("")}


def test_the_recording_is_small():
    assert BUCKET.stat().st_size < 2_000_000


def test_the_detector_is_the_one_that_was_recorded():
    recorded = {json.loads(data)["files"]["detector/detector.pt"]["sha256"] for key, data in objects()
                if key.startswith("datasets/") and key.endswith("/manifest.json")}  # fmt: skip
    assert recorded == {hashlib.sha256(DETECTOR.read_bytes()).hexdigest()}, "keep the old one in tests/recorded"


def test_the_plan_for_an_old_bucket_is_what_is_made_anew(session):
    forecast = plan(session, inventory(session).key).forecast
    wanted = MADE_ANEW & {row.stage for row in forecast}
    assert {row.stage for row in forecast if row.photos} == wanted - PHOTO_BY_PHOTO


def test_a_night_over_an_old_bucket_makes_nothing_else_anew(session):
    before, fresh, stages, worked = objects_of(session), set(), set(), Counter()

    def progress(stage, done):
        stages.add(stage)
        if done.fresh:
            fresh.add(stage)
        if stage in PHOTO_BY_PHOTO:
            worked[stage] += done.counts["in"] - done.reused

    outcome = chain.run(session, run_id="later", now=lambda: "2026-02-01T01:00:00Z", progress=progress)

    after = objects_of(session)
    assert len(stages) >= 16
    assert fresh == MADE_ANEW
    assert worked == Counter(filter=0, crop=0), "the drawn photos look as they did"
    if not MADE_ANEW:
        assert outcome.verdict.outcome == "nothing_to_do"
        written = {key for key in after if after[key] != before.get(key)}
        assert all(key.startswith("channels/") and "/decisions/" in key for key in written), written


def test_the_old_live_model_has_answered_the_listings_that_came_after_it(session):
    [entry] = scores(session, "classifier")
    new, old = find_dataset(session, entry["dataset"]), find_dataset(session, None)
    live = manifest.read(session.store, entry["model"])
    assert new.key == old.key
    before = results.read_photos(session.store, find_dataset(session, live.extra["dataset"]))
    photos = results.read_photos(session.store, new)
    later = photos[~photos["listing_uuid"].isin(before["listing_uuid"]) & photos["crop_width"].notna()]
    counted = later[later["dropped"].isna() & ~later["vehicle"].isin(before["vehicle"])]

    assert (live.carpipe, entry["generation"]) == ("0.1.0", 1)
    apart = {name: one["photos"] for name, one in entry["apart"].items()}
    assert (entry["photos"], entry["photos"] + sum(apart.values())) == (len(counted), len(later))
    assert len(later) > 0
    assert entry["test_accuracy"] == live.extra["metrics"]["test_accuracy"]
    [decision] = [one for one in decisions(session, "classifier") if one["run"] == "later"]
    assert decision["numbers"]["newest"]["photos"] == entry["photos"]
    assert "newest" in {check["name"] for check in decision["checks"]}


def test_what_it_answered_is_no_garbage_and_no_reason_to_keep_anything(session):
    done = [manifest.read(session.store, info.key) for info in session.store.list_objects("stages/score")
            if info.key.endswith("/manifest.json")]  # fmt: skip
    garbage = find_garbage(session, older_than=timedelta(0), now=datetime.now(UTC) + timedelta(seconds=5))

    assert done
    assert not [info.key for info in garbage.objects if info.key.startswith("stages/score/")]
    assert all(key.startswith("models/") for one in done for key in one.inputs)


def test_an_app_gets_the_old_model_and_it_answers_as_it_did(session, tmp_path):
    model = pull(session.store, "classifier", cache=tmp_path)
    assert model.deviation < 1e-4
    assert model.classes == ("long", "small", "tall")


def test_pages_show_an_old_bucket(session):
    cache = ResultCache(session)
    newest, first = datasets.list_datasets(cache).rows[-2:]
    shown = show_dataset(cache, first.id)
    channel = channels.show_channel(cache, "classifier")
    assert (newest.photos, first.photos) == (115, 106)
    assert {reason.stage for reason in shown.reasons} >= {"clean", "crop", "identify", "classes", "split"}
    assert [release.generation for release in channel.history] == [1]
    assert len(channel.models) >= 2
    assert {"publish", "refuse", "nothing_to_do"} <= {one["outcome"] for one in channel.decisions}


def test_every_stage_that_was_ever_committed_is_known_to_gc():
    stages = {key.split("/")[1] for key, _ in objects() if key.startswith("stages/")}
    assert stages <= set(KNOWN)


def test_every_step_is_a_command(session, monkeypatch, capsys):
    """The whole chain by hand, each step with the keys that those before it have printed."""
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)

    def step(name, *arguments):
        assert main(["--config", str(SETTINGS), "step", name, *arguments]) == 0, capsys.readouterr().err
        return capsys.readouterr().out.strip()

    stock = step("inventory")
    weights = plan(session, stock).car_filter
    cropped = []
    for part in read_inventory(session, stock).partitions:
        cleaned = step("clean", part["manifest"], "--inventory", stock)
        cropped.append(step("crop", step("filter", cleaned, "--weights", weights)))
    splitted = step("split", step("classes", step("identify", *cropped, "--inventory", stock)))
    packed = [step("pack", splitted, one) for one in cropped]
    made = step("dataset", splitted, step("validate", splitted), *packed)
    trained = step("train", "classifier", made)
    packaged = step("package", "classifier", step("evaluate", trained, made))
    assert step("label-set").startswith("stages/label_set/")
    last = "later" if MADE_ANEW else "night-2"
    assert f"nothing to do: It was refused by run {last}." in step("gate", "classifier", packaged)
    assert find_dataset(session, made).key == made == find_dataset(session, None).key
    assert f": {packaged}" in step("publish", "classifier", packaged)
