"""A manifest is no proof of its files: what a run needs and has lost is made again, by the step that made it."""

import pytest

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.steps.data.inventory import latest_inventory
from carpipe.steps.data.plan import plan
from carpipe.steps.session import Session
from carpipe.steps.upkeep.doctor import examine
from tests.conftest import make_config
from tests.steps.upkeep.losing import files_of, night, objects


@pytest.mark.parametrize(
    ("stages", "names"),
    [
        (["clean"], "signatures"),
        (["crop"], "crops"),
        (["crop"], "photos"),
        (["clean", "filter", "crop"], ""),
        (["identify", "classes", "split"], ""),
        (["pack"], ""),
        (["datasets"], ""),
        (["pack", "datasets", "split"], ""),
    ],
)
def test_what_a_night_needs_is_made_again(session, first, stages, names):
    before = objects(session)
    gone = files_of(session, *stages, names=names)
    assert gone
    session.store.delete(gone)

    again, worked = night(session)

    assert again.key == first.key
    assert worked == set(), "the results are those that were there, byte for byte"
    assert objects(session) == before
    assert night(session)[1] == set()


def test_a_validation_whose_pages_have_gone_is_made_again(session, first):
    """Its pages say when they were made, so it comes out otherwise."""
    session.store.delete(files_of(session, "validate"))
    again, worked = night(session)
    assert (again.key, worked) == (first.key, {"validate"})
    assert night(session)[1] == set()


def test_a_dataset_that_is_made_again_is_what_its_manifest_says(session, first):
    """Its report, copied from a validation of another minute, is as long and says another time."""
    session.store.delete([*files_of(session, "validate"), *files_of(session, "datasets", names="photos.parquet")])
    again, worked = night(session, now="2026-01-02T03:04:05Z")
    assert (again.key, worked) == (first.key, {"validate", "dataset"})
    assert examine(session, sha256=True).is_well


def test_thumbnails_of_before_that_have_gone_stop_nobody(session, first):
    """Where a setting of `clean` changes, what was seen before is looked for by them."""
    session.store.delete(files_of(session, "clean", names="thumbnails"))
    other = Session(make_config(session.store.url, **settings_of(session, clean__thumbnail_quality=71)), session.store)
    assert night(other)[0].counts["in"] == first.counts["in"]
    night(session)


def settings_of(session, **changes):
    from tests.steps.upkeep.conftest import SETTINGS

    return {**SETTINGS, "classes__taxonomy": session.config.classes.taxonomy, **changes}


@pytest.mark.parametrize("stage", ["train", "evaluate", "export"])
def test_what_models_were_made_of_is_not_made_again(session, stage):
    work = Work(stage, 1, "classifier", {"seed": stage}, ())
    done = manifest.commit(session.store, work, {"model.keras": b"one"}, counts={})
    session.store.delete([done.files["model.keras"]["key"]])
    with pytest.raises(
        InputError, match=r"has lost model\.keras\. It is not made again.*doctor --mend.*another `seed`"
    ):
        manifest.find(session.store, work)
    assert manifest.find(session.store, work, whole=False).key == done.key
    assert manifest.commit(session.store, work, {"model.keras": b"two"}, counts={}).fresh is False
    session.store.delete([info.key for info in session.store.list_objects(f"stages/{stage}")])


def test_an_object_that_was_cut_is_lost_too(session, first):
    [key, *_] = files_of(session, "crop", names="crops")
    data = session.store.get(key)
    session.store.put(key, data[:-10])

    night(session)

    assert session.store.get(key) == data


def test_what_no_night_needs_is_not_made_again(session, first):
    session.store.delete(files_of(session, "filter"))
    session.store.delete(files_of(session, "clean", names="thumbnails"))
    assert plan(session, latest_inventory(session).key).to_do == []


def test_a_plan_says_what_will_be_made_again(session, first, caplog):
    session.store.delete(files_of(session, "crop", names="crops")[:1])
    found = plan(session, latest_inventory(session).key)
    assert len(found.to_do) == 1
    assert [row.partitions for row in found.forecast if row.stage == "crop"] == [1]
    assert "has lost crops.parquet: it is made again" in caplog.text
    night(session)


WORK = Work("clean", 1, "p00000-aa", {"min_side": 64}, ("stages/inventory/p00000-aa/ff/manifest.json",))


def test_what_comes_out_otherwise_takes_the_place_of_what_was_lost(session):
    old = manifest.commit(session.store, WORK, {"a.parquet": b"one", "b.parquet": b"b"}, counts={"in": 1})
    text = session.store.get(old.key)
    session.store.delete([old.files["a.parquet"]["key"]])
    assert manifest.find(session.store, WORK) is None

    new = manifest.commit(session.store, WORK, {"a.parquet": b"two", "b.parquet": b"b"}, counts={"in": 2})

    assert new.fresh
    there = manifest.find(session.store, WORK)
    assert (there.counts, manifest.read_file(session.store, there, "a.parquet")) == ({"in": 2}, b"two")
    assert there.extra["replaced"] == {"sha256": manifest._sha256(text), "lost": ["a.parquet"]}
    late = manifest.commit(session.store, WORK, {"a.parquet": b"three", "b.parquet": b"b"}, counts={"in": 3})
    assert (late.counts, late.fresh) == ({"in": 2}, False), "what is whole stays"


def test_earlier_results_that_have_lost_files_give_nothing(session):
    work = Work("filter", 1, "p00000-bb", {"threshold": 0.5}, ("stages/clean/p00000-bb/ff/manifest.json",))
    other = Work("filter", 1, "p00000-bb", {"threshold": 0.6}, ("stages/clean/p00000-bb/ff/manifest.json",))
    done = manifest.commit(session.store, work, {"photos.parquet": b"rows"}, counts={})
    assert [one.key for one in manifest.earlier(session.store, other, but={"threshold"})] == [done.key]
    session.store.delete([done.files["photos.parquet"]["key"]])
    assert list(manifest.earlier(session.store, other, but={"threshold"})) == []
