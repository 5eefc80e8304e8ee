import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carpipe.errors import ConfigError, InputError
from carpipe.stages.classes import assign_classes
from carpipe.taxonomy.read import load
from carpipe.taxonomy.rules import Taxonomy

TABLES = (
    Path(os.environ.get("CARPIPE_TEST_DATA", Path(__file__).resolve().parents[2].with_name("shared") / "data"))
    / "tables"
)

RULES = Taxonomy("rules", classes={"small": ("fiat_500", "fiat_panda")}, erased=("fiat_others",))


def make_photos(*vehicles: tuple[str, str, int]) -> pd.DataFrame:
    """Photos of (model, vehicle, number of photos)."""
    rows = [(model, vehicle) for model, vehicle, count in vehicles for _ in range(count)]
    photos = pd.DataFrame(rows, columns=["model", "vehicle"])
    return photos.assign(key=[f"photo-{i}" for i in range(len(rows))], dropped=None, dropped_by=None)


def reasons(photos: pd.DataFrame) -> dict[str, int]:
    return {str(reason): int(count) for reason, count in photos["dropped"].value_counts().items()}


def test_models_become_classes_and_rows_stay_in_place() -> None:
    photos = make_photos(("fiat_500", "a", 2), ("fiat_others", "b", 1), ("fiat_panda", "c", 1), ("audi_a1", "d", 1))
    classes = assign_classes(photos, RULES, min_photos=1, max_photos=0)
    assert list(classes["key"]) == list(photos["key"])
    assert classes["class_name"].fillna("-").tolist() == ["small", "small", "-", "small", "audi_a1"]
    assert reasons(classes) == {"erased_class": 1}
    assert classes["dropped_by"].dropna().tolist() == ["classes"]
    assert "class_name" not in photos


def test_a_photo_whose_name_was_not_understood_has_no_model_and_no_class() -> None:
    photos = make_photos(("audi_a1", "a", 1), ("", "", 1)).astype({"model": "str"})
    photos.loc[1, ["model", "vehicle", "dropped", "dropped_by"]] = [None, None, "name_not_understood", "inventory"]
    classes = assign_classes(photos, RULES, min_photos=1, max_photos=0)
    assert classes["class_name"].fillna("-").tolist() == ["audi_a1", "-"]
    assert reasons(classes) == {"name_not_understood": 1}


def test_min_photos_counts_models_before_they_are_merged() -> None:
    photos = make_photos(("fiat_500", "a", 3), ("fiat_panda", "b", 2))
    classes = assign_classes(photos, RULES, min_photos=3, max_photos=0)
    assert reasons(classes) == {"too_few_photos": 2}
    assert set(classes.loc[classes["dropped"].notna(), "model"]) == {"fiat_panda"}


def test_min_photos_may_count_classes_instead() -> None:
    photos = make_photos(("fiat_500", "a", 3), ("fiat_panda", "b", 2))
    classes = assign_classes(photos, RULES, min_photos=5, max_photos=0, level="class")
    assert reasons(classes) == {}


def test_min_photos_counts_only_photos_that_are_still_kept() -> None:
    photos = make_photos(("fiat_500", "a", 3), ("audi_a1", "b", 3))
    photos.loc[0, ["dropped", "dropped_by"]] = ["no_car", "filter"]
    photos.loc[0, "vehicle"] = None
    classes = assign_classes(photos, RULES, min_photos=3, max_photos=0)
    assert reasons(classes) == {"no_car": 1, "too_few_photos": 2}
    assert classes.loc[0, "dropped_by"] == "filter"


def test_cap_keeps_whole_vehicles_of_each_model() -> None:
    photos = make_photos(
        *(("fiat_500", f"f{i}", 4) for i in range(10)), *(("fiat_panda", f"p{i}", 3) for i in range(3))
    )
    classes = assign_classes(photos, RULES, min_photos=1, max_photos=10)
    kept = classes[classes["dropped"].isna()]
    assert kept.groupby("model").size().to_dict() == {"fiat_500": 8, "fiat_panda": 9}
    assert set(kept[kept["model"] == "fiat_500"].groupby("vehicle").size()) == {4}
    assert reasons(classes) == {"over_cap": 32}


def test_cap_goes_by_the_sha256_of_the_vehicle() -> None:
    photos = make_photos(*(("fiat_500", f"f{i}", 4) for i in range(10)))
    classes = assign_classes(photos, RULES, min_photos=1, max_photos=10)
    # The first two of: for i in 0 1 2 3 4 5 6 7 8 9; do echo $(printf f$i | sha256sum) f$i; done | sort
    assert set(classes.loc[classes["dropped"].isna(), "vehicle"]) == {"f9", "f8"}


def test_cap_takes_the_same_vehicles_in_any_order_and_without_regard_to_other_models() -> None:
    vehicles = [("fiat_500", f"f{i}", 4) for i in range(10)]
    one = assign_classes(make_photos(*vehicles), RULES, min_photos=1, max_photos=10)
    other = assign_classes(make_photos(("audi_a1", "x", 9), *vehicles[::-1]), RULES, min_photos=1, max_photos=10)
    kept_one, kept_other = (set(p.loc[p["dropped"].isna(), "vehicle"]) for p in (one, other))
    assert kept_other == kept_one | {"x"}


def test_a_new_vehicle_pushes_out_no_more_than_what_it_takes() -> None:
    vehicles = [("fiat_500", f"f{i}", 1) for i in range(100)]
    before = assign_classes(make_photos(*vehicles), RULES, min_photos=1, max_photos=50)
    after = assign_classes(make_photos(*vehicles, ("fiat_500", "new", 1)), RULES, min_photos=1, max_photos=50)
    kept_before, kept_after = (set(p.loc[p["dropped"].isna(), "vehicle"]) for p in (before, after))
    assert len(kept_before - kept_after) <= 1
    assert kept_after - kept_before <= {"new"}


def test_a_vehicle_larger_than_the_cap_takes_no_room() -> None:
    photos = make_photos(*(("audi_a1", f"glued{i}", 20) for i in range(9)), ("audi_a1", "b", 4), ("audi_a1", "g", 4))
    classes = assign_classes(photos, RULES, min_photos=1, max_photos=8)
    assert set(classes.loc[classes["dropped"].isna(), "vehicle"]) == {"b", "g"}


def test_exactly_the_limits_is_kept() -> None:
    photos = make_photos(("audi_a1", "a", 2), ("audi_a1", "b", 2))
    assert reasons(assign_classes(photos, RULES, min_photos=4, max_photos=4)) == {}


@pytest.mark.parametrize(
    ("vehicles", "min_photos", "max_photos", "complaint"),
    [
        (
            [("audi_a1", "a", 3), ("audi_a2", "b", 5)],
            6,
            0,
            "Lower min_photos .6.: the largest model is 'audi_a2' with 5",
        ),
        ([("fiat_others", "a", 3)], 1, 0, "3 erased_class.*Check the taxonomy"),
        ([("audi_a1", "a", 3)], 1, 2, "Raise max_photos: the largest model is 'audi_a1' with 3"),
        ([], 1, 0, "no photo is left of 0"),
    ],
)
def test_none_left_says_what_to_do(
    vehicles: list[tuple[str, str, int]], min_photos: int, max_photos: int, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        assign_classes(make_photos(*vehicles), RULES, min_photos=min_photos, max_photos=max_photos)


@pytest.mark.parametrize(("min_photos", "max_photos"), [(-1, 0), (1, -1), (10, 5)])
def test_impossible_limits_are_refused(min_photos: int, max_photos: int) -> None:
    with pytest.raises(ConfigError, match=f"got min_photos {min_photos} and max_photos {max_photos}"):
        assign_classes(make_photos(("audi_a1", "a", 1)), RULES, min_photos=min_photos, max_photos=max_photos)


def test_kept_photos_without_vehicle_are_refused() -> None:
    photos = make_photos(("audi_a1", "a", 2))
    photos.loc[1, "vehicle"] = None
    with pytest.raises(InputError, match="1 kept photos have no vehicle"):
        assign_classes(photos, RULES, min_photos=1, max_photos=0)


def test_the_published_tables_become_763_models_and_512_classes_in_seconds() -> None:
    if not TABLES.is_dir():
        pytest.skip("no published tables here")
    listings = pd.concat([pd.read_csv(TABLES / f"table_for_{split}.csv") for split in ("train", "val", "test")])
    row = np.repeat(np.arange(len(listings)), listings["nof_photos"])
    models = listings["car_model"].to_numpy()[row]
    vehicles = (listings["car_model"] + "/" + listings["single_car_index"].astype("str")).to_numpy()[row]
    photos = pd.DataFrame({"key": row.astype("str"), "model": models, "vehicle": vehicles})
    photos = photos.assign(dropped=None, dropped_by=None)
    started = time.monotonic()
    classes = assign_classes(photos, load("published"), min_photos=150, max_photos=1500)
    assert time.monotonic() - started < 10
    enough = classes[~classes["dropped"].eq("too_few_photos")]
    assert len(classes) == 620_498
    assert enough["model"].nunique() == 763
    assert classes.loc[classes["dropped"].isna(), "class_name"].nunique() == 512
    assert "over_cap" not in reasons(classes)


def test_twins_with_and_without_an_accent_are_one_class() -> None:
    photos = make_photos(("citroen_c3", "a", 3), ("citroën_c3", "b", 4), ("audi_a1", "c", 3))
    classes = assign_classes(photos, RULES, min_photos=3, max_photos=0)
    assert classes.groupby("model")["class_name"].first().to_dict() == {
        "audi_a1": "audi_a1",
        "citroen_c3": "citroën_c3",
        "citroën_c3": "citroën_c3",
    }
    assert reasons(classes) == {}


def test_a_twin_that_is_too_rare_renames_nothing() -> None:
    photos = make_photos(("citroen_c3", "a", 2), ("citroën_c3", "b", 4))
    classes = assign_classes(photos, RULES, min_photos=3, max_photos=0)
    assert classes["class_name"].tolist() == ["citroen_c3"] * 2 + ["citroën_c3"] * 4
    assert reasons(classes) == {"too_few_photos": 2}
