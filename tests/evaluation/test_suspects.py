"""Which listings are suspects, by whom, and what is said of them."""

import numpy as np
import pandas as pd
import pytest

from carpipe.evaluation.listing_answers import Source, pool_listings
from carpipe.evaluation.suspects import COLUMNS, FEW, find_suspects
from carpipe.evaluation.top_answers import TopAnswers, from_parquet, join, keep_top, take, to_parquet
from carpipe.probabilities import pool

CLASSES = ("audi_a4", "bmw_3er", "bmw_5er", "kia_rio")


def answers(rows, classes=CLASSES):
    """`rows`: (key, class that the photo looks like, how likely); the rest is shared evenly by all others."""
    p = np.zeros((len(rows), len(classes)), np.float32)
    for row, (_, looks, sure) in enumerate(rows):
        p[row] = (1 - sure) / (len(classes) - 1)
        p[row, classes.index(looks)] = sure
    photos = pd.DataFrame({"key": [key for key, _, _ in rows]})
    return keep_top(photos, p, energy=np.zeros(len(rows)), temperature=1.0, classes=classes)


def world(per_class=20, *, photos=3, classes=CLASSES):
    """Listings that look as they are named: photos, and rows for `answers`."""
    table, rows = [], []
    for name in classes:
        for number in range(per_class):
            for photo in range(photos):
                key = f"{name}/{number}_{photo}"
                table.append((key, f"{name}-{number}", name))
                rows.append((key, name, 0.9 + 0.01 * ((number + photo) % 8)))
    return pd.DataFrame(table, columns=["key", "listing_uuid", "class_name"]), rows


def add(table, rows, listing, *, is_a, looks):
    """One more listing, a photo for each of what they look like: (class, how likely)."""
    keys = [f"{listing}_{number}" for number in range(len(looks))]
    more = pd.DataFrame({"key": keys, "listing_uuid": listing, "class_name": is_a})
    new = [(key, name, sure) for key, (name, sure) in zip(keys, looks, strict=True)]
    return pd.concat([table, more], ignore_index=True), [*rows, *new]


def test_a_listing_that_looks_like_another_class_is_found_and_explained():
    table, rows = add(*world(), "wrong", is_a="bmw_5er", looks=[("bmw_3er", 0.95)] * 5 + [("bmw_5er", 0.5)])

    found = find_suspects(table, [Source("m", answers(rows))], classes=CLASSES)

    assert list(found.table.columns) == list(COLUMNS)
    [one] = found.table.to_dict("records")
    assert (one["listing"], one["from"], one["suggested"], one["source"]) == ("wrong", "bmw_5er", "bmw_3er", "m")
    assert (one["photos"], one["votes"], one["mixed"], one["key"]) == (6, 5, False, "wrong_0")
    assert one["why"] == (
        f"5 of 6 photos look like bmw_3er. The model gives bmw_3er a probability of {one['p']:.2f}, and bmw_5er "
        f"{one['p_from']:.2f}. "
        "Of 20 other listings of bmw_5er, the model takes none for bmw_3er."
    )
    assert found.judged == {"m": 81}


def test_where_all_look_as_they_are_named_there_is_no_suspect():
    table, rows = world()
    assert find_suspects(table, [Source("m", answers(rows))], classes=CLASSES).table.empty


def test_the_surest_comes_first():
    table, rows = add(*world(), "sure", is_a="kia_rio", looks=[("audi_a4", 0.99)] * 3)
    table, rows = add(
        table, rows, "less", is_a="kia_rio", looks=[("audi_a4", 0.99), ("audi_a4", 0.97), ("kia_rio", 0.6)]
    )

    found = find_suspects(table, [Source("m", answers(rows))], classes=CLASSES)

    assert found.table["listing"].tolist() == ["sure", "less"]


def test_a_listing_whose_photos_show_different_cars_is_told_to():
    looks = [("audi_a4", 0.97), ("audi_a4", 0.97), ("bmw_3er", 0.97), ("bmw_5er", 0.97)]
    table, rows = add(*world(), "two cars", is_a="kia_rio", looks=looks)

    one = find_suspects(table, [Source("m", answers(rows))], classes=CLASSES).table.iloc[0]

    assert (one["listing"], one["mixed"], one["votes"], one["photos"]) == ("two cars", True, 2, 4)
    assert "The photos do not agree, and may show different cars." in one["why"]


def test_how_often_others_of_the_class_are_taken_for_it_is_said():
    table, rows = world()
    for number in range(2):
        table, rows = add(table, rows, f"wrong-{number}", is_a="bmw_5er", looks=[("bmw_3er", 0.97)] * 3)

    found = find_suspects(table, [Source("m", answers(rows))], classes=CLASSES)

    assert len(found.table) == 2
    assert found.table["why"].str.endswith("Of 21 other listings of bmw_5er, the model takes 1 for bmw_3er.").all()


def test_who_was_looked_at_is_left_out_and_still_counts_in_what_is_usual():
    table, rows = add(*world(), "wrong", is_a="bmw_5er", looks=[("bmw_3er", 0.95)] * 3)

    found = find_suspects(table, [Source("m", answers(rows))], classes=CLASSES, settled={"wrong", "gone"})

    assert found.table.empty
    assert found.apart["settled"] == 1
    assert found.judged == {"m": 81}


def test_the_first_source_that_knows_the_class_judges_a_listing():
    table, rows = add(*world(), "wrong", is_a="kia_rio", looks=[("audi_a4", 0.97)] * 2)
    old = CLASSES[:3]  # does not know kia_rio: its photos of one look like an audi
    first = Source("old", answers([row for row in rows if row[1] in old], old))
    second = Source("new", answers(rows))

    found = find_suspects(table, [first, second], classes=CLASSES)

    assert found.judged == {"old": 60, "new": 21}
    assert found.table[["listing", "source"]].to_numpy().tolist() == [["wrong", "new"]]
    alone = find_suspects(table, [first], classes=CLASSES)
    assert alone.table.empty
    assert alone.apart["unknown_class"] == 1, "wrong was answered by a model that does not know its class"


def test_what_cannot_be_judged_is_counted_and_not_guessed():
    table, rows = add(*world(), "both", is_a="kia_rio", looks=[("audi_a4", 0.97)] * 2)
    table.loc[table.index[-1], "class_name"] = "audi_a4"  # in two folders
    classes = (*CLASSES, "rare")
    for number in range(FEW - 1):
        table, rows = add(table, rows, f"rare-{number}", is_a="rare", looks=[("audi_a4", 0.97)])

    found = find_suspects(table, [Source("m", answers(rows, classes))], classes=classes)

    assert found.table.empty
    assert found.apart == {
        "several_classes": 1, "unknown_class": 0, "few_listings": FEW - 1, "settled": 0, "not_asked": 0,
    }  # fmt: skip
    table, _ = add(table, rows, "unseen", is_a="kia_rio", looks=[("kia_rio", 0.97)])
    assert find_suspects(table, [Source("m", answers(rows, classes))], classes=classes).apart["not_asked"] == 1


def test_photos_without_a_class_or_an_answer_are_nobodys():
    table, rows = world()
    table.loc[0, "class_name"] = None
    assert find_suspects(table, [Source("m", answers(rows[:30]))], classes=CLASSES).judged == {"m": 10}
    none = find_suspects(table, [], classes=CLASSES)
    assert (none.judged, len(none.table)) == ({}, 0)


def draw(classes, photos, *, seed=3):
    p = np.random.default_rng(seed).dirichlet(np.full(classes, 0.2), photos).astype(np.float32)
    names = tuple(f"c{number:02}" for number in range(classes))
    return p, names


def test_pooled_answers_are_those_that_apps_pool():
    p, names = draw(10, 12)
    top = keep_top(pd.DataFrame({"key": range(12)}), p, energy=np.zeros(12), temperature=1.0, classes=names)
    listing = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3])

    found = pool_listings(Source("m", top), np.arange(12), listing=listing, classes=names)

    wanted = np.stack([pool(list(p[listing == number])) for number in range(4)])
    np.testing.assert_allclose(found.p, wanted, rtol=0.02, atol=1e-4)
    assert found.best.tolist() == p.argmax(axis=1).tolist()


def test_what_is_not_among_the_ten_gets_its_part_of_the_rest():
    p, names = draw(40, 6)
    top = keep_top(pd.DataFrame({"key": range(6)}), p, energy=np.zeros(6), temperature=1.0, classes=names)
    kept = np.zeros_like(p)
    best = np.argsort(-p, axis=1, kind="stable")[:, :10]
    np.put_along_axis(kept, best, np.take_along_axis(p, best, axis=1), axis=1)
    spread = np.where(kept > 0, kept, (1 - kept.sum(axis=1, keepdims=True)) / 30)

    found = pool_listings(Source("m", top), np.arange(6), listing=np.zeros(6, int), classes=names)

    np.testing.assert_allclose(found.p[0], pool(list(spread)), rtol=0.03, atol=1e-4)
    assert found.p.sum() == pytest.approx(1, abs=1e-4)


def test_how_likely_the_given_class_is_counts_where_it_is_none_of_the_ten():
    p, names = draw(40, 6)
    given = np.argsort(-p, axis=1)[:, [0, 4, 12, 20, 30, 39]].diagonal()  # two are among the ten
    photos = pd.DataFrame({"key": range(6), "class_name": [*np.array(names)[given[:5]], "unknown"]})
    top = keep_top(photos, p, energy=np.zeros(6), temperature=1.0, classes=names)
    whole = np.argsort(-p, axis=1)[:, :10]
    spread = np.zeros_like(p)
    for row, (best, own) in enumerate(zip(whole, given, strict=True)):
        kept = {*best} | ({own} if row < 5 else set())
        rest = [number for number in range(40) if number not in kept]
        spread[row, [*kept]] = p[row, [*kept]]
        spread[row, rest] = (1 - spread[row].sum()) / len(rest)

    for one in (top, from_parquet(to_parquet(top))):
        found = pool_listings(Source("m", one), np.arange(6), listing=np.arange(6), classes=names)
        for row in range(6):
            np.testing.assert_allclose(found.p[row], pool([spread[row]]), rtol=0.03, atol=1e-6)


def test_classes_by_names_of_then_count_as_what_they_became():
    """`old` and `older` were merged into `new`, `gone` is none of today's, and nobody could answer `later`."""
    classes = ("old", "older", "gone", "kia")
    p = np.array([[0.3, 0.25, 0.1, 0.35]], np.float32)
    top = keep_top(pd.DataFrame({"key": ["a"]}), p, energy=np.zeros(1), temperature=1.0, classes=classes)
    source = Source("m", top, {"old": "new", "older": "new"})
    today = ("kia", "later", "new")

    found = pool_listings(source, np.array([0]), listing=np.array([0]), classes=today)

    assert found.best.tolist() == [2], "together they are likelier than kia"
    np.testing.assert_allclose(found.p[0], np.array([0.35, 0, 0.55]) / 0.9, atol=2e-3)
    assert source.known(today).tolist() == [True, False, True]


def test_answers_are_taken_and_joined():
    top = answers([("a", "kia_rio", 0.9), ("b", "audi_a4", 0.8), ("c", "bmw_3er", 0.7)])
    some = join([take(top, np.array([2, 0])), take(top, np.array([False, True, False]))])
    assert some.photos["key"].tolist() == ["c", "a", "b"]
    assert some.answer.tolist() == ["bmw_3er", "kia_rio", "audi_a4"]
    assert isinstance(some, TopAnswers)
    with pytest.raises(Exception, match="must be of one model"):
        join([top, answers([("d", "audi_a4", 0.9)], CLASSES[:3])])
