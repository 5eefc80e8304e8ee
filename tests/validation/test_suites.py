"""One planted defect per expectation: exactly that one fails, and every expectation has its defect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carpipe.photos import SPLITS
from carpipe.reasons import STAGES
from carpipe.validation.engine import Engine
from carpipe.validation.joins import AUDIT_COLUMNS, PHOTO_COLUMNS, SPLIT_COLUMNS, _compare_funnels, join_tables
from carpipe.validation.limits import Limits
from carpipe.validation.suites import build_suites
from tests.validation.conftest import CLASSES, FUNNEL, LIMITS, Tables, draw_photos, to_tables


@dataclass
class Dataset:
    tables: Tables
    classes: tuple[str, ...] = CLASSES
    limits: Limits = LIMITS


Fault = Callable[[Dataset], None]


def put(name: str, column: str, value: Any, *, row: int = 0) -> Fault:
    def fault(dataset: Dataset) -> None:
        table = dataset.tables[name].reset_index(drop=True)
        values = table[column].tolist()
        values[row] = value
        dataset.tables[name] = table.assign(**{column: pd.Series(values)})

    return fault


def append(name: str, **values: Any) -> Fault:
    """One more row, like the last one but with ids of its own."""

    def fault(dataset: Dataset) -> None:
        table = dataset.tables[name]
        ids = {column: "new" for column in ("key", "sha256", "listing_uuid", "vehicle") if column in table}
        row = table.tail(1).assign(**ids).assign(**values)
        dataset.tables[name] = pd.concat([table, row], ignore_index=True)

    return fault


def without(name: str, column: str) -> Fault:
    return lambda dataset: dataset.tables.update({name: dataset.tables[name].drop(columns=column)})


def empty(name: str) -> Fault:
    return lambda dataset: dataset.tables.update({name: dataset.tables[name].head(0)})


def together(*faults: Fault) -> Fault:
    def fault(dataset: Dataset) -> None:
        for one in faults:
            one(dataset)

    return fault


def move(*moves: tuple[str, str, str]) -> Fault:
    """Vehicles whose name starts so go from one split to another, in all tables alike."""

    def fault(dataset: Dataset) -> None:
        photos = dataset.tables["photos"].copy()
        for prefix, split in ((f"{name}-{old}", new) for name, old, new in moves):
            photos.loc[photos["vehicle"].str.startswith(prefix) & photos["split"].notna(), "split"] = split
        dataset.tables = to_tables(photos)

    return fault


def listed_twice(dataset: Dataset) -> None:
    """One vehicle's two photos in two rows of one photo each."""
    put("val", "nof_photos", 1)(dataset)
    dataset.tables["val"] = pd.concat([dataset.tables["val"], dataset.tables["val"].head(1)], ignore_index=True)


def one_seat_less(dataset: Dataset) -> None:
    photos = dataset.tables["photos"]
    dataset.tables["photos"] = photos.drop(index=photos.index[photos["model"] == "seat_mii"][:1])


def doubled_class(dataset: Dataset) -> None:
    dataset.classes = (*CLASSES, "audi_a1")


def tiny_model(dataset: Dataset) -> None:
    for column in ("directory_size", "updated_directory_size", "cumsum_by_model"):
        put("val", column, 5, row=6)(dataset)


def strict_filter(dataset: Dataset) -> None:
    """The filter of the previous dataset dropped 10 photos more."""
    before = [entry | {"kept": entry["kept"] - 10} if entry["stage"] == "filter" else entry for entry in FUNNEL]
    dataset.limits = replace(LIMITS, previous_funnel=tuple(before))


def copied(entries: Sequence[Mapping[str, Any]], *, again: int, gone: int) -> list[dict[str, Any]]:
    """The funnel of a bucket whose photos all came again, as after a copy with new etags; many were deleted.

    `identify` says so of those of before.
    """
    found = []
    for entry in entries:
        late = STAGES.index(entry["stage"]) > STAGES.index("identify")
        times = 1 if late else again
        row = {name: times * entry[name] for name in ("in", "kept")}
        dropped = {reason: times * number for reason, number in entry["dropped"].items()}
        if entry["stage"] == "identify":
            left = row["kept"] - entry["kept"]
            row["kept"], dropped = entry["kept"], {**entry["dropped"], "superseded": left - gone, "deleted": gone}
            row["in"] = entry["in"] + left
        found.append({"stage": entry["stage"], **row, "dropped": dropped})
    return found


def test_photos_that_left_the_bucket_are_lost_to_no_stage(tmp_path: Path) -> None:
    now = copied(FUNNEL, again=3, gone=20)
    assert now[STAGES.index("identify")]["kept"] < 0.5 * now[STAGES.index("identify")]["in"]
    for before, after in ((FUNNEL, now), (now, FUNNEL)):
        limits = replace(LIMITS, funnel=tuple(after), previous_funnel=tuple(before))
        shares = _compare_funnels(limits).set_index("stage")
        assert (shares["share"] - shares["previous_share"]).abs().max() < 1e-9


DROPPED = 86  # number of the first dropped row of the photo table

# The table, the rule that breaks, the defect, and what the failure says behind the rule.
PLANTS: list[tuple[str, str, Fault, str]] = [
    ("val", f"has the columns {', '.join(SPLIT_COLUMNS)}",
     without("val", "updated_directory_size"), "missing 'updated_directory_size'"),
    ("val", "has rows", empty("val"), "this is not so"),
    ("val", "no cell is empty",
     append("val", nof_photos=None), "1 of 9 columns break this, such as 'nof_photos: 1 row'"),
    ("val", "counts are numbers",
     put("val", "nof_photos", "many"), "1 of 5 columns break this, such as 'nof_photos: many'"),
    ("val", "each vehicle is there once per model", listed_twice, "2 of 8 rows break this"),
    ("val", "nof_photos is 1 or more", append("val", nof_photos=0), "1 of 8 rows break this, such as 0"),
    ("val", "nof_photos is at most cumsum_by_model",
     put("val", "cumsum_by_model", 1), "1 of 7 rows break this, such as 1 with 2"),
    ("val", "cumsum_by_model is at most updated_directory_size",
     put("val", "cumsum_by_model", 41), "1 of 7 rows break this, such as 40 with 41"),
    ("val", "updated_directory_size is at most directory_size",
     put("val", "directory_size", 39), "1 of 7 rows break this, such as 39 with 40"),
    ("val", "directory_size is 6 or more", tiny_model, "1 of 7 rows break this, such as 5"),
    ("val", "updated_directory_size is at most 40",
     together(put("val", "updated_directory_size", 41), put("val", "directory_size", 41)),
     "1 of 7 rows break this, such as 41"),
    ("val", "the class is known", append("val", class_name="tank"), "1 of 8 rows break this, such as 'tank'"),
    ("val", "the table holds split val only",
     put("val", "split", "train"), "1 of 7 rows break this, such as 'train'"),
    ("listings", "no vehicle is in two split tables",
     put("val", "vehicle", "audi_a1-train-0"), "1 of 42 vehicles break this, such as 'audi_a1-train-0'"),
    ("audit", f"has the columns {', '.join(AUDIT_COLUMNS)}", without("audit", "width"), "missing 'width'"),
    ("audit", "has rows", empty("audit"), "this is not so"),
    ("audit", "no cell is empty", put("audit", "sha256", None), "1 of 12 columns break this, such as 'sha256: 1 row'"),
    ("audit", "each photo is there once",
     put("audit", "key", "raw/audi_a1_2010/1.jpg"), "2 of 86 rows break this, such as 'raw/audi_a1_2010/1.jpg'"),
    ("audit", "the class is known", append("audit", class_name="tank"), "1 of 87 rows break this, such as 'tank'"),
    ("audit", "split is one of train, val, test",
     append("audit", split="holdout"), "1 of 87 rows break this, such as 'holdout'"),
    ("audit", "no vehicle is in two splits",
     put("audit", "vehicle", "fiat_500-val-0"), "1 of 43 vehicles break this, such as 'fiat_500-val-0'"),
    ("audit", "no picture (sha256) is in two splits",
     put("audit", "sha256", "sha-85"), "1 of 85 pictures break this, such as 'sha-85'"),
    ("audit", "no listing (listing_uuid) is in two splits",
     put("audit", "listing_uuid", "listing-fiat_500-val-0"),
     "1 of 43 listings break this, such as 'listing-fiat_500-val-0'"),
    ("audit", "p_car is at least the threshold, 0.7",
     put("audit", "p_car", 0.69), "1 of 86 rows break this, such as 0.69"),
    ("audit", "box_score is between 0 and 1",
     put("audit", "box_score", 1.5), "1 of 86 rows break this, such as 1.5"),
    ("audit", "each box lies inside its photo",
     put("audit", "box", [10.0, 20.0, 321.0, 240.0]),
     "1 of 86 boxes break this, such as 'raw/audi_a1_2010/0.jpg: box 10 20 321 240 in 320x240'"),
    ("photos", f"has the columns {', '.join(PHOTO_COLUMNS)}", without("photos", "p_car"), "missing 'p_car'"),
    ("photos", "has rows", empty("photos"), "this is not so"),
    ("photos", "no key is empty", put("photos", "key", None), "1 of 1 columns break this, such as 'key: 1 row'"),
    ("photos", "each version of a photo is there once",
     put("photos", "key", "raw/audi_a1_2010/1.jpg"), "1 of 90 photos break this, such as 'raw/audi_a1_2010/1.jpg'"),
    ("photos", "p_car is between 0 and 1", put("photos", "p_car", -0.1), "1 of 90 rows break this, such as -0.1"),
    ("photos", "every dropped photo has a reason and a stage",
     put("photos", "dropped_by", None, row=DROPPED),
     "1 of 4 dropped photos break this, such as 'raw/audi_a1_2010/86.jpg'"),
    ("photos", "no kept photo has a reason or a stage that dropped it",
     put("photos", "dropped", "banner"), "1 of 86 kept photos break this, such as 'raw/audi_a1_2010/0.jpg'"),
    ("photos", "the stage that dropped a photo is one of inventory, clean, filter, crop, identify, classes, split",
     put("photos", "dropped_by", "magic", row=DROPPED), "1 of 90 rows break this, such as 'magic'"),
    ("photos", "each model has 6 photos or more, before cap and split",
     one_seat_less, "1 of 3 models break this, such as 'seat_mii: 5'"),
    ("photos", "each model has at most 40 photos",
     append("photos", model="audi_a1", split="val", dropped=None, dropped_by=None),
     "1 of 3 models break this, such as 'audi_a1: 41'"),
    ("classes", "each class is there once", doubled_class, "2 of 4 rows break this, such as 'audi_a1'"),
    ("classes", "each class has photos in train, val and test",
     move(("seat_mii", "val", "train")), "1 of 3 classes break this, such as 'seat_mii: no val'"),
    ("classes", "the split tables list as many photos of a class as the audit table holds",
     put("val", "nof_photos", 1), "1 of 9 counts break this, such as 'audi_a1: val lists 5 of 6'"),
    ("classes", "the photos are split about 70 % / 15 % / 15 %",
     move(*((name, f"train-{n}", "val") for name in ("audi_a1", "fiat_500") for n in (2, 3))),
     "1 of 3 shares break this, such as 'all classes: 25.6 % in val instead of 15 %'"),
    ("classes", "the photos of each class are split about 70 % / 15 % / 15 %",
     move(*(("audi_a1", f"train-{n}", "val") for n in (2, 3, 4)), *(("fiat_500", f"val-{n}", "train") for n in (0, 1))),
     "2 of 9 shares break this, such as 'audi_a1: 30.0 % in val instead of 15 %'"),
    ("funnel", "each stage keeps the share that it kept before, within 10 points; classes and split may keep more",
     strict_filter, "1 of 7 stages break this, such as 'filter: kept 98.9 %, before 87.8 %'"),
]  # fmt: skip


def check(dataset: Dataset, folder: Path, *, like: dict[str, pd.DataFrame] | None = None) -> list[str]:
    """The failures of all suites; those of tables that are `like` known good ones are left out for speed."""
    joined = join_tables(dataset.tables, dataset.classes, dataset.limits)
    suites = build_suites(joined, dataset.classes, dataset.limits)
    engine = Engine(folder)
    changed = [name for name in suites if like is None or not joined[name].equals(like[name])]
    return [
        str(found) for name in changed for found in engine.run(name, joined[name], suites[name]) if not found.success
    ]


@pytest.fixture(scope="module")
def good() -> dict[str, pd.DataFrame]:
    return join_tables(to_tables(draw_photos()), CLASSES, LIMITS)


def test_the_dataset_without_defects_is_good(tables: Tables, tmp_path: Path) -> None:
    assert check(Dataset(tables), tmp_path) == []


@pytest.mark.parametrize(
    ("table", "rule", "fault", "says"), PLANTS, ids=[f"{plant[0]}: {plant[1][:60]}" for plant in PLANTS]
)
def test_a_planted_defect_breaks_its_expectation_only(
    tables: Tables, good: dict[str, pd.DataFrame], tmp_path: Path, table: str, rule: str, fault: Fault, says: str
) -> None:
    dataset = Dataset(tables)
    fault(dataset)
    failed = check(dataset, tmp_path, like=good)
    assert [sentence[: len(f"{table}: {rule}: ")] for sentence in failed] == [f"{table}: {rule}: "], failed
    assert says in failed[0]


def rules(good: dict[str, pd.DataFrame]) -> dict[str, list[str]]:
    return {name: [rule.description for rule in suite] for name, suite in build_suites(good, CLASSES, LIMITS).items()}


def test_every_expectation_has_its_planted_defect(good: dict[str, pd.DataFrame]) -> None:
    expected = {(name, rule) for name, suite in rules(good).items() if name not in ("train", "test") for rule in suite}
    assert {plant[:2] for plant in PLANTS} == expected
    assert len(PLANTS) == len(expected)


def test_the_three_split_tables_have_the_same_rules(good: dict[str, pd.DataFrame]) -> None:
    train, val, test = ([rule.replace(f"split {name}", "split x") for rule in rules(good)[name]] for name in SPLITS)
    assert train == val == test
