"""New buckets and old clients: what a later version of carpipe has written is read, kept and passed over.

Tests run in order, on one bucket.
"""

import io
import json
import shutil
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from carpipe import manifest
from carpipe.cli import main
from carpipe.config import load_config
from carpipe.errors import ConfigError, InputError
from carpipe.forms import LaterFormError
from carpipe.manifest import Work
from carpipe.photos import blobs_to_parquet
from carpipe.steps import chain, results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.clean import clean
from carpipe.steps.data.datasets import find_dataset, newest_datasets
from carpipe.steps.data.inventory import inventory, latest_inventory
from carpipe.steps.data.ledger import read_ledger
from carpipe.steps.labels.store import read_labels
from carpipe.steps.models.decisions import decisions
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.upkeep.garbage import collect, find_garbage, render_garbage
from carpipe.steps.views import channels, datasets
from carpipe.taxonomy.read import parse
from carpipe.weights import channel
from carpipe.weights.client import pull
from tests.indexed import show_dataset
from tests.recorded import SETTINGS, objects, restored
from tests.recorded.later import KEPT_BY_A_FIELD, LATER, of_form, restore_later
from tests.training.backbones import saved, small

pytestmark = pytest.mark.slow
SECOND_NIGHT = "nissan_qashqai_2014"


@pytest.fixture(scope="module")
def url(s3):
    return f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A file of those of the recording, but for backbones of one's own: TensorFlow compiles these in no time."""
    folder = tmp_path_factory.mktemp("settings")
    own = f'alpha = 1.0\nweights = "imagenet"\nbackbone = "{saved(small(), folder)}"\n'
    text = SETTINGS.read_text("utf-8").replace('backbone = "MobileNetV2"\n', "")
    (folder / SETTINGS.name).write_text(text.replace('alpha = 0.01\nweights = "none"\n', own), "utf-8")
    shutil.copy(SETTINGS.with_name("taxonomy.yaml"), folder)
    return folder / SETTINGS.name


@pytest.fixture(scope="module")
def session(url, settings):
    session = open_session(load_config(settings, {"store.url": url}))
    restore_later(session)
    return session


@pytest.fixture
def store(session):
    return session.store


def manifests(store):
    keys = (info.key for info in store.list_objects("") if info.key.endswith("/manifest.json"))
    return [manifest.read(store, key) for key in keys]


def test_every_manifest_is_read_and_keeps_what_was_added(store):
    found = manifests(store)
    assert len(found) > 30
    for done in found:
        assert done.unknown == LATER
        assert done.extra["later"] == {"nested": ["thing"]}
        assert json.loads(manifest.to_json(done)) == json.loads(store.get(done.key))


def test_releases_decisions_inventories_ledgers_and_labels_are_read(session, store):
    live = channel.read_channel(store, "classifier")
    assert live.unknown["reviewed"] == LATER["reviewed"]
    assert channel.history(store, "classifier") == [live]
    assert {one["reviewed"]["by"] for one in decisions(session, "classifier")} == {"a later version"}
    assert latest_inventory(session).unknown["reviewed"] == LATER["reviewed"]
    generation, sides = read_ledger(session)
    assert (generation, set(sides)) == (2, {"train", "val", "test"})
    assert {label.by for label in read_labels(session)} == {"ann"}


def test_a_night_takes_over_what_a_later_version_has_made(session):
    made = []

    chain.run(session, run_id="r", now=lambda: "2026-02-01T00:00:00Z", progress=lambda stage, done: made.append(done))

    assert made
    assert not any(done.fresh for done in made)


def test_an_app_gets_a_model_of_a_later_version_also_from_its_cache(session, store, tmp_path, monkeypatch):
    from carpipe.errors import UnavailableError

    model = pull(store, "classifier", cache=tmp_path)
    assert model.deviation < 1e-4
    [cached] = tmp_path.rglob("manifest.json")
    assert json.loads(cached.read_bytes())["key"].endswith(f"/{model.id}/manifest.json"), "0.1.0 wants it there"

    def away(*_):
        raise UnavailableError("away")

    monkeypatch.setattr(store, "head", away)
    assert pull(store, "classifier", cache=tmp_path, offline_ok=True).id == model.id


def test_pages_and_commands_show_what_they_understand(settings, session, url, monkeypatch, capsys):
    cache = ResultCache(session)
    shown = show_dataset(cache, datasets.list_datasets(cache).rows[0].id)
    assert (shown.reasons[-1].stage, shown.reasons[-1].name) == ("grade", "stale"), (
        "a stage that is not known comes last"
    )
    page = channels.show_channel(cache, "classifier")
    assert page.live.unknown
    assert page.newer == 0
    monkeypatch.setenv("CARPIPE_STORE", url)
    for command in (["datasets"], ["funnel"], ["weights", "list", "classifier"], ["weights", "show", "classifier"],
                    ["photo", SECOND_NIGHT], ["labels", "status"], ["classes", "check"]):  # fmt: skip
        assert main(["--config", str(settings), *command]) == 0, capsys.readouterr().err
        assert capsys.readouterr().out


def result_of(store, stage, partition, files, *sources, **facts):
    """What a stage that is not known has committed for a partition."""
    return manifest.commit(
        store, Work(stage, 1, partition, {}, sources), files, counts={"in": 1}, unknown=LATER, **facts
    )


def keys_in(store, done):
    """Photo keys in all tables of a result."""
    tables = [
        pd.read_parquet(io.BytesIO(manifest.read_file(store, done, name)), columns=["key"]) for name in done.files
    ]
    return set().union(*(set(table["key"]) for table in tables))


@pytest.fixture(scope="module")
def partition(session):
    """A partition with a listing to forget, and results of stages of later versions that hold it."""
    store, part = session.store, latest_inventory(session).partitions[0]
    photos = results.read_photos(store, manifest.read(store, part["manifest"]))
    listing = photos["listing_uuid"].iloc[0]
    rows = blobs_to_parquet(dict.fromkeys(photos["key"], b""))
    one = {stage: next(manifest.commits(store, stage, part["partition"])).key for stage in ("clean", "crop")}
    grade = result_of(store, "grade", part["partition"], {"grades.parquet": rows}, one["clean"], one["crop"])
    drift = result_of(store, "drift", part["partition"], {"drift.parquet": rows}, grade.key)
    embed = result_of(store, "embed", part["partition"], {"vectors.bin": b"of all photos"}, one["crop"])
    near = result_of(store, "near", part["partition"], {"near.parquet": rows}, embed.key)
    named = result_of(
        store, "worst", part["partition"], {"rows.parquet": rows}, one["crop"], extra={"worst": [listing]}
    )
    numbers = pd.DataFrame({"key": [1, 2]}).to_parquet()
    other = result_of(store, "number", part["partition"], {"numbers.parquet": numbers}, one["crop"])
    lost = result_of(store, "lost", part["partition"], {"rows.parquet": rows, "more.parquet": rows + b" "}, one["crop"])
    store.delete([lost.files["more.parquet"]["key"]])
    strange = f"stages/filter/{part['partition']}/{'f' * 20}/manifest.json"
    store.put(strange, of_form(store.get(grade.key), 2))
    bare = f"stages/probe/{part['partition']}/run-1/result.json"
    store.put(bare, b"{}")
    store.put("stages/grade/all/0/grades.parquet", rows)
    left = [done.key for done in (embed, near, named, other, lost)] + [strange, bare, "stages/grade/all/0"]
    mine = set(photos["key"][photos["listing_uuid"] == listing])
    return SimpleNamespace(name=part["partition"], listing=listing, mine=mine, left=left, copied=(grade, drift))


def test_forget_keeps_what_was_added_and_names_what_it_cannot_rewrite(settings, session, store, partition):
    state = latest_inventory(session)
    before = {key: store.get(info.key) for key in partition.left for info in store.list_objects(key)}

    done = forget(session, partition.listing, at="2026-02-02T00:00:00Z")

    assert done.photos == len(partition.mine) > 0
    assert set(done.left) == {key.rpartition("/")[0] for key in partition.left}
    assert before == {key: store.get(info.key) for key in partition.left for info in store.list_objects(key)}
    new = latest_inventory(session)
    assert new.unknown == state.unknown
    assert [entry["bytes"] for entry in new.partitions] == [5] * len(new.partitions)
    [copied] = {entry["partition"] for entry in new.partitions} - {entry["partition"] for entry in state.partitions}
    for stage in ("inventory", "clean", "filter", "crop", "grade", "drift"):
        copies = list(manifest.commits(store, stage, copied))
        assert copies
        for copy in copies:
            assert copy.unknown == LATER
            assert all(copied in source for source in copy.inputs)
            if stage not in ("grade", "drift"):
                assert copy.extra["later"] == {"nested": ["thing"]}
            assert keys_in(store, copy)
            assert not keys_in(store, copy) & partition.mine, stage
        kept = {key for key in partition.left if key.startswith(f"stages/{stage}/{partition.name}")}
        objects_left = {info.key for info in store.list_objects(f"stages/{stage}/{partition.name}")}
        assert objects_left == kept, stage


def test_forget_says_again_what_is_left(settings, session, url, partition, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", url)
    assert main(["--config", str(settings), "forget", "--listing", partition.listing]) == 0
    told = capsys.readouterr().out
    assert all(key.rpartition("/")[0] in told for key in partition.left)


def test_gc_keeps_what_it_does_not_know_and_what_an_added_field_names(session, store, partition):
    stray = "stages/clean/p00000-0/0123456789abcdef9999/thumbnails-0123456789ab.parquet"
    unknown = ["stages/grade/all/00000000000000000000/grades.parquet", "stages/inventory/summary/1.json"]
    for key in (stray, *unknown):
        store.put(key, b"x")
    named = "stages/pack/p00000-0/0123456789abcdef0123"
    store.put(f"{named}/extra.bin", b"in a folder that a manifest names")
    newest = find_dataset(session, None)
    store.put(newest.key, json.dumps({**json.loads(store.get(newest.key)), "moved_to": f"{named}/"}).encode())

    now = datetime.now(UTC) + timedelta(seconds=5)
    later = "stages/clean/p00000-0/0123456789abcdef8888"
    store.put(f"{later}/manifest.json", of_form(store.get(newest.key), 2))
    store.put(f"{later}/thumbnails.parquet", b"x")
    [stage_input] = [key for key in partition.left if key.startswith("stages/embed")]
    store.put("channels/classifier/notes/list.json", b"[1]")

    garbage = find_garbage(session, older_than=timedelta(0), now=now)
    collect(session, garbage)

    assert store.head(f"{later}/thumbnails.parquet"), "of a later form"
    assert all(store.head(key) for key in manifest.read(store, stage_input).inputs if partition.name not in key)
    assert stray in {info.key for info in garbage.objects}
    assert "are none of this version's and stay" in render_garbage(garbage, every=False)
    for key in (KEPT_BY_A_FIELD, f"{named}/extra.bin", *unknown):
        assert store.head(key), key
    assert find_dataset(session, None).unknown["moved_to"]


def test_the_next_night_and_release_keep_what_was_added(session, store):
    stock = latest_inventory(session)
    key, data = next((key, data) for key, data in objects() if key.startswith(f"raw/{SECOND_NIGHT}/"))
    store.put(f"raw/{SECOND_NIGHT}/{uuid_in(key, 99)}", data)
    assert inventory(session).unknown == stock.unknown

    other = next(
        f"{folder}/manifest.json"
        for folder in store.list_folders("models/classifier")
        if f"{folder}/manifest.json" != channel.read_channel(store, "classifier").model
    )
    channel.promote(store, "classifier", model=other, reason="r", run="r", at="2026-02-03T00:00:00Z")
    first, second = channel.history(store, "classifier")
    assert first.unknown["reviewed"] == LATER["reviewed"]
    assert second.unknown == {}


def test_a_taxonomy_of_a_later_version_is_read_and_one_of_a_later_form_refused():
    rules = "version: 1\nclasses: {a: [b]}\ngroups: {c: [d]}\n"
    assert parse(rules, name="x", committed=True).class_of("b") == "a"
    with pytest.raises(ConfigError, match="groups"):
        parse(rules, name="x")
    with pytest.raises(LaterFormError, match="x is a taxonomy of form 2"):
        parse(f"{rules}form: 2\n", name="x", committed=True)


def uuid_in(key, number):
    """The name of another photo of the same listing."""
    listing = key.rpartition("/")[2].split("_")
    return "_".join([listing[0], str(number), listing[2], f"{uuid.UUID(int=number)}.jpg"])


@pytest.fixture(scope="module")
def newer(s3):
    """The recorded bucket, where each kind of object can get another meaning."""
    return restored(s3)


def reads(session):
    """How each kind of object is come by."""
    return {
        "datasets/": lambda: find_dataset(session, next(iter(newest(session)))),
        "channels/classifier/production.json": lambda: channel.read_channel(session.store, "classifier"),
        "channels/classifier/history/": lambda: channel.history(session.store, "classifier"),
        "stages/inventory/log/": lambda: latest_inventory(session),
        "stages/inventory/forgotten/": lambda: forget(
            session, next(iter(forgotten(session))), at="2026-02-01T00:00:00Z"
        ),
        "stages/split/ledger/": lambda: read_ledger(session),
        "labels/car-filter/": lambda: read_labels(session),
    }


def newest(session):
    return sorted(folder.split("/")[1] for folder in session.store.list_folders("datasets"))


def forgotten(session):
    return [info.key.rpartition("/")[2][:-5] for info in session.store.list_objects("stages/inventory/forgotten")]


@pytest.mark.parametrize("prefix", reads(None))
def test_what_means_something_else_is_refused_and_named(newer, prefix):
    store = newer.store
    there = [
        info.key for info in store.list_objects(prefix.rstrip("/")) if not prefix.startswith("datasets")
        or info.key.endswith("/manifest.json")
    ] or [prefix]  # fmt: skip
    before = {key: store.get(key) for key in there}
    try:
        for key, data in before.items():
            store.put(key, of_form(data, 2))
        with pytest.raises(LaterFormError, match=r"of form 2, which a newer carpipe wrote.*Install a newer carpipe"):
            reads(newer)[prefix]()
        for key, data in before.items():
            store.put(key, of_form(data, 1))
        reads(newer)[prefix]()
    finally:
        for key, data in before.items():
            store.put(key, data)


def test_datasets_and_decisions_of_a_later_form_are_passed_over(newer):
    store = newer.store
    everything = list(newest_datasets(newer))
    decided = decisions(newer, "classifier")
    folder = [info.key for info in store.list_objects("channels/classifier/decisions")]
    for key in (everything[0].key, folder[0]):
        store.put(key, of_form(store.get(key), 2))

    assert [done.key for done in newest_datasets(newer)] == [done.key for done in everything[1:]]
    assert decisions(newer, "classifier") == decided[1:]
    model = f"{store.list_folders('models/classifier')[0]}/manifest.json"
    store.put(model, of_form(store.get(model), 2))
    page = channels.show_channel(ResultCache(newer), "classifier")
    assert (page.newer, len(page.decisions), len(page.models)) == (2, len(decided) - 1, 1)
    assert datasets.list_datasets(ResultCache(newer)).newer == 1
    with pytest.raises(InputError, match="of form 2"):
        find_garbage(newer, older_than=timedelta(0), now=datetime.now(UTC))


@pytest.mark.parametrize("number", [0, -1, True, "2", None, [1]])
def test_what_is_no_number_of_a_form_is_said(newer, number):
    key = "channels/classifier/production.json"
    data = newer.store.get(key)
    newer.store.put(key, of_form(data, number))
    try:
        with pytest.raises(InputError, match="form: expected a whole number from 1 up"):
            channel.read_channel(newer.store, "classifier")
    finally:
        newer.store.put(key, data)


def test_what_is_written_today_is_what_carpipe_0_1_0_reads(s3):
    """It refuses a manifest, a release or an inventory with a field that it does not know."""
    session = restored(s3)
    store = session.store
    key, data = next((key, data) for key, data in objects() if key.startswith(f"raw/{SECOND_NIGHT}/"))
    store.put(f"raw/{SECOND_NIGHT}/{uuid_in(key, 99)}", data)
    stock = inventory(session)
    cleaned = clean(session, stock.partitions[-1]["manifest"], inventory=stock.key)
    for folder in store.list_folders("models/classifier"):
        channel.promote(store, "classifier", model=f"{folder}/manifest.json", reason="r", run=folder, at="2026-02-01")
    old = dict(objects())

    def fields(data):
        return set(json.loads(data))

    assert cleaned.fresh
    known = fields(
        next(data for key, data in old.items() if key.startswith("stages/clean/") and key.endswith("/manifest.json"))
    )
    assert fields(store.get(cleaned.key)) == fields(store.get(stock.partitions[-1]["manifest"])) == known
    assert fields(store.get(stock.key)) == fields(old["stages/inventory/log/000001.json"])
    production = "channels/classifier/production.json"
    assert store.get(production) != old[production]
    for entry in (production, "channels/classifier/history/000002.json"):
        assert fields(store.get(entry)) == fields(old[production])
