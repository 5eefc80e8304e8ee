"""A bucket over time: new nights, deleted and changed photos, a listing to forget, plans, outages, garbage."""

import itertools
import json
import re
import shutil
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carpipe import manifest
from carpipe.cli import main
from carpipe.config import CostConfig
from carpipe.errors import InputError, MissingError, UnavailableError, ValidationError
from carpipe.photos import kept
from carpipe.sample import draw_world
from carpipe.steps import chain, results
from carpipe.steps.data.clean import clean
from carpipe.steps.data.dataset import dataset
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.data.export import export
from carpipe.steps.data.inventory import inventory, latest_inventory
from carpipe.steps.data.ledger import read_ledger
from carpipe.steps.data.plan import plan
from carpipe.steps.data.plan_text import render_plan
from carpipe.steps.data.report import download_report
from carpipe.steps.data.upload import upload
from carpipe.steps.data.validate import validate
from carpipe.steps.labels.store import import_labels
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.upkeep.garbage import collect, find_garbage
from tests.conftest import make_config
from tests.looking import Looking
from tests.training.backbones import saved
from tests.training.backbones import small as backbone

pytestmark = [pytest.mark.slow]

AT = "2026-01-01T00:00:00Z"
# A filter that keeps everything: what is tested here is who does what when.
SETTINGS = {
    "classes__min_photos": 1,
    "filter__threshold": 0.0,
    "car_filter__head_epochs": 1,
    "car_filter__weights": "imagenet",
    "car_filter__alpha": 1.0,
    "clean__max_unreadable": 0.5,
    "validation__class_tolerance": 1.0,
    "validation__split_tolerance": 1.0,
    "validation__funnel_tolerance": 1.0,
}


def silent(stage, done):
    pass


class Bucket:
    """A bucket, and what is asked of it; tests run in order, each a night or so later."""

    def __init__(self, url, taxonomy, backbone):
        self.url = url
        # TensorFlow compiles a backbone of one's own in no time.
        self.settings = {**SETTINGS, "classes__taxonomy": str(taxonomy), "car_filter__backbone": str(backbone)}
        self.session = self.open()
        self.store = self.session.store

    def open(self, **settings):
        return open_session(make_config(self.url, **{**self.settings, **settings}))

    def night(self):
        """Run the pipeline; returns the dataset and the objects that are new."""
        before = {info.key for info in self.store.list_objects("")}
        done = chain.prepare_dataset(self.session, now=lambda: AT, progress=silent)
        return done, [key for key in (info.key for info in self.store.list_objects("")) if key not in before]

    def photos(self, dataset=None):
        return results.read_photos(self.store, dataset or find_dataset(self.session, None)).set_index("key")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return draw_world(tmp_path_factory.mktemp("small"), seed=6, listings=18)


@pytest.fixture(scope="module")
def later(small):
    """Listings that are uploaded on the second night."""
    listings = sorted({row.key.split("_")[-2] for row in small.photos})
    return listings[::4]


@pytest.fixture(scope="module")
def bucket(s3, small, later, tmp_path_factory):
    models = sorted({row.key.split("/")[0].rpartition("_")[0] for row in small.photos})
    # So few cars: two classes of many models, else no class has a vehicle for every side.
    taxonomy = {"version": 1, "classes": {"these": models[::2], "those": models[1::2]}}
    path = tmp_path_factory.mktemp("taxonomy") / "two.yaml"
    path.write_text(json.dumps(taxonomy))
    own = saved(backbone(side=96), path.parent)
    bucket = Bucket(f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}", path, own)
    upload(bucket.session, pick(small, tmp_path_factory.mktemp("first"), lambda listing: listing not in later))
    rows = "".join(f"{row.key},{row.label}\n" for row in small.photos if row.label)
    import_labels(bucket.session, f"key,label\n{rows}".encode(), at="20260101T000000Z")
    chain.train_filter(bucket.session, run="r", now=lambda: AT, progress=silent)
    return bucket


def pick(world, folder, wanted):
    for row in world.photos:
        if wanted(row.key.split("_")[-2]):
            path = folder / row.key
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(world.raw / row.key, path)
    return folder


def test_before_anything_ran_the_plan_is_to_do_everything(bucket):
    stock = inventory(bucket.session)

    forecast = {row.stage: row for row in plan(bucket.session, stock.key).forecast}

    assert (forecast["clean"].partitions, forecast["clean"].photos) == (1, stock.photos)
    assert forecast["clean"].reused_photos == 0
    assert forecast["crop"].minutes > 0
    assert not forecast["crop"].measured
    said = render_plan(list(forecast.values()), CostConfig())
    assert "(guess)" in said
    assert said.count("unknown") == 4
    assert "0 B" not in said
    assert "Where the time" not in said


def test_the_second_night_works_on_new_photos_only(bucket, small, later, tmp_path):
    first, _ = bucket.night()
    upload(bucket.session, pick(small, tmp_path, lambda listing: listing in later))
    stock = inventory(bucket.session)
    forecast = {row.stage: row for row in plan(bucket.session, stock.key).forecast}

    second, written = bucket.night()

    new = {stage: [key for key in written if key.startswith(f"stages/{stage}/") and key.endswith("manifest.json")]
           for stage in ("clean", "filter", "crop")}  # fmt: skip
    assert {stage: len(keys) for stage, keys in new.items()} == {"clean": 1, "filter": 1, "crop": 1}
    assert manifest.read(bucket.store, new["clean"][0]).counts["in"] == stock.new_photos == forecast["clean"].photos
    assert forecast["clean"].reused_photos == stock.photos - stock.new_photos
    assert forecast["clean"].measured
    assert {*forecast["crop"].spent} == {"fetching", "decoding", "network", "encoding", "writing"}
    assert {*forecast["clean"].spent} == {"fetching", "decoding", "writing"}
    said = render_plan(list(forecast.values()), CostConfig())
    assert re.search(r"^clean +1 .*B +[0-9.]+$", said, flags=re.MULTILINE)
    assert re.search(r"^crop     [0-9]+ % [a-z]+, ", said, flags=re.MULTILINE)
    assert len(bucket.photos(second)) == len(bucket.photos(first)) + stock.new_photos
    assert second.extra["previous"] == first.key


def test_no_listing_of_the_first_night_changed_sides(bucket):
    first, second = sorted(
        (info for info in bucket.store.list_objects("datasets") if info.key.count("/") == 2
         and info.key.endswith("manifest.json")), key=lambda info: info.modified,
    )  # fmt: skip
    sides = [
        kept(bucket.photos(manifest.read(bucket.store, info.key)).reset_index())
        .drop_duplicates("listing_uuid")
        .set_index("listing_uuid")["split"]
        for info in (first, second)
    ]
    common = sides[0].index.intersection(sides[1].index)

    assert len(common) > 5
    assert sides[0][common].equals(sides[1][common])
    assert set(read_ledger(bucket.session)[1].index) >= set(sides[1].index)


def test_after_a_run_the_plan_is_to_do_nothing(bucket):
    forecast = plan(bucket.session, inventory(bucket.session).key).forecast

    assert [row.partitions for row in forecast] == [0, 0, 0, 0]
    assert [row.minutes for row in forecast] == [0, 0, 0, 0]


def test_a_new_threshold_filters_again_and_detects_nothing(bucket):
    other = bucket.open(filter__threshold=0.01)

    forecast = {row.stage: row for row in plan(other, inventory(other).key).forecast}

    assert forecast["clean"].partitions == 0
    assert forecast["filter"].partitions == 2
    assert (forecast["crop"].partitions, forecast["crop"].photos) == (2, 0)
    assert forecast["crop"].reused_photos > 0


def test_a_deleted_photo_leaves_and_a_changed_one_takes_its_place(bucket, small):
    alive = kept(bucket.photos().reset_index())
    deleted, changed = alive["key"].iloc[0], alive["key"].iloc[-1]
    other = next(row.key for row in small.photos if row.kind == "original" and row.expect == "keep")
    bucket.store.delete([f"raw/{deleted}"])
    bucket.store.put(f"raw/{changed}", (small.raw / other).read_bytes())

    bucket.night()

    rows = results.read_photos(bucket.store, find_dataset(bucket.session, None))
    assert rows.loc[rows["key"] == deleted, "dropped"].tolist() == ["deleted"]
    assert rows.loc[rows["key"] == changed, "dropped"].tolist()[0] == "deleted", "the old version has gone"
    assert rows.loc[rows["key"] == changed, "dropped"].tolist()[1] != "deleted"


def test_a_forgotten_listing_is_nowhere_but_in_earlier_datasets(bucket):
    earlier = find_dataset(bucket.session, None)
    listing = kept(bucket.photos().reset_index())["listing_uuid"].iloc[0]
    mine = set(bucket.photos().query("listing_uuid == @listing").index)

    done = forget(bucket.session, listing, at=AT)

    assert done.photos == len(mine)
    assert done.label_sets == 1
    assert earlier.key in done.datasets
    assert not [info.key for info in bucket.store.list_objects("raw") if listing in info.key]
    for part in latest_inventory(bucket.session).partitions:
        for stage in ("clean", "filter", "crop"):
            for folder in bucket.store.list_folders(f"stages/{stage}/{part['partition']}"):
                source = manifest.read(bucket.store, f"{folder}/manifest.json")
                for name in source.files:
                    assert mine.isdisjoint(names_in(bucket, source, name)), (stage, name)
    assert all(mine.isdisjoint(results.read_photos(bucket.store, found)["key"]) for found in label_sets(bucket))


def names_in(bucket, source, name):
    from carpipe.photos import from_parquet

    return set(from_parquet(manifest.read_file(bucket.store, source, name), columns=["key"])["key"])


def label_sets(bucket):
    keys = (info.key for info in bucket.store.list_objects("stages/label_set"))
    return [manifest.read(bucket.store, key) for key in keys if key.endswith("/manifest.json")]


def test_after_forgetting_nothing_is_decoded_or_detected_again(bucket):
    done, written = bucket.night()

    assert not [key for key in written if key.startswith(("stages/inventory/p", "stages/clean", "stages/filter"))]
    assert not [key for key in written if key.startswith("stages/crop")]
    forgotten = [info.key.rpartition("/")[2][:-5] for info in bucket.store.list_objects("stages/inventory/forgotten")]
    assert not bucket.photos(done)["listing_uuid"].isin(forgotten).any()
    assert manifest.read(bucket.store, done.extra["previous"]).key


def test_a_forgotten_listing_is_not_uploaded_again(bucket, small, tmp_path):
    record = next(iter(bucket.store.list_objects("stages/inventory/forgotten")))
    listing = json.loads(bucket.store.get(record.key))["listing"]
    both = pick(small, tmp_path, lambda one: one in (listing, small.photos[-1].key.split("_")[-2]))
    mine = sum(listing in path.name for path in both.rglob("*.jpg"))

    done = upload(bucket.session, both)

    assert done.forgotten == mine > 0
    assert done.uploaded + done.skipped + mine == sum(1 for _ in both.rglob("*.jpg"))
    assert not [info.key for info in bucket.store.list_objects("raw") if listing in info.key]


def test_a_forgotten_listing_that_is_uploaded_again_is_dropped(bucket, small):
    record = next(iter(bucket.store.list_objects("stages/inventory/forgotten")))
    listing = json.loads(bucket.store.get(record.key))["listing"]
    key = next(row.key for row in small.photos if listing in row.key)
    bucket.store.put(f"raw/{key}", (small.raw / key).read_bytes())

    done, _ = bucket.night()

    assert bucket.photos(done).loc[key, "dropped"] == "forgotten"


def test_garbage_is_what_nothing_refers_to(bucket, tmp_path):
    other = bucket.open(clean__thumbnail_quality=50)
    stock = latest_inventory(other)
    stray = clean(other, stock.partitions[0]["manifest"], inventory=stock.key)
    # The chain's own results are newer again.
    newest, _ = bucket.night()
    clean(bucket.session, stock.partitions[0]["manifest"], inventory=stock.key)
    kept_objects = {info.key for info in bucket.store.list_objects("raw")} | {newest.key}
    now = datetime.now(UTC)

    assert find_garbage(bucket.session, older_than=timedelta(hours=1), now=now).objects == []
    garbage = find_garbage(bucket.session, older_than=timedelta(0), now=now + timedelta(seconds=5))
    collect(bucket.session, garbage)

    deleted = {info.key for info in garbage.objects}
    assert all(key.startswith(("stages/", "runs/")) for key in deleted)
    assert kept_objects <= {info.key for info in bucket.store.list_objects("")}
    assert stray.key not in deleted, "newest of its partition: the next run may start from it"
    for name in newest.files:
        manifest.read_file(bucket.store, newest, name)
    with results.local_shards(bucket.store, newest, "train", "val", "test") as shards:
        assert all(shards.values())
    again, written = bucket.night()
    assert again.key == newest.key
    assert written == []


def test_garbage_is_not_collected_past_a_manifest_that_cannot_be_read(bucket):
    strange = "datasets/from-the-future/manifest.json"
    bucket.store.put(strange, b'{"stage": "dataset", "color": "blue"}')

    with pytest.raises(InputError, match=r"from-the-future/manifest\.json is not a manifest"):
        find_garbage(bucket.session, older_than=timedelta(0), now=datetime.now(UTC))

    bucket.store.delete([strange])


def test_forgetting_that_was_interrupted_can_be_run_again(bucket, monkeypatch):
    """Killed before its first deletion of a result, then before its second, and so on."""
    listing, other = kept(bucket.photos().reset_index())["listing_uuid"].unique()[-2:]
    delete = bucket.store.delete

    def forget_but_die_at(moment):
        deletions = itertools.count()

        def killed(keys):
            for key in keys:
                if key.startswith("stages/") and next(deletions) == moment:
                    raise KeyboardInterrupt
                delete([key])

        with monkeypatch.context() as patch:
            patch.setattr(bucket.store, "delete", killed)
            return forget(bucket.session, listing, at=AT)

    with pytest.raises(KeyboardInterrupt):
        forget_but_die_at(0)
    assert thumbnails_of(bucket, listing)
    with pytest.raises(InputError, match=f"Run `carpipe forget --listing {listing}` again first"):
        forget(bucket.session, other, at=AT)
    for moment in range(1, 5):
        with pytest.raises(KeyboardInterrupt):
            forget_but_die_at(moment)
    done = forget(bucket.session, listing, at=AT)

    assert not thumbnails_of(bucket, listing)
    assert done.photos > 0
    assert done.raw > 0
    assert done.left == []


def thumbnails_of(bucket, listing):
    """Manifests of cleaned partitions that still hold a thumbnail of the listing."""
    found = []
    for info in bucket.store.list_objects("stages/clean"):
        if info.key.endswith("/manifest.json"):
            source = manifest.read(bucket.store, info.key)
            names = names_in(bucket, source, "thumbnails.parquet")
            found += [info.key] if any(f"_{listing}_" in name for name in names) else []
    return found


def test_bad_data_stops_the_run_and_is_judged_anew(bucket, monkeypatch, tmp_path):
    strict = bucket.open(classes__min_photos=10_000, classes__max_photos=0)
    dataset, _ = bucket.night()

    for _ in range(2):
        with pytest.raises(ValidationError, match="broke 4 expectations of 6") as stopped:
            validate(strict, dataset.inputs[0], at=AT)

    report = re.search(r"Dataset report: (\S+)\nData Docs: (\S+)\n", str(stopped.value))
    assert "10,000 photos or more" in str(stopped.value)
    assert "10,000 photos or more" in bucket.store.get(report[1]).decode()
    assert bucket.store.get(report[2])
    named = re.search(r"--validation (\w+)`", str(stopped.value))[1]
    monkeypatch.setenv("CARPIPE_STORE", bucket.url)
    assert main(["report", str(tmp_path), "--no-browser", "--validation", named]) == 0
    assert "10,000 photos or more" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "data_docs" / "index.html").exists()


def test_a_validation_that_never_failed_has_no_report(bucket, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CARPIPE_STORE", bucket.url)

    assert main(["report", str(tmp_path), "--no-browser", "--validation", "0" * 20]) == 1
    assert "There is no failed validation 00000000000000000000" in capsys.readouterr().err


def test_a_photo_can_be_asked_what_became_of_it(bucket, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", bucket.url)
    rows = bucket.photos()
    alive, out = rows[rows["dropped"].isna()].iloc[0], rows[rows["dropped_by"] == "clean"].iloc[0]

    assert main(["photo", f"raw/{alive.name}"]) == 0
    told_alive = capsys.readouterr().out
    assert main(["photo", out.name.rpartition("/")[2]]) == 0
    told_out = capsys.readouterr().out

    assert told_alive.startswith(f"{alive.name}\n  in: {alive['split']}\n")
    assert alive["class_name"] in told_alive
    assert told_out.startswith(f"{out.name}\n  out: {out['dropped']}, by stage clean\n")


def test_a_listing_can_be_asked_for_all_its_photos(bucket, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", bucket.url)
    rows = bucket.photos()
    listing = rows["listing_uuid"].iloc[0]

    assert main(["photo", listing]) == 0

    told = capsys.readouterr().out
    assert all(key in told for key in rows.index[rows["listing_uuid"] == listing])


def test_a_photo_that_is_not_there(bucket, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", bucket.url)

    assert main(["photo", "lada_niva_1999/1.jpg"]) == 1
    assert "has 'lada_niva_1999/1.jpg' in its key" in capsys.readouterr().err


def test_datasets_are_listed_newest_first(bucket, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", bucket.url)

    assert main(["datasets"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert all(bucket.store.head(line.split()[-1]) for line in lines[1:])
    assert lines[1].endswith(find_dataset(bucket.session, None).key)
    made = [datetime.fromisoformat(f"{line[:16]}+00:00") for line in lines[1:]]
    assert made == sorted(made, reverse=True)
    assert timedelta() <= datetime.now(UTC) - made[0] < timedelta(hours=1)


def test_a_dataset_is_known_by_its_id(bucket, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", bucket.url)
    done = find_dataset(bucket.session, None)

    assert find_dataset(bucket.session, done.key.split("/")[1]) == done


def test_a_folder_that_some_tool_left_is_no_photo(bucket, s3):
    import boto3

    client = boto3.client("s3", endpoint_url=s3.endpoint)
    prefix = bucket.url.removeprefix(f"s3://{s3.bucket}/")
    before = inventory(bucket.session).photos
    client.put_object(Bucket=s3.bucket, Key=f"{prefix}/raw/audi_a3_2001/", Body=b"")

    assert inventory(bucket.session).photos == before


def test_who_looks_on_sees_how_far_long_work_is(bucket, tmp_path):
    looking = Looking()
    session = replace(bucket.session, progress=looking)
    photos = export(session, tmp_path / "export", None)
    pages = len([*download_report(session, tmp_path / "report", None).parent.rglob("*.html")])
    garbage = find_garbage(session, older_than=timedelta(days=9), now=datetime.now(UTC))
    collect(session, garbage)

    assert (looking.one("export").done, looking.one("export").total, looking.one("export").unit) == (
        photos, photos, "photos",
    )  # fmt: skip
    assert looking.one("report").done == looking.one("report").total >= pages > 1
    assert looking.one("look for what is in use").done > 1
    assert looking.one("delete").done == len(garbage.objects)


def test_shards_that_have_gone_are_packed_again(bucket):
    done = find_dataset(bucket.session, None)
    shard = results.shards_of(done)[0]["key"]
    data = bucket.store.get(shard)
    bucket.store.delete([shard, done.key])

    assert bucket.night()[0].key == done.key
    assert bucket.store.get(shard) == data


def test_a_dataset_is_not_made_of_shards_that_go_meanwhile(bucket):
    done = find_dataset(bucket.session, None)
    splitted, validated = done.inputs
    shard = results.shards_of(done)[0]["key"]
    data = bucket.store.get(shard)
    bucket.store.delete([shard, done.key])
    with pytest.raises(MissingError, match=re.escape(f"The shard {shard} has gone since; clear `to_pack`")):
        dataset(bucket.session, splitted, validated, done.extra["packed"])
    bucket.store.put(shard, data)
    assert bucket.night()[0].key == done.key


def test_a_changed_taxonomy_makes_a_dataset_that_says_what_changed(bucket, tmp_path, monkeypatch, capsys):
    rules = json.loads(Path(bucket.settings["classes__taxonomy"]).read_text())
    model = kept(bucket.photos().reset_index())["model"].iloc[0]
    old, new = sorted(rules["classes"], key=lambda name: model not in rules["classes"][name])
    rules["classes"][old].remove(model)
    rules["classes"][new].append(model)
    changed = tmp_path / "changed.yaml"
    changed.write_text(json.dumps({**rules, "version": 2}))
    before = find_dataset(bucket.session, None)
    monkeypatch.setenv("CARPIPE_STORE", bucket.url)

    assert main(["classes", "diff", str(changed)]) == 0
    told = capsys.readouterr().out
    done = chain.prepare_dataset(bucket.open(classes__taxonomy=str(changed)), now=lambda: AT, progress=silent)

    assert model in told
    assert done.key != before.key
    assert new in done.extra["class_changes"][old]
    assert before.extra["class_changes"] == {}


def test_report_and_docs_are_brought_to_disk(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", bucket.url)

    assert main(["report", str(tmp_path), "--no-browser"]) == 0

    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert find_dataset(bucket.session, None).key.split("/")[1] in page
    assert (tmp_path / "data_docs" / "index.html").exists()


def test_a_storage_in_trouble_drops_nothing(bucket, small):
    error_page = b"<html><body>503 Service Temporarily Unavailable</body></html>"
    careful = bucket.open(clean__max_unreadable=0.1)
    folder = small.photos[0].key.split("/")[0]
    keys = [f"raw/{folder}/1_{n}_{uuid.uuid4()}_{uuid.uuid4()}.jpg" for n in range(30)]
    for key in keys:
        bucket.store.put(key, error_page)
    stock = inventory(careful)

    with pytest.raises(UnavailableError, match="30 of the 30 photos of partition p00004-"):
        clean(careful, stock.partitions[-1]["manifest"], inventory=stock.key)

    assert not bucket.store.list_folders(f"stages/clean/{stock.partitions[-1]['partition']}")
