import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.gate import run
from carpipe.config import GateConfig
from carpipe.errors import InputError
from carpipe.evaluation.gate import compare

RULES = GateConfig()


def table(right: float, *, vehicles: int = 200, classes: int = 4, seed: int = 0) -> pd.DataFrame:
    """3 photos a vehicle; the first vehicles of each class are answered rightly, up to the share."""
    rows = [(f"{v}-{photo}.jpg", f"v{v}", f"class_{v % classes}") for v in range(vehicles) for photo in range(3)]
    frame = pd.DataFrame(rows, columns=["key", "vehicle", "class_name"])
    frame["correct"] = np.repeat(np.arange(vehicles), 3) < right * vehicles
    return frame.sample(frac=1, random_state=seed, ignore_index=True)


# The four: publish, refuse, refuse, never publish.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "right"),
    [
        ("better, +1.5 points", {"publish"}),
        ("equal", {"refuse"}),
        ("worse, -1.5 points", {"refuse"}),
        ("+1 point, a class of 24 vehicles at 0.3", {"ask", "refuse"}),
    ],
)
def test_the_gate_is_right_where_the_truth_is_known(scenario, right):
    outcomes = run(scenario, trials=60, rules=GateConfig(resamples=400), classes=60)

    assert sum(outcomes[outcome] for outcome in right) >= 57, outcomes


def test_what_is_better_is_published_and_says_by_how_much():
    decision = compare(table(0.9), table(0.8, seed=1), rules=RULES)

    assert decision.outcome == "publish"
    assert (
        "Better than the live model: 90.00 % against 80.00 % of 600 test photos of 200 vehicles" in decision.reasons[0]
    )
    assert "+10.00 points" in decision.reasons[0]
    assert decision.numbers["difference"] == pytest.approx(0.1)
    assert 0 < decision.numbers["low"] < 0.1 < decision.numbers["high"]
    assert json.loads(json.dumps(decision.to_json()))["outcome"] == "publish"


@pytest.mark.parametrize(
    ("right", "verdict"), [(0.8, "Not proven better"), (0.81, "Not proven better"), (0.6, "Worse")]
)
def test_what_is_not_proven_better_is_refused(right, verdict):
    decision = compare(table(right), table(0.8), rules=RULES)

    assert decision.outcome == "refuse"
    assert decision.reasons[0].startswith(verdict)


def test_five_vehicles_better_and_none_worse_are_no_proof():
    # One of 32 equal models does as well; the bootstrap alone would publish it.
    decision = compare(table(0.805, vehicles=1000), table(0.8, vehicles=1000), rules=RULES)

    assert decision.numbers["low"] > 0
    assert decision.outcome == "refuse"
    assert decision.reasons[1].endswith("differ as much with a probability of 3.1 %; 1.0 % are allowed.")


def test_the_order_of_the_rows_does_not_matter():
    decisions = [compare(table(0.9, seed=seed), table(0.8, seed=7), rules=RULES) for seed in (1, 2)]

    assert decisions[0] == decisions[1]


def test_a_ruined_class_is_a_persons_decision_and_named():
    candidate, champion = table(1.0, vehicles=400, classes=8), table(0.7, vehicles=400, classes=8)
    candidate.loc[candidate["class_name"] == "class_2", "correct"] = False

    decision = compare(candidate, champion, rules=RULES)

    assert decision.outcome == "ask"
    assert (
        "1 class is ruined: class_2, recall 70.0 % to 0.0 %, 35 of 50 vehicles worse and 0 better."
        in decision.reasons[1]
    )
    assert [row["class_name"] for row in decision.numbers["ruined"]] == ["class_2"]
    assert decision.numbers["falls"][0]["class_name"] == "class_2"


def test_classes_that_cannot_be_judged_alone_are_said():
    small = {"vehicles": 240, "classes": 40}
    decision = compare(table(0.9, **small), table(0.8, **small), rules=RULES)

    assert (
        "No class is ruined. 40 classes with fewer than 7 test vehicles (100.0 % of the photos) were judged tog"
        in decision.reasons[-1]
    )
    assert decision.numbers["photos_pooled"] == 720
    assert decision.outcome == "publish"


def test_small_classes_that_fall_together_are_seen():
    small = {"vehicles": 240, "classes": 40}
    candidate, champion = table(1.0, vehicles=400, classes=1), table(0.7, vehicles=400, classes=1)
    many_fallen = [
        frame.assign(key="x" + frame["key"], vehicle="x" + frame["vehicle"])
        for frame in (table(0.5, **small), table(0.7, **small))
    ]

    decision = compare(pd.concat([candidate, many_fallen[0]]), pd.concat([champion, many_fallen[1]]), rules=RULES)

    assert decision.outcome == "ask"
    assert any(sentence.startswith("The small classes together are ruined") for sentence in decision.reasons)


@pytest.mark.parametrize(("right", "outcome"), [(0.9, "ask"), (0.8, "refuse"), (0.7, "refuse")])
def test_too_few_vehicles_ask_where_it_looks_better(right, outcome):
    decision = compare(table(right, vehicles=99), table(0.8, vehicles=99), rules=RULES)

    assert decision.outcome == outcome
    assert decision.reasons[0].startswith("99 test vehicles are too few to judge by, gate.min_vehicles asks for 100")


@pytest.mark.parametrize(
    ("vehicles", "rules", "outcome"),
    [
        (200, RULES, "publish"),
        (50, RULES, "publish"),
        (50, GateConfig(min_vehicles=50), "publish"),
        (200, GateConfig(min_accuracy=0.85), "refuse"),
        (200, GateConfig(min_accuracy=0.8), "publish"),
        (50, GateConfig(min_accuracy=0.85), "refuse"),
    ],
)
def test_the_first_model_meets_the_floors_only(vehicles, rules, outcome):
    decision = compare(table(0.8, vehicles=vehicles), None, rules=rules)

    assert decision.outcome == outcome
    assert decision.numbers == {"photos": 3 * vehicles, "vehicles": vehicles, "candidate": 0.8}
    assert any("80.00 % of" in sentence for sentence in decision.reasons)


def test_below_the_least_accuracy_even_the_better_is_refused():
    decision = compare(table(0.9), table(0.5), rules=GateConfig(min_accuracy=0.95))

    assert decision.outcome == "refuse"
    assert "90.00 % of the test photos right is below the least allowed, 95.00 %" in decision.reasons[0]
    assert "Better than the live model" in decision.reasons[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.iloc[1:], "judged on 600 photos and the live model on 599"),
        (lambda frame: frame.assign(key="x" + frame["key"]), "run both on the same test split"),
        (lambda frame: frame.assign(class_name="other"), "run both on the same test split"),
        (lambda frame: frame.assign(vehicle="v0"), "run both on the same test split"),
        (lambda frame: frame.drop(columns="vehicle"), r"live model lacks \['vehicle'\]"),
        (lambda frame: frame.iloc[:0], "live model was judged on no photo"),
        (lambda frame: pd.concat([frame.iloc[1:], frame.iloc[1:2]]), "holds a photo twice"),
    ],
)
def test_tables_that_cannot_be_compared_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        compare(table(0.9), change(table(0.8)), rules=RULES)
