"""Lists to map tasks over, and what mapped tasks hand on."""

import pytest


@pytest.mark.parametrize(
    ("handed_on", "keys"),
    [([["a"], ["b", "c"]], ["a", "b", "c"]), ([["a"]], ["a"]), (["a"], ["a"]), ("a", ["a"]), ([], []), (None, [])],
)
def test_what_mapped_tasks_hand_on_is_a_list_of_keys(handed_on, keys):
    """Airflow gives the list itself where a mapped group has run once, and nothing where it was skipped."""
    from carpipe_airflow.batches import flat

    assert list(flat(handed_on)) == keys


def test_more_partitions_than_airflow_maps_over_come_in_batches():
    from carpipe_airflow.batches import batches

    assert batches(["a", "b"]) == [["a"], ["b"]]
    assert batches([]) == []
    found = batches(list(range(2500)), most=1024)
    assert (len(found), {len(one) for one in found}) == (834, {3, 1})
    assert [number for one in found for number in one] == list(range(2500))
