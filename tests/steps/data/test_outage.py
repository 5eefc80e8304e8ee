"""Many unreadable photos are an outage, a few are not, and a decoder that dies on everything is one too."""

import pytest

from carpipe.errors import UnavailableError
from carpipe.steps.data.outage import check_readable


def check(total, *, elsewhere=(), **dropped):
    check_readable("p00000-x", {"in": total, "dropped": dropped}, limit=0.1, elsewhere=elsewhere)


@pytest.mark.parametrize("reason", ["empty", "not_an_image", "truncated", "poison"])
def test_a_partition_of_unreadable_photos_is_an_outage(reason):
    with pytest.raises(UnavailableError, match="30 of the 100 photos of partition p00000-x are unreadable"):
        check(100, **{reason: 30})


@pytest.mark.parametrize(("total", "broken"), [(100, 10), (100, 15), (5, 2)])
def test_a_few_broken_photos_are_not(total, broken):
    check(total, truncated=broken)


def test_photos_that_users_deleted_are_not():
    check(100, missing=90)


def test_photos_that_are_as_bad_in_all_partitions_are_not():
    check(100, truncated=30, elsewhere=[{"in": 200, "dropped": {"truncated": 50}}, {"in": 0, "dropped": {}}])


def test_the_other_partitions_are_not_looked_at_where_all_is_well():
    check(100, truncated=10, elsewhere=(pytest.fail("looked at") for _ in range(1)))
