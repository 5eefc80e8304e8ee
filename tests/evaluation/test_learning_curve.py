"""What a learning curve says of shares of the photos: figures against counts made by hand, and the page."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from carpipe.called import Called
from carpipe.config import GateConfig
from carpipe.errors import InputError
from carpipe.evaluation import plots
from carpipe.evaluation.learning_curve import Point, describe_step, judge_curve
from carpipe.evaluation.learning_curve_page import CurvePage, render_curve
from carpipe.evaluation.plot_files import to_png

RULES = GateConfig()
DATASET = Called("1f9c0b7a6d52e4c38b01", "30 Nov 2025 01:00, 1,797 photos")
CLASSES = {"audi_a3": 60, "kia_<b>rio": 40}


def answers(right):
    """100 test vehicles of two photos; `right` is how many of each class's vehicles are answered rightly."""
    rows = [
        (f"{name}/{vehicle}-{number}.jpg", f"{name}-{vehicle}", name, vehicle < right[name])
        for name, vehicles in CLASSES.items()
        for vehicle in range(vehicles)
        for number in range(2)
    ]
    return pd.DataFrame(rows, columns=["key", "vehicle", "class_name", "correct"])


def point(share, photos, right, **others):
    table = answers(dict(zip(CLASSES, right, strict=True)))
    figures = {"test_accuracy": float(table["correct"].mean()), "test_macro_f1": 0.5, "test_nll": 2.0, **others}
    training = dict.fromkeys(CLASSES, photos // 2)
    return Point(share, photos, photos // 2, 3, 30, 60.0, figures, training, table)


@pytest.fixture(scope="module")
def curve():
    points = [point(0.25, 100, (30, 10)), point(0.5, 200, (45, 12), test_listing_accuracy=0.6), point(1, 400, (47, 30))]
    return judge_curve(points, rules=RULES)


def test_a_step_is_the_difference_on_the_same_photos_with_bounds_by_vehicle(curve):
    first, last = curve["steps"]

    assert (first["from"], first["to"], first["times"]) == (0.25, 0.5, 2)
    assert first["difference"] == pytest.approx(0.17)
    assert last["difference"] == pytest.approx(0.20)
    # 20 of 100 vehicles became right and none wrong: a binomial's 1 % quantile is 11 of 100.
    assert last["low"] == pytest.approx(0.11, abs=0.015)
    assert last["better"]
    assert last["chance"] == pytest.approx(0.5**20)


def test_a_point_has_an_interval_by_vehicle(curve):
    last = curve["points"][-1]

    assert (last["test_accuracy"], last["photos"], last["steps"]) == (pytest.approx(0.77), 400, 30)
    # Wilson's for 77 of 100 vehicles at 99 % each side, not for 154 of 200 photos.
    assert (last["low"], last["high"]) == (pytest.approx(0.659, abs=0.003), pytest.approx(0.853, abs=0.003))
    assert "test_listing_accuracy" not in last
    assert "test_nll" not in last


def test_classes_stand_by_their_gain_and_say_whether_it_is_proven(curve):
    kia, audi = curve["classes"]

    assert (kia["class_name"], kia["gain"], kia["better"], kia["worse"]) == ("kia_<b>rio", pytest.approx(0.45), 18, 0)
    assert (kia["recall_before"], kia["recall"], kia["proven"]) == (pytest.approx(0.3), pytest.approx(0.75), True)
    assert (kia["training_before"], kia["training"]) == (100, 200)
    assert (audi["better"], audi["proven"]) == (2, False)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            (2.0, 0.031, 0.012, 0.05, True),
            "The last doubling of photos brought +3.1 points (+1.2 at least, +5.0 at most",
        ),
        ((2.0, 0.031, 0.012, 0.05, True), "likely to help again"),
        ((4.0, 0.031, 0.012, 0.05, True), "4 times the photos brought +3.1"),
        (
            (2.1, 0.004, -0.01, 0.02, False),
            "(−1.0 at least, +2.0 at most, each 99 % sure). That more photos help is not",
        ),
        ((2.0, -0.02, -0.03, -0.01, False), "More photos of this kind did not help"),
    ],
)
def test_the_last_step_is_a_sentence(step, says):
    facts = dict(zip(("times", "difference", "low", "high", "better"), step, strict=True))

    assert says in describe_step(facts, confidence=0.99)


def test_one_point_is_a_curve_without_steps():
    found = judge_curve([point(1, 400, (47, 30))], rules=RULES)

    assert (found["steps"], found["classes"], found["says"]) == ([], [], "")
    assert "What each step brought" not in render(found)


def test_points_of_other_test_photos_are_no_curve():
    one, other = point(0.5, 200, (45, 12)), point(1, 400, (47, 30))
    fewer = Point(**{**vars(other), "answers": other.answers[1:]})

    with pytest.raises(InputError, match=r"shares 0\.5 and 1 were judged on 200 and 199 test photos that are not the"):
        judge_curve([one, fewer], rules=RULES)
    with pytest.raises(InputError, match="at least one point"):
        judge_curve([], rules=RULES)


def render(curve, **facts):
    made = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    return render_curve(CurvePage(DATASET, made, curve, {"batch": 32, **facts}))


def test_the_page_says_it_all_and_runs_no_name(curve):
    page = render(curve, backbone="<script>")

    for text in (
        curve["says"],
        "25 %",
        "100 %",
        "77.0 %",
        "+20.0",
        "2 Jan 2026 03:04 UTC",
        "30 Nov 2025 01:00, 1,797 photos",
        "kia_&lt;b&gt;rio",
    ):
        assert text in page, text
    assert "<b>rio" not in page
    assert "<script" not in page
    assert "60.0 %" in page, "listings, of the point that has them"
    assert render(curve, backbone="<script>") == page


def test_the_plot_is_a_picture_and_the_same_for_the_same_points(curve):
    drawn = to_png(plots.accuracy_by_share(curve["points"]))

    assert drawn.startswith(b"\x89PNG")
    assert to_png(plots.accuracy_by_share(curve["points"])) == drawn
    assert to_png(plots.accuracy_by_share(curve["points"][:1])).startswith(b"\x89PNG")
