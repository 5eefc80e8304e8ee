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
from carpipe.steps.data.plan import Plan, plan
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
from carpipe.steps.reuse import told_together
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
    with told_together():
        labelled = label_set(session)
        progress("label_set", labelled)
        return _train(session, labelled.key, model="car_filter", run=run, now=now, progress=progress)[1]


def prepare_dataset(session: Session, *, now: Clock, progress: Progress) -> Manifest:
    """Photos under raw/ to a dataset."""
    with told_together():
        stock = inventory(session)
        for done in quantize(session, stock.key):
            progress("quantize", done)
        planned = plan(session, stock.key)
        log.info("this run will do:\n%s", render_plan(planned.forecast, session.config.cost))
        cropped = _crop(session, planned, progress)
        return _put_together(session, cropped, planned.inventory, now=now, progress=progress)


def _crop(session: Session, planned: Plan, progress: Progress) -> list[str]:
    """Each partition from clean to crop; manifest keys."""
    cropped = []
    with session.progress.bar("clean, filter, crop", total=len(planned.partitions), unit="partitions") as bar:
        for part in bar.each(planned.partitions):
            done = clean(session, part["manifest"], inventory=planned.inventory)
            progress("clean", done)
            done = filter_cars(session, done.key, weights=planned.car_filter)
            progress("filter", done)
            done = crop(session, done.key)
            progress("crop", done)
            cropped.append(done.key)
    return cropped


def _put_together(
    session: Session, cropped: list[str], inventory_key: str, *, now: Clock, progress: Progress
) -> Manifest:
    """All partitions to a dataset."""
    with session.progress.bar("identify", total=6, unit="steps") as bar:
        done = identify(session, cropped, inventory=inventory_key)
        progress("identify", done)
        bar.at(1, what="classes")
        done = classes(session, done.key)
        progress("classes", done)
        bar.at(2, what="split")
        splitted = split(session, done.key)
        progress("split", splitted)
        bar.at(3, what="validate")
        validated = validate(session, splitted.key, at=now())
        progress("validate", validated)
        bar.at(4, what="pack")
        packed = _pack(session, splitted.key, cropped, progress)
        bar.at(5, what="dataset")
        done = dataset(session, splitted.key, validated.key, packed)
        progress("dataset", done)
    return done


def _pack(session: Session, splitted: str, cropped: list[str], progress: Progress) -> list[str]:
    """The shards of each partition; manifest keys."""
    packed = []
    with session.progress.bar("pack", total=len(cropped), unit="partitions") as bar:
        for done in bar.each(pack_many(session, splitted, cropped)):
            progress("pack", done)
            packed.append(done.key)
    return packed


def retrain_classifier(
    session: Session, dataset_key: str, *, run: str, now: Clock, progress: Progress
) -> tuple[Manifest, Verdict]:
    """Dataset to classifier weights, live if the gate lets them; first what the live ones make of what is new."""
    with told_together():
        score(session, dataset_key, at=now())
        tell_new_models(session, dataset_key)
        judged, verdict = _train(session, dataset_key, model="classifier", run=run, now=now, progress=progress)
        propose(session, judged.key)
    return judged, verdict


def _train(
    session: Session, source: str, *, model: Model, run: str, now: Clock, progress: Progress
) -> tuple[Manifest, Verdict]:
    with session.progress.bar(f"train {model}", total=4, unit="steps") as bar:
        trained = train(session, source, model=model, run=run)
        progress(f"train {model}", trained)
        bar.at(1, what=f"evaluate {model}")
        judged = evaluate(session, trained.key, source, at=now())
        progress(f"evaluate {model}", judged)
        bar.at(2, what=f"package {model}")
        packaged = package(session, judged.key, model=model)
        progress(f"package {model}", packaged)
        bar.at(3, what=f"gate {model}")
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
    parts = 2 + (first := needs_filter(session))
    if first:
        log.info("part 1 of %d: train the car filter on labels", parts)
        train_filter(session, run=run_id, now=now, progress=progress)
    log.info("part %d of %d: make a dataset of the photos", parts - 1, parts)
    done = prepare_dataset(session, now=now, progress=progress)
    log.info("part %d of %d: train the classifier on %s", parts, parts, done.key)
    judged, verdict = retrain_classifier(session, done.key, run=run_id, now=now, progress=progress)
    return Outcome(done, judged, verdict)
