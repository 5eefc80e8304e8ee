"""The whole chain in one process, for people without Airflow: the same steps in the same order."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from carpipe.manifest import Manifest
from carpipe.steps import (
    dataset,
    evaluation,
    gate,
    inventory,
    label_set,
    pack,
    packaging,
    partition,
    publishing,
    training,
)
from carpipe.steps import plan as planning
from carpipe.steps import validate as validation
from carpipe.steps.gate import Verdict
from carpipe.steps.session import Session
from carpipe.steps.training import Model
from carpipe.weights.channel import read_channel

log = logging.getLogger(__name__)

# Called after each piece of work with the stage's name and what it committed.
Progress = Callable[[str, Manifest], None]


@dataclass(frozen=True)
class Outcome:
    """What a run ended in."""

    dataset: Manifest
    evaluation: Manifest
    verdict: Verdict


def train_filter(session: Session, *, run: str, at: str, progress: Progress) -> Verdict:
    """Labels to a car filter, live if the gate lets it."""
    labelled = label_set.label_set(session)
    progress("label_set", labelled)
    return _train(session, labelled.key, model="car_filter", run=run, at=at, progress=progress)[1]


def prepare_dataset(session: Session, *, at: str, progress: Progress) -> Manifest:
    """Photos under raw/ to a dataset."""
    plan = planning.plan(session, inventory.inventory(session).key)
    log.info("this run will do:\n%s", planning.render_plan(plan.forecast))
    cropped = []
    for part in plan.partitions:
        done = partition.clean(session, part["manifest"], inventory=plan.inventory)
        progress("clean", done)
        done = partition.filter_cars(session, done.key, weights=plan.car_filter)
        progress("filter", done)
        done = partition.crop(session, done.key)
        progress("crop", done)
        cropped.append(done.key)
    done = dataset.identify(session, cropped, inventory=plan.inventory)
    progress("identify", done)
    done = dataset.classes(session, done.key)
    progress("classes", done)
    splitted = dataset.split(session, done.key)
    progress("split", splitted)
    validated = validation.validate(session, splitted.key, at=at)
    progress("validate", validated)
    packed = [pack.pack(session, splitted.key, key) for key in cropped]
    for done in packed:
        progress("pack", done)
    done = pack.dataset(session, splitted.key, validated.key, [shards.key for shards in packed])
    progress("dataset", done)
    return done


def retrain_classifier(
    session: Session, dataset_key: str, *, run: str, at: str, progress: Progress
) -> tuple[Manifest, Verdict]:
    """Dataset to classifier weights, live if the gate lets them."""
    return _train(session, dataset_key, model="classifier", run=run, at=at, progress=progress)


def _train(
    session: Session, source: str, *, model: Model, run: str, at: str, progress: Progress
) -> tuple[Manifest, Verdict]:
    trained = training.train(session, source, model=model)
    progress(f"train {model}", trained)
    judged = evaluation.evaluate(session, trained.key, source, at=at)
    progress(f"evaluate {model}", judged)
    packaged = packaging.package(session, judged.key, model=model)
    progress(f"package {model}", packaged)
    verdict = gate.gate(session, packaged.key, model=model, run=run, at=at)
    if verdict.outcome == "publish":
        publishing.publish(
            session, packaged.key, model=model, reason=verdict.reason, run=run, at=at, expected=verdict.generation
        )
    return judged, verdict


def needs_filter(session: Session) -> bool:
    """Whether to train the car filter first: there are labels to train on, or there is no filter yet."""
    has_labels = next(session.store.list_objects(f"labels/{session.config.car_filter.labels}"), None) is not None
    return has_labels or read_channel(session.store, session.config.filter.channel) is None


def run(session: Session, *, run_id: str, at: str, progress: Progress) -> Outcome:
    """Everything: the car filter where there are labels for one, the dataset, the classifier.

    Raises:
        InputError: there are neither labels nor a published car filter, or what the steps say.
    """
    if needs_filter(session):
        train_filter(session, run=run_id, at=at, progress=progress)
    done = prepare_dataset(session, at=at, progress=progress)
    judged, verdict = retrain_classifier(session, done.key, run=run_id, at=at, progress=progress)
    return Outcome(done, judged, verdict)
