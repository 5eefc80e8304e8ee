"""Ids by their first digits: of a real bucket, with ids that begin alike."""

import pytest

from carpipe.errors import InputError
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.models.weights import find_model, key_of
from carpipe.steps.short_ids import whole_id, whole_key
from tests import tiny

IDS = ("abcd0000000000000001", "abcd1000000000000002", "beef0000000000000003")


@pytest.fixture
def store(session):
    for one in IDS:
        session.store.put(f"datasets/{one}/manifest.json", b"{}")
    session.store.put(f"datasets/order/000001-{IDS[0]}", b"")
    return session.store


@pytest.mark.parametrize(
    "given",
    [
        "beef",
        "BEEF0",
        " beef ",
        IDS[2],
        f"datasets/{IDS[2]}/manifest.json",
        "datasets/beef/manifest.json",
        "{url}/datasets/{id}/manifest.json",
    ],
)
def test_one_dataset_in_all_the_ways_to_say_it(store, given):
    given = given.format(url=store.url, id=IDS[2])
    assert whole_key(store, given, "datasets", what="dataset") == f"datasets/{IDS[2]}/manifest.json"


def test_digits_that_two_have_in_common_name_both(store):
    with pytest.raises(InputError, match=rf"2 datasets begin with abcd: {IDS[0]}, {IDS[1]}\. Say more of it"):
        whole_id(store, "abcd", "datasets", what="dataset")
    assert whole_id(store, "abcd1", "datasets", what="dataset") == IDS[1]


def test_digits_of_none_say_what_there_is(store):
    with pytest.raises(InputError, match=rf"begins with 0123; there are {', '.join(IDS)}\."):
        whole_id(store, "0123", "datasets", what="dataset")
    with pytest.raises(InputError, match=r"begins with 0123; there is no model at all\."):
        whole_id(store, "0123", "models/classifier", what="model")


def test_three_digits_are_too_few(store):
    with pytest.raises(InputError, match="20 hex digits; say the first 4 at least, not 'bee'"):
        whole_id(store, "bee", "datasets", what="dataset")


def test_a_long_list_is_cut(session):
    for number in range(13):
        session.store.put(f"datasets/{number:020x}/manifest.json", b"{}")
    with pytest.raises(InputError, match=r"13 datasets begin with 0000: [0-9a-f, ]+ and 3 more\."):
        whole_id(session.store, "0000", "datasets", what="dataset")


def test_other_keys_and_whole_ids_ask_nothing_of_the_bucket():
    assert whole_id(None, IDS[0], "datasets", what="dataset") == IDS[0]
    assert whole_id(None, "not-hex", "datasets", what="dataset") == "not-hex"


def test_a_key_of_another_folder_stays(session):
    key = "models/other/abcd/manifest.json"
    assert key_of(session, "classifier", key) == key


def test_a_dataset_that_is_not_there_is_named_by_its_whole_key(store, session):
    with pytest.raises(InputError, match=r"There is no dataset datasets/none/manifest\.json"):
        find_dataset(session, "none")


def test_a_model_by_its_first_digits(session):
    made = tiny.publish(session, tiny.Tiny().files(), metrics={})
    assert find_model(session, "classifier", made.key.split("/")[2][:6]).key == made.key
