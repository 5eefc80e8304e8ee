"""What forms offer, held against a bucket made by hand."""

from dataclasses import replace

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.steps.cache import ResultCache
from carpipe.steps.views import choices


def committed(session, home, at, fill, **extra):
    """Commit a result as if at another time."""
    work = Work("x", 1, "all", {"fill": fill}, (), home=home)
    facts = {"classes": ["a"], "splits": {"train": 1}, "vehicles": 1, "metrics": {}, "dataset": "d", **extra}
    done = manifest.commit(session.store, work, {}, counts={"in": 2000, "kept": 1918}, extra=facts)
    done = replace(done, extra={**done.extra, manifest.COMMITTED: at})
    session.store.put(done.key, manifest.to_json(done))
    return done


def test_datasets_by_time_and_photos(session):
    old = committed(session, "datasets", "2025-12-01T05:00:00Z", 1)
    new = committed(session, "datasets", "2026-11-27T15:39:00Z", 2)

    found = choices.dataset_choices(ResultCache(session))

    new_id, old_id = new.key.split("/")[1], old.key.split("/")[1]
    assert {one.value: one.label for one in found} == {
        new_id: f"27 Nov 2026 15:39, 1,918 photos ({new_id[:8]})",
        old_id: f"1 Dec 2025 05:00, 1,918 photos ({old_id[:8]})",
    }


def test_what_a_later_version_has_made_is_no_choice(session):
    committed(session, "datasets", "2026-11-27T15:39:00Z", 1)
    session.store.put("datasets/later/manifest.json", b'{"form": 99}')
    assert len(choices.dataset_choices(ResultCache(session))) == 1


def test_models_by_channel_and_how_often_they_are_right(cache, made):
    first, second = made[1]
    ids = {done.key: done.key.split("/")[2][:8] for done in made[1]}

    found = {one.value: one.label for one in choices.model_choices(cache)}

    assert found.keys() == ids.keys()
    assert found[second.key].startswith("classifier: ")
    assert found[second.key].endswith(f", top-1 75.0 % ({ids[second.key]}), live")
    assert found[first.key].endswith(f", top-1 50.0 % ({ids[first.key]})")


def test_channels(cache):
    assert [one.value for one in choices.channel_choices(cache)] == ["classifier", "car-filter"]
