"""Which dataset is meant, and what is said where there is none such."""

import pytest

from carpipe.errors import InputError
from carpipe.steps.data.datasets import find_dataset
from tests.plugins import bucket


@pytest.fixture
def dataset(session):
    return bucket.fill(session)[0]


def test_a_dataset_by_key_by_id_and_the_newest(session, dataset):
    there = dataset.key.split("/")[1]
    for given in (dataset.key, there, there[:4], f"datasets/{there[:19]}/manifest.json", None):
        assert find_dataset(session, given).key == dataset.key


def test_a_mistyped_id_is_told_the_one_that_is_like_it(session, dataset):
    there = dataset.key.split("/")[1]
    with pytest.raises(InputError, match=rf"There is no dataset .*\. Did you mean {there}\?$"):
        find_dataset(session, there[1] + there[0] + there[2:])


def test_another_id_is_told_the_newest(session, dataset):
    there = dataset.key.split("/")[1]
    with pytest.raises(InputError, match=rf"There is no dataset datasets/zz/manifest.json in .*\. The newest: {there}"):
        find_dataset(session, "zz")


def test_where_there_is_none_nothing_is_proposed(session):
    with pytest.raises(InputError, match=r"begins with abcd; there is no dataset at all\.$"):
        find_dataset(session, "abcd")
