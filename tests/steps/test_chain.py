"""The whole chain on a small drawn world: what comes out, and what a second run does."""

import csv
import io
import itertools
import json
import logging
import re
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from carpipe import manifest
from carpipe.cli import main
from carpipe.errors import InputError
from carpipe.evaluation.top_answers import from_parquet
from carpipe.manifest import Work
from carpipe.photos import kept, to_parquet
from carpipe.steps import chain, results
from carpipe.steps.data.clean import clean
from carpipe.steps.data.cost import dataset_cost, model_cost
from carpipe.steps.data.crop import crop
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.data.filter import filter_cars
from carpipe.steps.data.inventory import inventory, latest_inventory
from carpipe.steps.data.pack import find_unpacked, pack
from carpipe.steps.data.plan import plan
from carpipe.steps.data.upload import upload
from carpipe.steps.labels.store import import_labels
from carpipe.steps.models.answers import read_answers
from carpipe.steps.models.evaluate import TOP_ANSWERS
from carpipe.steps.models.gate import find_nothing_new, gate
from carpipe.steps.models.package import package
from carpipe.steps.models.publish import promote, rollback
from carpipe.steps.models.suspects import suspects
from carpipe.steps.models.train import content_of
from carpipe.steps.models.unknown import read_sight
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.garbage import find_garbage
from carpipe.steps.views.funnel import read_funnel
from carpipe.weights import channel
from carpipe.weights.channel import read_released
from carpipe.weights.client import pull
from tests.conftest import SAMPLE, make_config
from tests.looking import Looking
from tests.training.backbones import saved, small
from tests.training.conftest import OWN

pytestmark = [pytest.mark.slow]

SETTINGS = {
    "inventory__partition_photos": 200,
    "classes__min_photos": 8,
    "car_filter__head_epochs": 3,
    "classifier__head_epochs": 2,
    "classifier__finetune_epochs": 1,
    # Of so weak a model, most answers are classes that were not built in the year of the car.
    "classifier__year_share": 0.2,
}
# Validation cars that years are told by: the world of the tests has few.
FEW = 3


AT = "2026-01-03T00:00:00Z"


def silent(stage, done):
    pass


@pytest.fixture(scope="module")
def url(s3):
    return f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The classifier has a backbone of one's own: it is trained twice, and TensorFlow compiles that in no time."""
    own = saved(small(side=96), tmp_path_factory.mktemp("backbone"))
    return {**SETTINGS, "classifier__backbone": str(own), **{name.replace(".", "__"): OWN[name] for name in OWN}}


@pytest.fixture(scope="module")
def opened(url, settings):
    """Opens the bucket, with settings that a test has otherwise."""
    return lambda **others: open_session(make_config(url, **{**settings, **others}))


@pytest.fixture(scope="module")
def session(opened):
    return opened()


# What else people's folders hold; the first is a photo.
OUTSIDE = ("vw_golf/foto.jpg", "vw_golf/.DS_Store", "Thumbs.db")


@pytest.fixture(scope="module")
def outcome(session, world):
    upload(session, world.folder / "raw")
    photo = next(world.raw.rglob("*.jpg")).read_bytes()
    for key, data in zip(OUTSIDE, (photo, b"\0\0\0\1Bud1", b"\xd0\xcf\x11\xe0"), strict=True):
        session.store.put(f"raw/{key}", data)
    import_labels(session, (world.folder / "labels.csv").read_bytes(), at="20260101T000000Z")
    minutes = itertools.count()  # whenever the time is asked for, a minute has gone by
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("carpipe.evaluation.years.MIN_VEHICLES", FEW)
        return chain.run(session, run_id="run-1", now=lambda: f"2026-01-01T00:{next(minutes):02}:00Z", progress=silent)


@pytest.fixture(scope="module")
def photos(session, outcome):
    return results.read_photos(session.store, outcome.dataset)


def objects(session):
    """Every object with its version, but for the probes that opening a session writes."""
    return {info.key: info.etag for info in session.store.list_objects("") if not info.key.startswith("runs/")}


def test_every_photo_has_a_row_and_every_row_a_fate(world, photos):
    assert sorted(photos["key"]) == sorted([*OUTSIDE, *(row.key for row in world.photos)])
    outside = photos[photos["key"].isin(OUTSIDE)]
    assert set(outside["dropped"]) == {"name_not_understood"}
    assert outside[["model", "class_name", "vehicle", "split"]].isna().all(axis=None)
    assert (photos["dropped"].isna() == photos["dropped_by"].isna()).all()
    assert (photos["dropped"].isna() == photos["split"].notna()).all()


def test_the_report_shows_what_is_left_of_broken_photos(session, outcome, photos):
    page = manifest.read_file(session.store, outcome.dataset, results.REPORT).decode()
    shown = set(re.findall(r'<img src="data:image/jpeg;base64,[^"]{500,}" [^>]*alt="([^"]+)"', page))
    broken = set(photos.loc[photos["dropped"].isin(["truncated", "damaged"]), "key"])

    assert broken
    assert broken <= shown


def test_what_a_run_has_made_is_no_garbage(session, outcome):
    now = datetime.now(UTC) + timedelta(seconds=5)

    garbage = find_garbage(session, older_than=timedelta(0), now=now)

    # Exports have been copied into the models.
    assert [info.key for info in garbage.objects if not info.key.startswith(("runs/", "stages/export/"))] == []
    assert garbage.in_use > 30


def test_broken_photos_are_dropped_and_sound_ones_are_not(world, photos):
    truth = {row.key: row for row in world.photos}
    cleaned_out = set(photos.loc[photos["dropped_by"] == "clean", "key"])

    assert {key for key in cleaned_out if truth[key].expect == "keep"} == set()
    assert {key for key, row in truth.items() if row.expect == "drop"} <= cleaned_out


def test_the_filter_keeps_cars_and_drops_the_rest(world, photos):
    truth = {row.key: row.label for row in world.photos}
    judged = photos[photos["p_car"].notna()]
    right = [
        (p >= 0.7) == (truth[key] == "auto")
        for key, p in zip(judged["key"], judged["p_car"], strict=True)
        if truth[key]
    ]

    assert np.mean(right) > 0.9


def test_no_vehicle_of_the_truth_is_on_two_sides(world, photos):
    truth = {row.key: row.vehicle for row in world.photos if row.kind != "banner"}
    alive = photos[photos["split"].notna() & photos["key"].isin(truth)]

    assert alive.groupby(alive["key"].map(truth))["split"].nunique().max() == 1


def test_relisted_cars_are_one_vehicle_and_banners_join_nothing(world, photos):
    truth = {row.key: row for row in world.photos}
    known = photos[photos["vehicle"].notna()]
    known = known[known["key"].map(lambda key: truth[key].kind) != "banner"]
    vehicles = known["key"].map(lambda key: truth[key].vehicle)

    assert {row.kind for row in truth.values()} >= {"relist_exact", "banner"}
    assert known.groupby(vehicles)["vehicle"].nunique().max() == 1
    assert vehicles.groupby(known["vehicle"]).nunique().max() == 1


def test_the_funnel_adds_up(session, outcome, photos):
    entries = read_funnel(session, outcome.dataset.key)

    assert entries[0]["in"] == len(photos)
    assert all(entry["in"] - sum(entry["dropped"].values()) == entry["kept"] for entry in entries)
    assert all(before["kept"] == after["in"] for before, after in itertools.pairwise(entries))
    assert entries[-1]["kept"] == photos["split"].notna().sum() == sum(outcome.dataset.extra["splits"].values())


def test_shards_hold_every_kept_photo_once(session, outcome, photos):
    from carpipe.training.data import iter_records

    with results.local_shards(session.store, outcome.dataset, "train", "val", "test") as shards:
        found = {split: [record[:2] for record in iter_records(paths)] for split, paths in shards.items()}

    expected = photos[photos["split"].notna()]
    for split, records in found.items():
        rows = expected[expected["split"] == split]
        assert sorted(records) == sorted(zip(rows["key"], rows["class_name"], strict=True))


def test_the_dataset_holds_what_people_look_up(session, outcome):
    names = set(outcome.dataset.files)

    assert {"photos.parquet", "taxonomy.yaml", "funnel.json", "validation.json", "report.html"} <= names
    assert "data_docs/index.html" in names
    table = manifest.read_file(session.store, outcome.dataset, "table_for_train.csv").decode()
    assert next(csv.reader([table.splitlines()[0]]))[:6] == [
        "car_model", "single_car_index", "nof_photos", "directory_size", "cumsum_by_model", "updated_directory_size",
    ]  # fmt: skip


def test_the_model_is_published_with_all_that_belongs_to_it(session, outcome):
    live = channel.read_channel(session.store, "classifier")
    assert (live.generation, live.model) == (1, outcome.verdict.model)
    assert live.at > json.loads(session.store.get(outcome.verdict.key))["at"] > "2026-01-01T00:03", "when it was so"
    model = manifest.read(session.store, live.model)

    assert set(model.files) >= {
        "model.keras", "model.xml", "model.bin", "labels.json", "taxonomy.yaml", "class_changes.json",
        "preprocessing.json", "crop.json", "detector/detector.pt", "calibration.json", "metrics.json", "golden.npz",
        "README.md", "report_test.csv", "history.json", "evaluation.html", "plots/reliability.png", "known.json",
        "plots/known.png",
    }  # fmt: skip
    for name in model.files:
        manifest.read_file(session.store, model, name)  # checks the sha256
    assert json.loads(manifest.read_file(session.store, model, "labels.json")) == outcome.dataset.extra["classes"]


def test_the_likeliest_classes_of_val_and_test_are_kept_and_not_published(session, outcome, photos):
    judged = outcome.evaluation
    model = manifest.read(session.store, outcome.verdict.model)
    answers = read_answers(session, judged).set_index("key")
    alive = photos[photos["split"].notna()]

    for split, name in TOP_ANSWERS.items():
        top = from_parquet(manifest.read_file(session.store, judged, name))
        mine = alive[alive["split"] == split].set_index("key")["class_name"]
        assert dict(zip(top.photos["key"], top.photos["class_name"], strict=True)) == mine.to_dict()
        cost = judged.extra["top_answers"][split]
        assert (cost["photos"], cost["bytes"]) == (len(mine), judged.files[name]["bytes"])
        assert np.isfinite(top.energy).all()
        assert name not in model.files
    assert top.answer.tolist() == answers.loc[top.photos["key"], "answer"].tolist()


def test_the_listings_of_val_and_test_are_judged_by_what_the_evaluation_kept(session, outcome, photos):
    done = suspects(session, outcome.dataset.key)

    found = manifest.read_json(session.store, done, results.SUSPECTED)
    alive = photos[photos["dropped"].isna()]
    sides = alive.groupby("listing_uuid")["split"].agg(set)
    assert found["judged"] == sum("train" not in one for one in sides) > 0
    told = {one["listing"] for one in found["suspects"]}
    assert "train" not in set(alive.loc[alive["listing_uuid"].isin(told), "split"])


def test_a_packaged_model_can_say_how_familiar_new_listings_are(session, outcome):
    model = manifest.read(session.store, outcome.verdict.model)

    sight = read_sight(session, model)

    assert 0 <= sight.rule.alike <= 1
    assert len(sight.means.directions) == len(model.extra["classes"])


def test_golden_pictures_get_the_golden_answers(session, outcome, tmp_path):
    import io

    import keras

    model = manifest.read(session.store, outcome.verdict.model)
    golden = np.load(io.BytesIO(manifest.read_file(session.store, model, "golden.npz")))
    path = tmp_path / "model.keras"
    path.write_bytes(manifest.read_file(session.store, model, "model.keras"))

    again = keras.models.load_model(path, compile=False).predict(golden["pictures"], verbose=0)

    np.testing.assert_allclose(again, golden["probabilities"], atol=1e-4)


def test_an_app_is_told_whether_the_model_knows_a_car(session, outcome, tmp_path):
    model = pull(session.store, "classifier", cache=tmp_path)
    packaged = manifest.read(session.store, outcome.verdict.model)
    golden = np.load(io.BytesIO(manifest.read_file(session.store, packaged, "golden.npz")))

    p, familiarity = model.look(golden["pictures"])

    np.testing.assert_allclose(familiarity, model.known.familiarity(golden["probabilities"], golden["likeness"]),
                               atol=1e-2)  # fmt: skip
    assert "likeness.npz" not in packaged.files
    assert model.describe(p[0], familiarity=float(familiarity[0])).known is not None
    assert "It also says\nwhether a photo" in manifest.read_file(session.store, packaged, "README.md").decode()
    figures = json.loads(manifest.read_file(session.store, packaged, "known.json"))["figures"]
    assert figures["known"]["photos"] == json.loads(
        manifest.read_file(session.store, packaged, "metrics.json"))["test_photos"]  # fmt: skip


def test_an_app_is_told_years(session, outcome, tmp_path, photos):
    assert "figures" in outcome.evaluation.extra["years"], outcome.evaluation.extra["years"]["said"]

    model = pull(session.store, "classifier", cache=tmp_path)
    packaged = manifest.read(session.store, outcome.verdict.model)
    golden = np.load(io.BytesIO(manifest.read_file(session.store, packaged, "golden.npz")))

    p, familiarity, newer = model.see(golden["pictures"])
    answers = [model.describe(row, familiarity=9.0, newer=float(one)) for row, one in zip(p, newer, strict=True)]

    np.testing.assert_allclose(newer, golden["year"], atol=1e-2)
    built = photos[photos["split"].isin(["train", "val"])].groupby("class_name")["year"].agg(["min", "max"])
    for answer in (one for one in answers if one.name in model.years.classes):
        first, last = built.loc[answer.name]
        assert first - 8 <= answer.years[0] <= answer.years[1] <= last + 8
    assert any(answer.years for answer in answers)
    assert familiarity is not None
    card = manifest.read_file(session.store, packaged, "README.md").decode()
    assert "It also says of which years a car is likely to be" in card
    assert "years.npz" not in packaged.files
    assert '<h2 id="years">' in manifest.read_file(session.store, outcome.evaluation, "evaluation.html").decode()


def test_a_second_run_writes_nothing_and_says_so_once_for_each_part(session, outcome, caplog):
    before, looking = objects(session), Looking()

    with caplog.at_level(logging.INFO):
        again = chain.run(
            replace(session, progress=looking), run_id="run-2", now=lambda: "2026-01-02T00:00:00Z", progress=silent
        )

    parts = len(latest_inventory(session).partitions)
    said = [line.removeprefix("unchanged, and reused: ") for line in caplog.messages if "unchanged" in line]
    assert [line.split(", ")[0] for line in said] == ["label_set", f"clean ({parts})", "train"]
    assert looking.one("clean, filter, crop").done == parts > 1
    assert all(bar.ended for bar in looking.bars)

    decision = f"channels/{again.verdict.channel}/decisions/"
    new = {key for key in objects(session).keys() - before.keys() if not key.startswith("channels/")}
    assert new == set()
    assert {key: etag for key, etag in objects(session).items() if key in before} == before
    assert again.verdict.outcome == "nothing_to_do"
    assert again.verdict.key.startswith(decision)
    assert "It is live." in session.store.get(again.verdict.key).decode()


def test_another_threshold_recomputes_from_the_filter_on_and_nothing_earlier(opened, session, outcome):
    before = objects(session)

    done = chain.prepare_dataset(opened(filter__threshold=0.75), now=lambda: AT, progress=silent)

    new = Counter(key.split("/")[1] for key in objects(session).keys() - before.keys() if key.startswith("stages/"))
    assert done.key != outcome.dataset.key
    assert not {"inventory", "clean", "label_set"} & new.keys()
    assert {"filter", "crop", "identify", "classes", "split"} <= new.keys()


def test_what_a_dataset_and_a_model_have_cost_is_known(session, outcome, world):
    cost = dataset_cost(session, outcome.dataset)
    crops = manifest.read_many(
        session.store, manifest.read(session.store, identified_of(session, outcome.dataset.inputs[0])).inputs
    )
    cut = sum(done.counts["in"] for done in crops)
    assert cost.requests == len(world.photos) + cut
    assert cost.cpu_hours > sum(done.seconds for done in crops) / 3600 > 0
    model = read_released(session.store, channel.read_channel(session.store, "classifier")).manifest
    assert model_cost(session, model).gpu_hours > 0


def test_a_night_with_nothing_new_has_no_partition_to_do(session, outcome):
    fixed = plan(session, latest_inventory(session).key)
    splitted = outcome.dataset.inputs[0]
    assert fixed.to_do == []
    assert fixed.crops == manifest.read(session.store, identified_of(session, splitted)).inputs
    unpacked = find_unpacked(session, splitted)
    assert (unpacked.packed, unpacked.to_do) == (outcome.dataset.extra["packed"], [])


def test_only_partitions_that_lack_a_result_are_to_do(session, outcome, opened):
    fixed = plan(session, latest_inventory(session).key)
    lost = fixed.crops[0]
    body = session.store.get(lost)
    session.store.delete([lost])
    try:
        assert [part["partition"] for part in plan(session, fixed.inventory).to_do] == [lost.split("/")[2]]
    finally:
        session.store.put(lost, body)
    other = opened(filter__threshold=0.71)
    again = plan(other, fixed.inventory)
    assert again.to_do == again.partitions
    assert not {*again.crops} & {*fixed.crops}


def test_only_partitions_whose_rows_have_changed_are_packed_again(session, outcome):
    """One photo of the split goes to another class."""
    splitted = manifest.read(session.store, outcome.dataset.inputs[0])
    photos = results.read_photos(session.store, splitted)
    row = kept(photos).index[0]
    photos.loc[row, "class_name"] = "another"
    work = Work("split", 99, "all", {}, tuple(splitted.inputs))
    changed = manifest.commit(session.store, work, {results.PHOTOS: to_parquet(photos)}, counts={})
    unpacked = find_unpacked(session, changed.key)
    assert [key.split("/")[2] for key in unpacked.to_do] == [photos.loc[row, "partition"]]
    assert len({*unpacked.packed} - {*outcome.dataset.extra["packed"]}) == 1
    [todo] = unpacked.to_do
    assert pack(session, changed.key, todo).key in unpacked.packed
    assert find_unpacked(session, changed.key).to_do == []
    session.store.delete([changed.key])


def identified_of(session, splitted):
    return manifest.read(session.store, manifest.read(session.store, splitted).inputs[0]).inputs[0]


def test_a_new_threshold_detects_nothing_again(opened, outcome, session):
    other = opened(filter__threshold=0.72)
    fixed = plan(other, latest_inventory(other).key)
    cleaned = clean(other, fixed.partitions[0]["manifest"], inventory=fixed.inventory)

    filtered = filter_cars(other, cleaned.key, weights=fixed.car_filter)
    cropped = crop(other, filtered.key)

    assert filtered.fresh
    assert filtered.reused == filtered.counts["in"]
    assert cropped.fresh
    assert cropped.reused == cropped.counts["in"]
    assert cropped.bytes_read == 0
    assert cropped.reused_from


def test_a_later_version_of_clean_costs_only_the_photos_that_look_different_now(session, outcome, monkeypatch):
    from carpipe.stages import clean as stage

    fixed = plan(session, latest_inventory(session).key)
    part = fixed.partitions[0]["manifest"]
    old = clean(session, part, inventory=fixed.inventory)
    before = filter_cars(session, old.key, weights=fixed.car_filter)
    # The least sure ones: of others the filter may say 1.0, however bright they are.
    cars = results.read_photos(session.store, before).query("p_car >= 0.7").sort_values("p_car")
    darker = cars["key"].iloc[:2].tolist()
    monkeypatch.setattr(stage, "VERSION", stage.VERSION + 1)
    monkeypatch.setattr(stage, "clean", darkening(stage.clean, darker))

    cleaned = clean(session, part, inventory=fixed.inventory)
    filtered = filter_cars(session, cleaned.key, weights=fixed.car_filter)
    cropped = crop(session, filtered.key)

    assert filtered.counts["in"] - filtered.reused == 2
    anew = set(results.read_photos(session.store, cropped).query("key in @darker and dropped_by != 'filter'")["key"])
    assert cropped.counts["in"] - cropped.reused == len(anew)
    asked = results.read_photos(session.store, filtered).set_index("key")["p_car"]
    was = results.read_photos(session.store, before).set_index("key")["p_car"]
    assert asked.drop(darker).equals(was.drop(darker))
    assert (asked[darker] != was[darker]).all()


def darkening(clean, keys):
    """`clean` as a later version might do it: some thumbnails come out darker."""
    from PIL import Image, ImageEnhance

    from carpipe.pictures.encode import encode_jpeg

    def cleaned(files, **options):
        done = clean(files, **options)
        for key in keys:
            image = Image.open(io.BytesIO(done.thumbnails[key])).convert("RGB")
            done.thumbnails[key] = encode_jpeg(ImageEnhance.Brightness(image).enhance(0.9), quality=88)
        return done

    return cleaned


def test_one_new_photo_makes_one_new_partition(session, outcome, world, tmp_path):
    before = latest_inventory(session)
    source = next(row.key for row in world.photos if row.label == "auto" and row.expect == "keep")
    folder, name = source.split("/")
    listing, _, listing_uuid, _ = name.split("_")
    new = f"{folder}/{listing}_99_{listing_uuid}_{uuid.uuid4()}.jpg"
    (tmp_path / folder).mkdir()
    (tmp_path / new).write_bytes((world.folder / "raw" / source).read_bytes())
    upload(session, tmp_path)

    after = inventory(session)

    assert (after.generation, after.new_photos) == (before.generation + 1, 1)
    assert after.partitions[:-1] == before.partitions
    assert after.partitions[-1]["photos"] == 1
    done = chain.prepare_dataset(session, now=lambda: AT, progress=silent)
    assert done.extra["crop"]["detector_sha256"]
    assert len(results.read_photos(session.store, done)) == len(world.photos) + len(OUTSIDE) + 1
    session.store.delete([f"raw/{new}"])


def test_export_lays_the_dataset_out_as_folders(url, outcome, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", url)

    assert main(["export", str(tmp_path), "--dataset", outcome.dataset.key]) == 0

    photos = list(tmp_path.glob("data/*/*/*.jpg"))
    assert Counter(path.parts[-3] for path in photos) == outcome.dataset.extra["splits"]
    assert {path.parts[-2] for path in photos} == set(outcome.dataset.extra["classes"])
    assert main(["export", str(tmp_path)]) == 1
    assert "holds an export already" in capsys.readouterr().err


@pytest.fixture(scope="module")
def second(opened, session, outcome):
    """Another model of the classifier: the same, with `.h5`."""
    other = opened(classifier__h5=True)
    return package(other, outcome.evaluation.key, model="classifier")


def test_apps_that_want_h5_find_it_by_its_name(second):
    assert [name for name in second.files if re.fullmatch(r"model\.\d\d-\d+\.\d\d-[01]\.\d\d\.h5", name)]


def test_a_model_as_good_as_the_live_one_is_refused_with_its_numbers(session, outcome, second):
    verdict = gate(session, second.key, model="classifier", run="again", at="2026-01-09T00:00:00Z")

    assert verdict.outcome == "refuse"
    assert verdict.compared
    kept = json.loads(session.store.get(verdict.key))
    assert kept["numbers"]["difference"] == 0
    assert kept["champion"] == outcome.verdict.model
    assert [check["name"] for check in kept["checks"]] == ["servable"]
    assert "without TensorFlow" in kept["checks"][0]["message"]


def test_a_model_can_be_rolled_back_and_no_night_undoes_that(session, outcome, second):
    first = outcome.verdict.model
    moved = promote(session, "classifier", second.key, run="r", at=AT, reason="by hand")

    back = rollback(session, "classifier", run="r", at=AT, reason="worse")
    promote(session, "classifier", second.key, run="r2", at=AT, reason="after all")
    _, nightly = chain.retrain_classifier(session, outcome.dataset.key, run="n", now=lambda: AT, progress=silent)

    assert (moved.generation, back.generation, back.model) == (2, 3, first)
    assert nightly.outcome == "nothing_to_do"
    assert "It was live before" in nightly.reason
    assert channel.read_channel(session.store, "classifier").model == second.key


def test_a_model_of_another_channel_is_not_promoted(session, outcome):
    filter_model = channel.read_channel(session.store, "car-filter").model

    with pytest.raises(InputError, match="no model of channel classifier"):
        promote(session, "classifier", filter_model, run="r", at=AT, reason="by hand")


def test_other_tolerances_are_no_reason_to_train_anew(opened, session, outcome):
    other = opened(validation__class_tolerance=0.09)

    before = chain.prepare_dataset(session, now=lambda: AT, progress=silent)
    after = chain.prepare_dataset(other, now=lambda: AT, progress=silent)

    assert after.key != before.key
    assert content_of(after) == content_of(before)


def test_a_dataset_that_was_decided_about_is_nothing_new(session, outcome):
    found = find_nothing_new(session, outcome.dataset.key, model="classifier", run="t", at="2026-01-11T00:00:00Z")

    assert found.outcome == "nothing_to_do"
    assert "dataset, settings and code are those of" in json.loads(session.store.get(found.key))["reasons"][0]


def test_other_settings_are_something_new(opened, outcome):
    other = opened(classifier__head_epochs=3)

    assert find_nothing_new(other, outcome.dataset.key, model="classifier", run="t", at=AT) is None


def test_weights_are_listed_shown_and_pulled(url, session, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", url)
    live = channel.read_channel(session.store, "classifier")

    assert main(["weights", "list", "classifier"]) == 0
    listed = capsys.readouterr().out
    assert main(["weights", "show", "classifier"]) == 0
    shown = capsys.readouterr().out
    assert main(["weights", "pull", "classifier", str(tmp_path)]) == 0
    folder = capsys.readouterr().out.strip()

    assert f"{live.generation}  {live.at}  {live.model}" in listed
    assert "top-1" in shown
    assert "live, generation" in shown
    assert (tmp_path / folder / "detector" / "detector.pt").exists()
    assert main(["weights", "pull", "classifier", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_evaluation_tells_listings_and_calibration(outcome):
    figures = outcome.evaluation.extra["metrics"]

    assert {"test_accuracy", "test_macro_f1", "test_ece", "test_ece_before", "test_listing_accuracy"} <= figures.keys()
    assert 0 < figures["test_ece"] < 1


def test_the_newest_dataset_is_found(session, outcome):
    assert find_dataset(session, outcome.dataset.key).key == outcome.dataset.key
    with pytest.raises(InputError, match="no dataset datasets/none"):
        find_dataset(session, "datasets/none/manifest.json")


@pytest.fixture(scope="module")
def warm_night(opened, outcome):
    """A night on another dataset of the same classes: its session, and what came of it."""
    night = opened(classes__max_photos=30, classifier__warm_epochs=1)
    live = channel.read_channel(night.store, "classifier").model
    data = chain.prepare_dataset(night, now=lambda: AT, progress=silent)
    judged, verdict = chain.retrain_classifier(
        night, data.key, run="warm", now=lambda: "2026-01-12T00:00:00Z", progress=silent
    )
    return night, live, data, judged, verdict


def test_a_night_starts_from_the_live_model_and_says_so(warm_night, url, settings, monkeypatch, capsys):
    night, live, data, judged, verdict = warm_night
    trained = manifest.read(night.store, judged.extra["trained"])
    packaged = manifest.read(night.store, verdict.model)

    assert trained.extra["dataset"] == data.key
    assert (trained.extra["start"]["kind"], trained.extra["start"]["live"]) == ("warm", live)
    assert trained.counts["epochs"] == 1
    pinned = [json.loads(night.store.get(info.key)) for info in night.store.list_objects("runs/train/starts")]
    assert live in {start["live"] for start in pinned}, "another attempt of this run would start alike"
    assert (
        f"started warm, from `{live}`; the one before was cold. Why: the live model fits."
        in manifest.read_file(night.store, packaged, "README.md").decode()
    )
    monkeypatch.setenv("CARPIPE_STORE", url)
    monkeypatch.setenv("CARPIPE_CONFIG", str(SAMPLE))
    sets = [f"--set={name.replace('__', '.')}={value}" for name, value in settings.items()]
    assert main([*sets, "plan"]) == 0
    assert f"The next training of the classifier starts warm from {live}, 1 in a row" in capsys.readouterr().out


def test_the_gate_counts_cars_that_either_model_has_seen(warm_night):
    night, live, _, _, verdict = warm_night
    decision = json.loads(night.store.get(verdict.key))

    assert decision["champion"] == live
    assert decision["numbers"]["seen"] == {name: {"photos": 0, "vehicles": 0} for name in ("candidate", "champion")}


def test_a_second_warm_night_on_the_same_trains_nothing(warm_night):
    night, _, data, judged, _ = warm_night

    again, verdict = chain.retrain_classifier(
        night, data.key, run="again", now=lambda: "2026-01-13T00:00:00Z", progress=silent
    )

    assert (again.key, again.fresh) == (judged.key, False)
    assert verdict.outcome == "nothing_to_do"
