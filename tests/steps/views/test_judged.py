"""Which photos a model was judged on, and which it was right on, against answers that were written by hand."""

import pandas as pd
import pytest

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.photo_index import write_index
from carpipe.photos import to_parquet
from carpipe.steps.cache import ResultCache
from carpipe.steps.results import read_photos
from carpipe.steps.views.judged import compared_photos, find_judged, judged_photos, newest_photos
from carpipe.steps.views.photos import Wanted, find_photos
from tests.indexed import index_of
from tests.plugins import bucket


@pytest.fixture
def model(session, made):
    """Of the two test photos, it is right on the first."""
    judged = bucket.add_evaluation(session, made[0])
    return bucket.add_model(session, made[0].key, accuracy=0.5, judged=judged.key, test_photos=2.0)


@pytest.fixture
def tested(session, made):
    photos = read_photos(session.store, made[0])
    return photos[photos["split"] == "test"].reset_index(drop=True)


def id_of(done):
    return done.key.split("/")[-2]


def test_photos_are_found_by_whether_the_model_was_right_and_by_its_answer(cache, model, tested):
    first, second = tested["key"]
    wrong = ({"skoda_octavia", "volkswagen_golf"} - {tested["class_name"][1]}).pop()
    for asked, found in (
        ({}, [first, second]),
        ({"right": "yes"}, [first]),
        ({"right": "no"}, [second]),
        ({"right": "no", "answer": wrong}, [second]),
        ({"right": "yes", "answer": "nothing"}, []),
    ):
        assert find_judged(cache, {"judged": id_of(model), **asked}) == found, asked


def test_the_page_photos_shows_them_and_no_older_version_of_a_file(cache, session, made, model):
    index = index_of(session, made[0])
    wanted = Wanted({"judged": id_of(model), "right": "no"})
    named = {"judged": find_judged(cache, wanted.asked)}
    assert [photo["key"] for photo in find_photos(index, wanted, named=named).photos] == named["judged"]
    assert find_photos(index, wanted).found == 0


def test_of_a_photo_that_was_overwritten_the_newer_row_is_shown_and_others_may_be_out(tmp_path):
    table = pd.DataFrame({"key": ["a", "b", "a"], "sha256": ["1", "2", "3"],
                          "dropped": pd.array(["superseded", "not_a_car", None], "str")})  # fmt: skip
    index = write_index(to_parquet(table), tmp_path / "i.duckdb")
    found = find_photos(index, Wanted({"judged": "f" * 20}), named={"judged": ["a", "b", "c"]})
    assert [photo["row"] for photo in found.photos] == [2, 1]


def test_an_address_is_given_where_the_photos_can_be_shown(cache, made, model):
    dataset, (first, _) = made
    address = f"dataset={id_of(dataset)}&judged={id_of(model)}"
    assert judged_photos(cache, model) == address
    assert judged_photos(cache, model, right="no") == f"{address}&right=no"
    assert judged_photos(cache, first) == "", "its evaluation is gone"


def test_what_another_model_answered_on_the_same_photos_is_found_where_the_gate_has_kept_it(
    cache, session, made, model, tested
):
    dataset, (first, second) = made
    bucket.add_answers(session, second, dataset)
    asked = {"judged": id_of(model), "by": id_of(second)}
    assert find_judged(cache, {**asked, "right": "yes"}) == [*tested["key"]]
    assert find_judged(cache, {**asked, "right": "no"}) == []
    assert compared_photos(cache, model, second.key) == f"{judged_photos(cache, model)}&by={id_of(second)}"
    assert [compared_photos(cache, model, other) for other in (first.key, "", "models/x/y/manifest.json")] == [""] * 3


def test_where_the_evaluation_is_of_another_number_of_photos_there_is_no_address(session, made):
    judged = bucket.add_evaluation(session, made[0])
    odd = bucket.add_model(session, made[0].key, accuracy=0.5, judged=judged.key)
    assert judged_photos(ResultCache(session), odd) == ""


def test_labelled_photos_are_looked_for_in_the_newest_dataset(session, made, tested):
    judged = bucket.add_evaluation(session, made[0], note="labels")
    work = Work("label_set", 1, "all", {}, ())
    labels = manifest.commit(session.store, work, {}, counts={})
    car_filter = bucket.add_model(session, labels.key, accuracy=0.5, judged=judged.key, test_photos=2.0)
    cache = ResultCache(session)
    assert judged_photos(cache, car_filter, right="no") == f"judged={id_of(car_filter)}&right=no"
    assert find_judged(cache, {"judged": id_of(car_filter)}) == [*tested["key"]]


def test_what_the_live_model_answered_on_new_listings_is_found_by_model_and_dataset(session, made, tested):
    dataset, (model, other) = made
    entry = bucket.add_score(session, model, dataset)
    cache = ResultCache(session)
    address = f"dataset={id_of(dataset)}&judged={id_of(model)}&new=yes"
    assert newest_photos(cache, entry, right="yes") == f"{address}&right=yes"
    asked = {"judged": id_of(model), "new": "yes"}
    first, second = tested["key"]
    assert find_judged(cache, asked, dataset=dataset.key) == [first, second]
    assert find_judged(cache, {**asked, "right": "yes"}, dataset=dataset.key) == [first]
    wrong = ({"skoda_octavia", "volkswagen_golf"} - {tested["class_name"][1]}).pop()
    assert find_judged(cache, {**asked, "answer": wrong, "right": "no"}, dataset=dataset.key) == [second]
    for odd in ({"dataset": dataset.key, "asked": {**asked, "judged": id_of(other)}}, {"dataset": "x", "asked": asked}):
        with pytest.raises(InputError, match="Nobody has kept what this model answered on listings that were new"):
            find_judged(cache, odd["asked"], dataset=odd["dataset"])


@pytest.mark.parametrize("lacks", ["judged", "dataset", "model"])
def test_new_listings_of_what_is_gone_have_no_address(session, made, lacks):
    """Entries of 0.1.0 do not say which photos these were."""
    dataset, (model, _) = made
    entry = bucket.add_score(session, model, dataset)
    cache = ResultCache(session)
    assert newest_photos(cache, {**entry, lacks: "stages/gone/x/manifest.json"}) == ""
    assert newest_photos(cache, {name: value for name, value in entry.items() if name != "judged"}) == ""


def test_a_model_that_is_none_is_said_to_be_none(cache, made):
    with pytest.raises(InputError, match="There is no model ffffffffffffffffffff"):
        find_judged(cache, {"judged": "f" * 20})
