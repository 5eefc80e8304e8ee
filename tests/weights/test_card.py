"""What a model card says of how a training started."""

import re

import pytest

from carpipe.manifest import Manifest
from carpipe.weights.card import model_card

LIVE = f"models/classifier/{'a' * 20}/manifest.json"


def card(start):
    config = {"backbone": "EfficientNetB1", "channel": "classifier", "image_size": 240}
    extra = {"classes": ["kia_rio"], "dataset": "datasets/x/manifest.json", **({"start": start} if start else {})}
    facts = {"version": 1, "weights": {}, "inputs": [], "settings": "", "files": {}, "counts": {}}
    trained = Manifest("k", stage="train", partition="classifier", config=config, extra=extra, **facts)
    judged = Manifest("k", stage="evaluate", partition="classifier", config={}, extra={"metrics": {}}, **facts)
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
