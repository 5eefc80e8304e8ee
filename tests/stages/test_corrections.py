"""What people say of listings decides the class, and the limits count what they say."""

import pandas as pd
import pytest

from carpipe.config import SplitConfig
from carpipe.errors import InputError
from carpipe.photos import counted_models, kept
from carpipe.stages.classes import assign_classes, settle
from carpipe.stages.corrections import apply_corrections, gone_names
from carpipe.stages.split import split, tables
from carpipe.taxonomy.rules import Taxonomy

RULES = Taxonomy("rules", classes={"small": ("fiat_500", "fiat_panda")}, erased=("fiat_others",))


def make_photos(*listings):
    """Photos of (model, listing, photos); each listing is a vehicle."""
    rows = [(model, listing) for model, listing, count in listings for _ in range(count)]
    photos = pd.DataFrame(rows, columns=["model", "listing_uuid"]).astype("str")
    keys = [f"photo-{number}" for number in range(len(rows))]
    return photos.assign(key=keys, vehicle=photos["listing_uuid"], listing=1, dropped=None, dropped_by=None)


def classed(photos, corrections, taxonomy=RULES, *, min_photos=1, max_photos=0):
    """As the step `classes` does it."""
    photos = apply_corrections(photos, corrections, taxonomy, stage="classes")
    taxonomy = settle(photos, taxonomy, min_photos=min_photos)
    return assign_classes(photos, taxonomy, min_photos=min_photos, max_photos=max_photos)


def of(photos, listing):
    [row] = photos[photos["listing_uuid"] == listing].drop(columns="key").drop_duplicates().to_dict("records")
    return {name: None if pd.isna(value) else value for name, value in row.items()}


def test_a_corrected_listing_has_the_class_of_the_model_and_keeps_the_sellers():
    photos = make_photos(("audi_a1", "a", 2), ("audi_a1", "b", 1), ("bmw_1", "c", 1))
    found = classed(photos, {"a": "fiat_500"})
    row = of(found, "a")
    assert (row["model"], row["class_name"]) == ("audi_a1", "small")
    assert (row["corrected"], row["corrected_model"], row["dropped"]) == ("fiat_500", "fiat_500", None)
    assert of(found, "b") | {"class_name": "audi_a1", "corrected": None, "corrected_model": None} == of(found, "b")


@pytest.mark.parametrize(("word", "reason"), [("not-a-car", "said_not_a_car"), ("cannot-tell", "said_cannot_tell")])
def test_a_word_puts_the_listing_out(word, reason):
    photos = make_photos(("audi_a1", "a", 2), ("audi_a1", "b", 1))
    photos.loc[0, ["dropped", "dropped_by"]] = ["damaged", "clean"]
    found = classed(photos, {"a": word})
    assert found["dropped"].fillna("-").tolist() == ["damaged", reason, "-"], "what was out stays out for its reason"
    assert found["dropped_by"].fillna("-").tolist() == ["clean", "classes", "-"]
    assert counted_models(found).tolist() == ["audi_a1"] * 3


def test_min_photos_counts_a_photo_with_the_model_it_was_corrected_to():
    photos = make_photos(("audi_a1", "a", 2), ("audi_a1", "b", 2), ("bmw_1", "c", 1))
    assert kept(classed(photos, {}, min_photos=3))["listing_uuid"].unique().tolist() == ["a", "b"]
    found = classed(photos, {"a": "bmw_1"}, min_photos=3)
    assert kept(found)["listing_uuid"].unique().tolist() == ["a", "c"]
    assert of(found, "b")["dropped"] == "too_few_photos"


def test_the_cap_counts_a_photo_with_the_model_it_was_corrected_to():
    photos = make_photos(*(("audi_a1", f"a{number}", 2) for number in range(4)), ("bmw_1", "b", 2))
    found = classed(photos, {"a0": "bmw_1", "a1": "bmw_1"}, max_photos=4)
    alive = kept(found)
    assert counted_models(alive).value_counts().to_dict() == {"audi_a1": 4, "bmw_1": 4}
    assert (found["dropped"] == "over_cap").sum() == 2


def test_a_word_counts_nowhere():
    photos = make_photos(("audi_a1", "a", 2), ("audi_a1", "b", 2), ("bmw_1", "c", 3))
    assert of(classed(photos, {"a": "not-a-car"}, min_photos=3), "b")["dropped"] == "too_few_photos"


def test_a_class_that_is_no_model_counts_with_its_most_frequent_model():
    photos = make_photos(("fiat_500", "a", 1), ("fiat_panda", "b", 3), ("audi_a1", "c", 5))
    found = classed(photos, {"c": "small"}, max_photos=0)
    row = of(found, "c")
    assert (row["class_name"], row["corrected"], row["corrected_model"]) == ("small", "small", "fiat_panda")
    # Corrections decide which model is frequent, too.
    found = classed(make_photos(("fiat_500", "a", 1), ("fiat_panda", "b", 3), ("audi_a1", "c", 5), ("bmw_1", "d", 9)),
                    {"c": "fiat_500", "d": "small"})  # fmt: skip
    assert of(found, "d")["corrected_model"] == "fiat_500"


def test_a_class_without_photos_has_its_class_all_the_same():
    found = classed(make_photos(("audi_a1", "a", 1), ("bmw_1", "b", 1)), {"a": "small"})
    assert (of(found, "a")["class_name"], of(found, "a")["corrected_model"]) == ("small", "fiat_500")


def test_a_model_that_is_erased_by_now_drops_what_was_corrected_to_it():
    found = classed(make_photos(("audi_a1", "a", 1), ("bmw_1", "b", 1)), {"a": "fiat_others"})
    assert (of(found, "a")["class_name"], of(found, "a")["dropped"]) == (None, "erased_class")


def test_a_name_that_is_gone_goes_through_the_taxonomy_as_a_model():
    photos = make_photos(("audi_a1", "a", 1), ("bmw_1", "b", 1))
    found = classed(photos, {"a": "tiny"})
    assert (of(found, "a")["class_name"], of(found, "a")["corrected_model"]) == ("tiny", "tiny")
    assert list(gone_names(found, RULES)) == [("tiny", 1)]
    assert list(gone_names(classed(photos, {"a": "bmw_1"}), RULES)) == []
    assert list(gone_names(classed(photos, {"a": "small"}), RULES)) == []
    erasing = Taxonomy("rules", unknown="erase", unchanged=("audi_a1", "bmw_1"))
    assert of(classed(photos, {"a": "tiny"}, erasing), "a")["dropped"] == "erased_class"


def test_a_taxonomy_that_refuses_unknown_models_names_the_listing():
    strict = Taxonomy("rules", unknown="error", unchanged=("audi_a1", "bmw_1"))
    photos = make_photos(("audi_a1", "a", 1), ("bmw_1", "b", 1))
    assert of(classed(photos, {"a": "bmw_1"}, strict), "a")["class_name"] == "bmw_1"
    with pytest.raises(InputError, match="1 listings, a for one, were corrected to 'tiny', which the taxonomy has no"):
        classed(photos, {"a": "tiny"}, strict)
    assert of(classed(photos, {"z": "tiny"}, strict), "a")["class_name"] == "audi_a1", "a listing that is gone"


def test_twins_are_settled_by_what_people_say():
    photos = make_photos(("citroën_c3", "a", 2), ("audi_a1", "b", 3))
    found = classed(photos, {"b": "citroen_c3"})
    assert set(found["class_name"]) == {"citroen_c3"}, "the twin with more photos, b among them, names the class"


def test_a_name_in_other_letters_is_the_model():
    found = classed(make_photos(("audi_a1", "a", 1), ("bmw_1", "b", 1)), {"a": "BMW_1"})
    assert (of(found, "a")["corrected_model"], of(found, "a")["class_name"]) == ("bmw_1", "bmw_1")


def sides(photos):
    config = SplitConfig(train=0.6, val=0.2, test=0.2)
    return split(photos, config=config, ledger=None)[0]


def test_of_a_car_offered_twice_what_a_person_says_comes_before_what_sellers_say():
    photos = make_photos(*(("audi_a1", f"a{n}", 2) for n in range(9)), *(("bmw_1", f"b{n}", 2) for n in range(9)))
    photos.loc[photos["listing_uuid"].isin(["a0", "a1", "a2"]), "vehicle"] = "a0"
    found = sides(classed(photos, {"a0": "bmw_1"}))
    assert of(found, "a0")["dropped"] is None
    assert {of(found, "a1")["dropped"], of(found, "a2")["dropped"]} == {"other_class"}


def test_tables_list_a_corrected_car_under_the_model_that_it_counts_with():
    photos = make_photos(*(("audi_a1", f"a{n}", 2) for n in range(9)), *(("bmw_1", f"b{n}", 2) for n in range(9)))
    found = sides(classed(photos, {"a0": "bmw_1"}))
    rows = pd.concat(tables(found).values())
    [row] = rows[rows["vehicle"] == "a0"].to_dict("records")
    assert (row["car_model"], row["class_name"], row["directory_size"]) == ("bmw_1", "bmw_1", 20)
    assert (row["updated_directory_size"], rows[rows["vehicle"] == "a1"]["directory_size"].item()) == (20, 16)
