"""What came of a run, in a sentence: the dataset that it made, or what the gate said of its model."""

import contextlib

from carpipe.errors import InputError, MissingError
from carpipe.steps.cache import ResultCache
from carpipe.steps.models.decisions import parse_decision
from carpipe.steps.views.datasets import call_dataset, find_dataset
from carpipe.steps.views.kept import read_all

NEWEST = 60  # decisions among which that of a run is looked for
SAID = {
    "publish": "New weights went live",
    "ask": "A person was asked",
    "refuse": "The new weights were refused",
    "nothing_to_do": "Nothing to do",
}


def dataset_made(cache: ResultCache, key: str) -> str:
    """Of a run that has made, or found again, a dataset; empty where it cannot be shown."""
    with contextlib.suppress(InputError, MissingError):
        return f"The dataset of {call_dataset(find_dataset(cache, key.split('/')[1])).name}."
    return ""


def decided(cache: ResultCache, channel: str, run: str) -> str:
    """What the gate said in a run; empty where it said nothing."""
    found = read_all(cache, f"channels/{channel}/decisions", parse_decision, newest=NEWEST, passed_over=InputError)
    for one in reversed(found):
        if one is not None and one["run"] == run:
            return f"{SAID.get(one['outcome'], one['outcome'])}: {' '.join(one['reasons'])}"
    return ""
