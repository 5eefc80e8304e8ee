"""Partitions that were made otherwise than the others do not get into a dataset beside them."""

import pytest

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.steps.data.alike import check_alike
from carpipe.steps.results import lineage


def crop(session, partition, *, margin=0.02, detector="d", threshold=0.7, thumbnail=256):
    """What `crop` and the stages before it would have committed of a partition."""
    key = f"stages/inventory/{partition}/{0:020d}/manifest.json"
    for stage, settings, weights in (
        ("clean", {"thumbnail_side": thumbnail}, {}),
        ("filter", {"threshold": threshold}, {"car_filter": "f"}),
        ("crop", {"margin": margin}, {"detector": detector}),
    ):
        work = Work(stage, 1, partition, settings, (key,), weights=weights)
        done = manifest.find(session.store, work) or manifest.commit(session.store, work, {}, counts={})
        key = done.key
    return done


def test_partitions_of_one_run_are(session):
    check_alike(lineage(session.store, [crop(session, f"p{number}") for number in range(3)]))
    check_alike(lineage(session.store, []))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"margin": 0.05}, r"p0 and p2 were not made alike by `crop`: margin 0\.02 and 0\.05\. Settings were changed"),
        ({"detector": "e"}, "by `crop`: detector 'd' and 'e'"),
        ({"threshold": 0.8}, r"by `filter`: threshold 0\.7 and 0\.8"),
        ({"thumbnail": 128}, "by `clean`: thumbnail_side 256 and 128"),
    ],
)
def test_one_that_was_made_otherwise_is_refused(session, settings, said):
    made = [crop(session, "p0"), crop(session, "p1"), crop(session, "p2", **settings)]
    with pytest.raises(InputError, match=said):
        check_alike(lineage(session.store, made))
