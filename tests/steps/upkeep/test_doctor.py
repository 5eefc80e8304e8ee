"""The doctor finds whatever is lost, changed or broken in a bucket, says what to do, and puts back what can be."""

import pytest

from carpipe import manifest
from carpipe import photos as photos_module
from carpipe.cli import main
from carpipe.manifest import Work
from carpipe.steps.data.inventory import latest_inventory
from carpipe.steps.data.plan import plan
from carpipe.steps.upkeep.doctor import examine, render
from tests.steps.upkeep.losing import files_of, night, objects


@pytest.fixture
def before(session, first):
    """All objects; whatever a test does to them, they are as they were after it."""
    kept = {info.key: session.store.get(info.key) for home in ("stages", "datasets", "models", "channels", "labels")
            for info in session.store.list_objects(home)}  # fmt: skip
    yield kept
    for key, data in kept.items():
        session.store.put(key, data)
    session.store.delete([key for key in objects(session) if key not in kept])


def spoil(session, key):
    """Other bytes, as many."""
    data = session.store.get(key)
    session.store.put(key, data[:-1] + bytes([data[-1] ^ 1]))


def test_a_bucket_that_is_well_is_said_to_be(session, before):
    found = examine(session, sha256=True)
    assert (found.findings, found.is_well) == ([], True)
    assert render(found).endswith("MB: all is well.")
    assert found.results > 10
    assert found.files > found.results


@pytest.mark.parametrize("stage", ["inventory", "clean", "filter", "crop", "identify", "split", "pack", "datasets"])
def test_every_file_that_has_gone_is_found(session, before, stage):
    gone = files_of(session, stage)
    session.store.delete(gone)
    found = examine(session)
    assert {one.key for one in found.findings} == set(gone)
    assert all(one.wrong.startswith("It has gone. ") and one.then for one in found.findings)
    assert not found.is_well


def test_content_is_looked_at_where_that_is_wanted(session, before):
    [key, *_] = files_of(session, "crop", names="crops")
    spoil(session, key)
    assert examine(session).is_well
    [one] = examine(session, sha256=True).findings
    assert (one.key, one.wrong[:41]) == (key, "Its sha256 is not that of its manifest. s")


def test_what_another_object_holds_is_put_back(session, before):
    """A dataset holds copies of what its stages have made, and the other way round."""
    tables = [*files_of(session, "datasets", names="photos.parquet"), *files_of(session, "validate", names="report")]
    assert len(tables) == 2
    session.store.delete(tables)
    found = examine(session, mend=True)
    assert found.is_well
    assert all(one.mended.startswith("Put back from ") for one in found.findings)
    assert {key: session.store.get(key) for key in tables} == {key: before[key] for key in tables}


def test_the_photos_of_a_partition_are_put_back_from_what_clean_made_of_them(session, before):
    gone = files_of(session, "inventory")
    session.store.delete(gone)
    found = examine(session, mend=True)
    assert [one.mended for one in found.findings] == ["Put back from what `clean` made of the partition."] * len(gone)
    assert {key: session.store.get(key) for key in gone} == {key: before[key] for key in gone}


def test_the_photos_of_a_partition_are_put_back_whatever_wrote_them(session, before, monkeypatch):
    """Another pyarrow writes the same rows in other bytes: the manifest says so then."""
    gone = files_of(session, "inventory")
    session.store.delete(gone)
    write = photos_module.to_parquet
    monkeypatch.setattr(photos_module, "to_parquet", lambda table: write(table) + b"PAR1")
    found = examine(session, mend=True)
    monkeypatch.undo()
    assert [one.mended for one in found.findings] == ["Put back from what `clean` made of the partition."] * len(gone)
    done = [manifest.read(session.store, part["manifest"]) for part in latest_inventory(session).partitions]
    assert all(one.extra["replaced"]["lost"] == ["photos.parquet"] for one in done)


def test_nobody_has_another_s_files_deleted(session, before):
    """A manifest elsewhere may name any shard, and say what it likes of it."""
    [key, *_] = files_of(session, "pack")
    shard = {"key": key, "bytes": 1, "sha256": "0" * 64, "split": "train", "photos": 1}
    work = Work("dataset", 9, "all", {}, (), home="datasets")
    bad = manifest.commit(session.store, work, {}, counts={}, extra={"shards": [shard]})
    examine(session, sha256=True, mend=True)
    assert session.store.get(key) == before[key]
    session.store.delete([bad.key])


def test_what_was_changed_goes_and_the_next_run_makes_it_again(session, first, before):
    [key, *_] = files_of(session, "crop", names="crops")
    spoil(session, key)
    [one] = examine(session, sha256=True, mend=True).findings
    assert one.mended == "It was deleted. The step that made it makes it again, in the next run that needs it."
    assert len(plan(session, latest_inventory(session).key).to_do) == 1
    assert night(session)[0].key == first.key
    assert session.store.get(key) == before[key]


@pytest.mark.parametrize("stage", ["train", "evaluate", "export"])
def test_what_no_step_makes_again_stays_where_it_was_changed(session, before, stage):
    work = Work(stage, 1, "classifier", {"seed": stage}, ())
    done = manifest.commit(session.store, work, {"model.keras": b"one"}, counts={})
    key = done.files["model.keras"]["key"]
    spoil(session, key)
    [one] = examine(session, sha256=True, mend=True).findings
    assert (one.key, one.mended) == (key, "")
    assert "Its step does not make it again" in one.then
    assert session.store.get(key)[:2] == b"on"


def test_the_changed_photos_of_a_partition_stay_where_nothing_else_knows_them(session, before):
    [key, *_] = files_of(session, "inventory")
    session.store.delete(files_of(session, "clean", names="photos"))
    spoil(session, key)
    found = {one.key: one for one in examine(session, sha256=True, mend=True).findings}
    assert found[key].mended == ""
    assert session.store.head(key)


def test_what_nobody_can_make_again_is_named_with_the_way_out(session, before):
    session.store.delete(files_of(session, "inventory"))
    session.store.delete(files_of(session, "clean", names="photos"))
    found = examine(session, mend=True)
    assert {one.key.split("/")[1] for one in found.findings if not one.mended} == {"inventory", "clean"}
    assert "Restore it from a version of the bucket or from a backup." in render(found)


def test_what_has_no_manifest_is_looked_at_too(session, before):
    store, ours = session.store, [part["manifest"] for part in latest_inventory(session).partitions]
    release = "channels/car-filter/production.json"
    store.delete([ours[0], next(key for key in before if key.startswith("models/") and key.endswith("manifest.json"))])
    store.delete([key for key in before if key.startswith("stages/split/ledger/")][:1])
    store.put("labels/car-filter/000001.csv", b"key,label\n")

    def labels():
        return manifest.read(store, "labels/car-filter/gone")

    found = examine(session, people={"labels/car-filter": labels})

    wrong = {one.key: one.wrong for one in found.findings}
    assert "has lost its manifest" in wrong[ours[0]]
    assert release in wrong
    assert "labels/car-filter" in wrong
    store.delete(["labels/car-filter/000001.csv"])


def test_a_manifest_that_nobody_can_read_is_one_fault(session, before):
    key = next(key for key in before if key.startswith("stages/identify/") and key.endswith("manifest.json"))
    session.store.put(key, b"{")
    [one] = examine(session).findings
    assert (one.key, "Delete it first." in one.then) == (key, True)


def test_the_command_says_what_is_wrong_and_ends_so(session, before, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    assert main(["doctor", "--sha256"]) == 0
    assert "all is well" in capsys.readouterr().out

    [key] = files_of(session, "identify", names="photos")
    session.store.delete([key])
    assert main(["doctor"]) == 1
    said = capsys.readouterr()
    assert f"{key}\n  It has gone. stages/identify/" in said.out
    assert ": 1 fault.\n" in said.out
    assert "The bucket has 1 fault that nobody has mended yet" in said.err

    assert main(["doctor", "--mend"]) == 1, "no other object holds it, but the next run makes it again"
