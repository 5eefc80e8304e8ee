"""What work costs: hours of workers and requests to the store, and money where the settings have prices.

Workers that train and judge models take the queue `gpu`; those that make datasets do not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from carpipe import manifest
from carpipe.config import CostConfig
from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.session import Session

HOUR_S = 3600.0
# Where a validation says what the results have cost that are new since the dataset before.
NIGHT = "night"
# The stages that ask for each photo that they work on.
ASKING = ("clean", "crop")


@dataclass(frozen=True)
class Cost:
    """Hours of workers with and without a GPU, and requests for photos; those for results are few."""

    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    requests: int = 0

    def money(self, prices: CostConfig) -> float | None:
        """In the currency of the prices; None where there are none."""
        if not (prices.cpu_hour or prices.gpu_hour or prices.request):
            return None
        hours = self.cpu_hours * prices.cpu_hour + self.gpu_hours * (prices.gpu_hour or prices.cpu_hour)
        return hours + self.requests * prices.request


def describe_money(amount: float, prices: CostConfig) -> str:
    """Such as `12.30 EUR`; less than a hundredth is said so."""
    said = f"{amount:,.2f}" if amount >= 0.005 or not amount else "less than 0.01"
    return f"{said} {prices.currency}".strip()


def describe_cost(cost: Cost, prices: CostConfig) -> str:
    """Such as `3.2 hours of workers, 1.28 EUR`."""
    hours = cost.cpu_hours + cost.gpu_hours
    time = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
    amount = cost.money(prices)
    return f"{time} of workers" + ("" if amount is None else f", {describe_money(amount, prices)}")


def dataset_cost(session: Session, dataset: Manifest) -> Cost:
    """What all results that a dataset was made of have cost, those of earlier nights too.

    Raises:
        MissingError: one of them is not there any more.
        InputError: it is none, or the dataset does not say of what it was made.
    """
    store = session.store
    if len(dataset.inputs) < 2 or "packed" not in dataset.extra:
        raise InputError(f"{dataset.key} does not say of what it was made.")
    splitted, validated, *_ = manifest.read_many(store, dataset.inputs)
    classed = manifest.read(store, splitted.inputs[0])
    identified = manifest.read(store, classed.inputs[0])
    made = results.lineage(store, manifest.read_many(store, identified.inputs)).values()
    packed = manifest.read_many(store, dataset.extra["packed"])
    return _sum([splitted, validated, classed, identified, *chain.from_iterable(made), *packed, dataset])


def cost_since(works: Iterable[Manifest], before: Manifest | None) -> Cost:
    """What those results have cost that were committed after another one; all of them where there is none before.

    What was made by carpipe 0.1, which did not say when, counts as old.
    """
    moment = manifest.committed_at(before, None) if before else None
    return _sum(done for done in works if moment is None or manifest.committed_at(done, None) > moment)


def night_cost(validated: Manifest) -> Cost | None:
    """What was new in a dataset has cost, as its validation says; None where it does not, as those of carpipe 0.1."""
    try:
        return Cost(**validated.extra[NIGHT])
    except (KeyError, TypeError):
        return None


def model_cost(session: Session, model: Manifest) -> Cost:
    """What training, judging and packaging a model has cost; its dataset is not counted. Raises as `dataset_cost`."""
    if not model.inputs:
        raise InputError(f"{model.key} does not say of what it was made.")
    judged = manifest.read(session.store, model.inputs[0])
    trained = manifest.read(session.store, judged.inputs[0])
    return Cost(gpu_hours=sum(done.seconds for done in (model, judged, trained)) / HOUR_S)


def _sum(works: Iterable[Manifest]) -> Cost:
    seconds, requests = 0.0, 0
    for done in works:
        seconds += done.seconds
        if done.stage in ASKING:
            requests += int(done.counts["in"]) - done.reused
    return Cost(cpu_hours=seconds / HOUR_S, requests=requests)
