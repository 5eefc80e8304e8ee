"""Two models, held against each other by hand."""

import json
import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from carpipe.config import GateConfig
from carpipe.errors import InputError
from carpipe.evaluation.comparison import PER_CLASS, SHOWN, Side, choose_photos, compare_names, compare_sides
from carpipe.evaluation.comparison_page import (
    LISTED,
    judge,
    render_comparison,
    render_markdown,
    render_text,
    verdict,
    wanted_photos,
)
from carpipe.evaluation.metrics import compare_figures
from carpipe.figures import meaning
from tests.evaluation.test_page import HOSTILE, Page, jpeg

MADE = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
RULES = GateConfig()


def table(rows, *, today=False):
    """Answers, from (vehicle, truth, answer) by photo."""
    found = pd.DataFrame(rows, columns=["vehicle", "class_name", "answer"])
    found.insert(0, "key", [f"{one.class_name}/{number:05}.jpg" for number, one in enumerate(found.itertuples())])
    found["correct"] = found["class_name"] == found["answer"]
    return found.assign(today=found["answer"]) if today else found


def side(name, classes, **facts):
    facts = {"metrics": {}, "settings": {}, **facts}
    return Side(f"models/classifier/{name}/manifest.json", tuple(classes), **facts)


def compared(truths, now, before, *, classes=("a", "b", "c"), same_test=True, vehicles=None, sides=None, parts=None):
    """Of answers by photo, each its own vehicle unless said otherwise."""
    vehicles = vehicles or [f"v{number}" for number in range(len(truths))]
    ours, theirs = sides or (side("new", classes), side("old", classes))
    return compare_sides(
        (ours, table(zip(vehicles, truths, now, strict=True))),
        (theirs, table(zip(vehicles, truths, before, strict=True), today=True)),
        parts={name: [name] for name in classes} if parts is None else parts,
        same_test=same_test,
        rules=RULES,
    )


def test_figures_by_hand():
    # Now 4 of 6 right, before 3. a: 2 of 2 against 1; b: 0 of 2 against 1; c: 2 of 2 against 1.
    found = compared("aabbcc", "aaaacc", "abbaca")
    accuracy, f1 = found.figures
    assert (accuracy["now"], accuracy["before"], accuracy["change"]) == pytest.approx((4 / 6, 3 / 6, 1 / 6))
    # F1 now: a 2/(2+1) with 2 false: 4/6; b 0; c 1. Before: a 2/(2+3) = 0.4; b 0.5; c 2/3.
    assert (f1["now"], f1["before"]) == pytest.approx(((4 / 6 + 0 + 1) / 3, (0.4 + 0.5 + 2 / 3) / 3))
    assert [row["verdict"] for row in found.figures] == ["good", "good"]
    assert (found.numbers["better_vehicles"], found.numbers["worse_vehicles"], found.numbers["photos"]) == (2, 1, 6)
    [b] = found.fell
    assert (b["class_name"], b["before"], b["now"], b["change"]) == ("b", 0.5, 0.0, -0.5)
    assert (b["better"], b["worse"], b["photos"], b["vehicles"]) == (0, 1, 2, 2)
    assert [row["class_name"] for row in found.rose] == ["a", "c"]
    assert set(found.changed["key"]) == {"a/00001.jpg", "b/00002.jpg", "c/00005.jpg"}
    assert "Neither better nor worse for certain: 66.67 % of 6 test photos of 6 vehicles right, before 50.00 %" in (
        verdict(found)
    )


def test_chance_is_told_from_what_is_none_both_ways():
    # Ten vehicles of a got worse: 2^-10 by chance. One of b: 1/2. Ten of c got better.
    truths = "a" * 20 + "b" * 20 + "c" * 20
    now = "b" * 10 + "a" * 10 + "a" + "b" * 19 + "c" * 20
    before = "a" * 20 + "b" * 20 + "a" * 10 + "c" * 10
    found = compared(truths, now, before)
    a, b = found.fell
    [c] = found.rose
    assert (a["class_name"], a["p"], a["chance"]) == ("a", pytest.approx(2**-10), False)
    assert (b["class_name"], b["p"], b["chance"]) == ("b", 0.5, True)
    assert (c["class_name"], c["p"], c["chance"], c["ruined"]) == ("c", pytest.approx(2**-10), False, False)
    assert [judge(row) for row in (a, b, c)] == [
        "ruined", "only one vehicle changed, too few to tell", "more than chance",
    ]  # fmt: skip


def test_the_order_of_the_other_models_rows_does_not_matter():
    rows = [("v", "a", "a"), ("w", "a", "b"), ("x", "b", "b")]
    ours, theirs = table(rows), table([("v", "a", "b"), ("w", "a", "a"), ("x", "b", "b")], today=True)
    sides = side("new", "ab"), side("old", "ab")
    facts = {"parts": {"a": ["a"], "b": ["b"]}, "same_test": True, "rules": RULES}
    one = compare_sides((sides[0], ours), (sides[1], theirs), **facts)
    two = compare_sides((sides[0], ours), (sides[1], theirs.iloc[::-1]), **facts)
    assert one.to_json() == two.to_json()
    assert one.changed.equals(two.changed)
    with pytest.raises(InputError, match="run both on the same test split"):
        compare_sides((sides[0], ours), (sides[1], theirs[1:]), **facts)


def test_a_vehicles_second_photo_comes_after_the_first_of_every_other():
    vehicles = ["v"] * 5 + ["w", "x", "y"]
    found = compared("a" * 8, "b" * 8, "a" * 8, vehicles=vehicles)
    [(row, photos)] = choose_photos(found)
    assert row["class_name"] == "a"
    assert [photo["vehicle"] for photo in photos] == ["v", "w", "x", "y"]
    assert len(photos) == PER_CLASS
    assert {(photo["now"], photo["before"]) for photo in photos} == {("b", "a")}


def test_what_became_of_classes():
    parts = {"a": ["a"], "golf": ["golf_vii"], "tt": ["tt_i", "tt_ii"]}
    names = compare_names(["a", "golf", "tt", "zoe"], ["a", "golf_vii", "tt_i", "tt_ii", "van"], parts)
    assert names == {
        "new": ["zoe"], "gone": ["van"], "renamed": {"golf": "golf_vii"}, "merged": {"tt": ["tt_i", "tt_ii"]},
    }  # fmt: skip
    sides = side("new", ["a", "golf", "tt", "zoe"]), side("old", ["a", "golf_vii", "tt_i", "tt_ii", "van"])
    # An old model's golf_vii is a golf today; it never says zoe.
    rows = [("v", "golf", "golf"), ("w", "zoe", "zoe")]
    theirs = pd.concat([table(rows)], ignore_index=True).assign(
        answer=["golf_vii", "a"], today=["golf", "a"], correct=[True, False]
    )
    found = compare_sides((sides[0], table(rows)), (sides[1], theirs), parts=parts, same_test=False, rules=RULES)
    assert found.figures[0]["before"] == 0.5
    assert [(row["class_name"], row["note"]) for row in found.rose] == [("zoe", "new")]
    text = Page(render_comparison(found, pictures={}, made=MADE)).text
    assert "zoe (new) 0.0 % 100.0 % ▲ +100.00" in text
    assert "New classes zoe" in text
    assert "Classes that are gone van" in text
    assert "Renamed classes golf_vii is golf" in text
    assert "Merged classes tt_i, tt_ii are tt" in text


def test_settings_that_differ_and_none_that_do_not():
    settings = {"head_epochs": 3, "batch": 64}
    ours = side("new", "abc", settings=settings, facts={"dataset": "d2", "epochs": 9})
    theirs = side(
        "old", "abc", settings={"batch": 64, "head_epochs": 2, "warm": 1}, facts={"dataset": "d1", "epochs": 9}
    )
    found = compared("abc", "abc", "abc", sides=(ours, theirs))
    assert found.settings == [
        {"name": "head_epochs", "before": 2, "now": 3},
        {"name": "warm", "before": 1, "now": None},
    ]
    assert found.facts == [{"name": "dataset", "before": "d1", "now": "d2"}]
    text = Page(render_comparison(found, pictures={}, made=MADE)).text
    assert "head_epochs 2 3 warm 1 –" in text
    assert "batch" not in text
    assert "epochs 9" not in text
    assert "head_epochs: before 2, now 3" in render_text(found)

    same = compared("abc", "abc", "abc", sides=(ours, side("old", "abc", settings=settings, facts=ours.facts)))
    assert "The settings are the same." in Page(render_comparison(same, pictures={}, made=MADE)).text
    assert "The settings are the same." in render_markdown(same)
    gone = compared("abc", "abc", "abc", sides=(ours, side("old", "abc", settings=None)))
    for shown in (render_comparison(gone, pictures={}, made=MADE), render_text(gone)):
        assert "The settings cannot be compared: a training is gone." in shown


def test_settings_of_one_kind_of_start_alone_are_no_change():
    cold = side("old", "abc", settings={"finetune_epochs": 28, "batch": 32}, facts={"start": "cold: no reason"})
    warm = side("new", "abc", settings={"warm_epochs": 6, "batch": 64}, facts={"start": "warm: it fits"})
    found = compared("abc", "abc", "abc", sides=(warm, cold))
    assert found.settings == [{"name": "batch", "before": 32, "now": 64}]
    assert found.facts == [{"name": "start", "before": "cold: no reason", "now": "warm: it fits"}]


def test_own_figures_are_subtracted_on_the_same_photos_alone():
    rows = compare_figures(
        {"test_nll": 0.3, "test_photos": 6.0, "odd": "x", "nan": float("nan")},
        {"test_nll": 0.2, "test_photos": 6.0, "odd": 1, "nan": 1.0, "test_ece": 0.1},
    )
    assert {row["name"]: (row["change"], row["verdict"]) for row in rows} == {
        "test_nll": (pytest.approx(0.1), "bad"), "test_ece": (None, ""), "test_photos": (0, ""),
        "odd": (None, ""), "nan": (None, ""),
    }  # fmt: skip
    sides = side("new", "abc", metrics={"test_accuracy": 0.5}), side("old", "abc", metrics={"test_accuracy": 0.75})
    text = Page(render_comparison(compared("abc", "abc", "abc", sides=sides), pictures={}, made=MADE)).text
    assert f"top-1 {meaning('test_accuracy')} 0.7500 0.5000 ▼ −0.2500 worse" in text
    other = compared("abc", "abc", "abc", sides=sides, same_test=False)
    text = Page(render_comparison(other, pictures={}, made=MADE)).text
    assert f"top-1 {meaning('test_accuracy')} 0.7500 0.5000 –" in text
    assert "not to be subtracted" in text


def test_foreign_text_is_shown_and_never_run():
    evil = f"{HOSTILE}|[x](https://evil.example)\n# y\x1b[31m‮"
    sides = (
        side("new", [evil, "b"], settings={evil: evil}, facts={evil: evil}, metrics={evil: evil}),
        side("old", [evil, "c"], settings={}, facts={}, metrics={}),
    )
    found = compared([evil, "b"], ["b", evil], [evil, "b"], sides=sides, parts={evil: [evil]}, vehicles=[evil, "v"])
    html = render_comparison(found, pictures={key: jpeg() for key in wanted_photos(found)}, made=MADE)
    page = Page(html)
    assert {"script", "link", "iframe", "object", "a x"}.isdisjoint(tag for tag, _ in page.tags)
    assert "onerror" not in {name for _, attrs in page.tags for name in attrs}
    assert all(href.startswith("#") for href in page.values("href"))
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.values("src"))
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    text = render_markdown(found)
    assert "\\<script\\>" in text
    assert not re.search(r"(?<!\\)[<|\[]", text.partition("\n\n- ")[2])
    assert "https://" not in text
    assert "\n# y" not in text
    for shown in (html, text, "\n".join(render_text(found).splitlines()[2:])):
        assert "\x1b" not in shown
        assert "‮" not in shown


def test_many_classes_and_photos_stay_small():
    rng = np.random.default_rng(0)
    classes = [f"make_model{number:03}" for number in range(512)]
    truths = rng.choice(classes, 8_000)
    wrong = rng.choice(classes, 8_000)
    now, before = (np.where(rng.random(8_000) < 0.8, truths, wrong) for _ in range(2))
    found = compared(truths, now, before, classes=classes)
    wanted = wanted_photos(found)
    assert len(found.fell) + len(found.rose) > 2 * LISTED
    assert len(wanted) <= 2 * SHOWN * PER_CLASS
    html = render_comparison(found, pictures={key: jpeg() for key in wanted}, made=MADE)
    assert len(html) < 2e6
    assert html.count("<img") == len(wanted)
    assert len(render_markdown(found)) < 5_000
    assert len(json.dumps(found.to_json())) < 300_000


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(InputError, match="time zone"):
        render_comparison(compared("abc", "abc", "abc"), pictures={}, made=MADE.replace(tzinfo=None))
