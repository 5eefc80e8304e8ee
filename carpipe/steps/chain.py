"""The whole chain in one process, for people without Airflow: the same steps in the same order."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from carpipe.manifest import Manifest
from carpipe.steps.data.classes import classes
from carpipe.steps.data.clean import clean
from carpipe.steps.data.crop import crop
from carpipe.steps.data.dataset import dataset
from carpipe.steps.data.filter import filter_cars
from carpipe.steps.data.identify import identify
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.pack import pack_many
from carpipe.steps.data.plan import plan
from carpipe.steps.data.plan_text import render_plan
from carpipe.steps.data.quantize import quantize
from carpipe.steps.data.split import split
from carpipe.steps.data.validate import validate
from carpipe.steps.labels.label_set import label_set
from carpipe.steps.models.advice import propose
from carpipe.steps.models.evaluate import evaluate
from carpipe.steps.models.gate import Verdict, gate
from carpipe.steps.models.new_models import tell_new_models
from carpipe.steps.models.package import package
from carpipe.steps.models.publish import publish
from carpipe.steps.models.score import score
from carpipe.steps.models.train import Model, train
from carpipe.steps.session import Session
from carpipe.weights.channel import read_channel

log = logging.getLogger(__name__)

# Called after each piece of work with the stage's name and what it committed.
Progress = Callable[[str, Manifest], None]
# The time of day, UTC, ISO 8601, whenever something is recorded: a training may take most of a day.
Clock = Callable[[], str]


@dataclass(frozen=True)
class Outcome:
    """What a run ended in."""

    dataset: Manifest
    evaluation: Manifest
    verdict: Verdict


def train_filter(session: Session, *, run: str, now: Clock, progress: Progress) -> Verdict:
    """Labels to a car filter, live if the gate lets it."""
    labelled = label_set(session)
    progress("label_set", labelled)
    return _train(session, labelled.key, model="car_filter", run=run, now=now, progress=progress)[1]


def prepare_dataset(session: Session, *, now: Clock, progress: Progress) -> Manifest:
    """Photos under raw/ to a dataset."""
    stock = inventory(session)
    for done in quantize(session, stock.key):
        progress("quantize", done)
    planned = plan(session, stock.key)
    log.info("this run will do:\n%s", render_plan(planned.forecast, session.config.cost))
    cropped = []
    for part in planned.partitions:
        done = clean(session, part["manifest"], inventory=planned.inventory)
        progress("clean", done)
        done = filter_cars(session, done.key, weights=planned.car_filter)
        progress("filter", done)
        done = crop(session, done.key)
        progress("crop", done)
        cropped.append(done.key)
    done = identify(session, cropped, inventory=planned.inventory)
    progress("identify", done)
    done = classes(session, done.key)
    progress("classes", done)
    splitted = split(session, done.key)
    progress("split", splitted)
    validated = validate(session, splitted.key, at=now())
    progress("validate", validated)
    packed = list(pack_many(session, splitted.key, cropped))
    for done in packed:
        progress("pack", done)
    done = dataset(session, splitted.key, validated.key, [shards.key for shards in packed])
    progress("dataset", done)
    return done


def retrain_classifier(
    session: Session, dataset_key: str, *, run: str, now: Clock, progress: Progress
) -> tuple[Manifest, Verdict]:
    """Dataset to classifier weights, live if the gate lets them; first what the live ones make of what is new."""
    score(session, dataset_key, at=now())
    tell_new_models(session, dataset_key)
    judged, verdict = _train(session, dataset_key, model="classifier", run=run, now=now, progress=progress)
    propose(session, judged.key)
    return judged, verdict


def _train(
    session: Session, source: str, *, model: Model, run: str, now: Clock, progress: Progress
) -> tuple[Manifest, Verdict]:
    trained = train(session, source, model=model, run=run)
    progress(f"train {model}", trained)
    judged = evaluate(session, trained.key, source, at=now())
    progress(f"evaluate {model}", judged)
    packaged = package(session, judged.key, model=model)
    progress(f"package {model}", packaged)
    verdict = gate(session, packaged.key, model=model, run=run, at=now())
    if verdict.outcome == "publish":
        publish(
            session, packaged.key, model=model, reason=verdict.reason, run=run, at=now(), expected=verdict.generation,
            manifest_sha256=verdict.manifest_sha256,
        )  # fmt: skip
    return judged, verdict


def needs_filter(session: Session) -> bool:
    """Whether to train the car filter first: there are labels to train on, or there is no filter yet."""
    has_labels = next(session.store.list_usable(f"labels/{session.config.car_filter.labels}"), None) is not None
    return has_labels or read_channel(session.store, session.config.filter.channel) is None


def run(session: Session, *, run_id: str, now: Clock, progress: Progress) -> Outcome:
    """Everything: the car filter where there are labels for one, the dataset, the classifier.

    Raises:
        InputError: there are neither labels nor a published car filter, or what the steps say.
    """
    if needs_filter(session):
        train_filter(session, run=run_id, now=now, progress=progress)
    done = prepare_dataset(session, now=now, progress=progress)
    judged, verdict = retrain_classifier(session, done.key, run=run_id, now=now, progress=progress)
    return Outcome(done, judged, verdict)
