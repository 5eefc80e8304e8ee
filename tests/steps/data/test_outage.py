"""Many unreadable photos are an outage, a few are not, and a decoder that dies on everything is one too."""

import pytest

from carpipe.errors import UnavailableError
from carpipe.manifest import Work
from carpipe.steps.data.inventory import LOG, Inventory, record
from carpipe.steps.data.outage import check_readable


@pytest.fixture
def check(session):
    """What is said of a partition, the only one of its run, that lost so many photos for a reason."""
    stock = record(session, Inventory(f"{LOG}/000001.json", 1, [], 0, 0))
    work = Work("clean", 1, "p00000-x", {}, ())

    def check(total, **dropped):
        check_readable(session, work, {"in": total, "dropped": dropped}, inventory=stock.key)

    return check


@pytest.mark.parametrize("reason", ["empty", "not_an_image", "truncated", "poison"])
def test_a_partition_of_unreadable_photos_is_an_outage(check, reason):
    with pytest.raises(UnavailableError, match="30 of the 100 photos of partition p00000-x are unreadable"):
        check(100, **{reason: 30})


@pytest.mark.parametrize(("total", "broken"), [(100, 10), (100, 15), (5, 2)])
def test_a_few_broken_photos_are_not(check, total, broken):
    check(total, truncated=broken)


def test_photos_that_users_deleted_are_not(check):
    check(100, missing=90)
