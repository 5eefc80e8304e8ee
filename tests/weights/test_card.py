"""What a model card says of how a training started, and of its settings."""

import re
from dataclasses import replace

import pytest

from carpipe.manifest import Manifest
from carpipe.weights.card import model_card, settings_of

LIVE = f"models/classifier/{'a' * 20}/manifest.json"


def training(start, **settings):
    config = {"backbone": "EfficientNetB1", "channel": "classifier", "image_size": 240, **settings}
    extra = {"classes": ["kia_rio"], "dataset": "datasets/x/manifest.json", **({"start": start} if start else {})}
    facts = {"version": 1, "weights": {}, "inputs": [], "settings": "", "files": {}, "counts": {}}
    return Manifest("k", stage="train", partition="classifier", config=config, extra=extra, **facts)


def card(start):
    trained = training(start)
    judged = replace(trained, stage="evaluate", config={}, extra={"metrics": {}})
    found = re.search(r"The training started .*", model_card(trained, judged))
    return found[0] if found else ""


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (None, ""),
        ({"kind": "cold", "why": "nothing is live.", "chain": 0}, "cold: nothing is live."),
        (
            {"kind": "warm", "why": "the live model fits.", "chain": 1, "live": LIVE},
            f"warm, from `{LIVE}`; the one before was cold. Why: the live model fits.",
        ),
        (
            {"kind": "warm", "why": "the setting says so.", "chain": 3, "live": LIVE},
            f"warm, from `{LIVE}`; 3 trainings in a row were warm. Why: the setting says so.",
        ),
    ],
)
def test_how_the_training_started_and_why(start, says):
    assert card(start) == (f"The training started {says}" if says else "")


def test_figures_have_the_names_that_people_use_and_a_training_of_0_1_those_of_its_card():
    metrics = {"odd": 1.0, "test_macro_f1": 0.5, "test_accuracy": 0.75}
    judged = replace(training(None), stage="evaluate", config={}, extra={"metrics": metrics})
    start = {"kind": "cold", "why": "nothing is live.", "chain": 0}

    said = [line.split(" | ") for line in model_card(training(start), judged).splitlines() if "`test_" in line]
    assert [(cells[0], cells[1], cells[-1]) for cells in said] == [
        ("| top-1", "0.75", "`test_accuracy` |"), ("| macro-F1", "0.5", "`test_macro_f1` |"),
    ]  # fmt: skip
    assert "| odd | 1 |\n| test_macro_f1 | 0.5 |\n| test_accuracy | 0.75 |\n" in model_card(training(None), judged)


def test_what_it_can_say_of_cars_of_no_class():
    judged = replace(training(None), stage="evaluate", config={}, extra={"metrics": {}})
    facts = {"said": "Of 40 photos 30.0% are found.", "why": "The weights were fitted.", "figures": {}}
    knowing = replace(judged, extra={"metrics": {}, "known": facts})

    assert 'It cannot say\n"none of these". Feed it' in model_card(training(None), judged)
    said = model_card(training(None), knowing)
    assert "cannot say" not in said
    assert "`known.json`. Of 40 photos 30.0% are found. The weights were fitted." in said


def test_what_it_can_say_of_years():
    judged = replace(training(None), stage="evaluate", config={}, extra={"metrics": {}})
    told = {"share": 0.8, "said": "Its guess is 2.00 years off.", "figures": {}}
    cards = [
        model_card(training(None), replace(judged, extra={"metrics": {}, **({"years": facts} if facts else {})}))
        for facts in (None, told, {"said": "The model tells no years: too few cars."})
    ]

    assert "year" not in cards[0]
    assert "`years.json`.\nIts guess is 2.00 years off.\n" in cards[1]
    assert "\nThe model tells no years: too few cars.\n" in cards[2]
    assert "`years.json`" not in cards[2]


def test_a_setting_that_came_later_is_shown_with_what_it_was_before():
    assert settings_of(training(None))["schedule"] == "plateau"
    assert settings_of(training(None, schedule="cosine"))["schedule"] == "cosine"


def test_settings_that_a_warm_training_does_not_use_are_left_out():
    warm = {"kind": "warm", "why": "it fits.", "chain": 1, "live": LIVE}
    cold = {"kind": "cold", "why": "nothing is live.", "chain": 0}
    assert "finetune_epochs" not in settings_of(training(warm, finetune_epochs=28, warm_epochs=6))
    assert settings_of(training(warm, finetune_epochs=28, warm_epochs=6))["warm_epochs"] == 6
    assert settings_of(training(cold, finetune_epochs=28))["finetune_epochs"] == 28
