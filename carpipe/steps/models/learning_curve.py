"""Learning curve: how good is a classifier that learnt from a share of the training photos? On demand.

A point is a cold training by the classifier's recipe, on some of the vehicles, judged on the whole test split. It is
made once and reused. All shares have the same epochs: that is what the nightly training makes of so many photos.
"""

import logging
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.backports import from_iso
from carpipe.called import call_committed
from carpipe.config import ClassifierConfig
from carpipe.errors import InputError
from carpipe.figures import label
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.models.answers import answer_shards
from carpipe.steps.models.backbone import backbone_weights
from carpipe.steps.models.start import Start
from carpipe.steps.models.train import Model, count_photos, fit, train_work, training_photos
from carpipe.steps.models.train_process import TrainingRun
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.learning_curve import Point
    from carpipe.evaluation.predictions import Predictions

log = logging.getLogger(__name__)

VERSION = 1
MODEL: Model = "classifier"
ANSWERS = "predictions.parquet"
CURVE = "learning_curve.json"
PAGE = "learning_curve.html"
PLOT = "learning_curve.png"
# A point of a curve is always cold: a warm one would have learnt from the photos that are held back.
COLD = Start("a point of a learning curve always does.")


def learning_curve(session: Session, dataset: str, shares: Sequence[float], *, at: str) -> Manifest:
    """The curve of a dataset: all of its points, and the page that shows them.

    Args:
        dataset: manifest key.
        shares: of the training vehicles, each above 0 and up to 1.
        at: now, UTC, ISO 8601, for the page.

    Raises:
        InputError: the shares cannot be used; nothing has been trained then.
    """
    chosen = check_points(session, dataset, shares)
    points = [learning_curve_point(session, dataset, share).key for share in chosen]
    return draw_learning_curve(session, dataset, points, at=at)


def check_points(session: Session, dataset: str, shares: Sequence[float]) -> list[float]:
    """The shares in rising order.

    Raises:
        InputError: there are fewer than two, one is no share or leaves a class without a photo, two come to the same
            vehicles, or the manifest is none of a dataset.
    """
    from carpipe.stages.learning_curve import check_shares, choose_all

    if len(check_shares(shares)) == 1:  # before anything is read
        raise InputError(f"A learning curve needs two shares or more, such as 0.5 and 1; got {shares[0]:g} alone.")
    photos = _training_photos(session, _read_dataset(session, dataset))
    return list(choose_all(photos, shares, seed=session.config.classifier.seed))


def learning_curve_point(session: Session, dataset: str, share: float) -> Manifest:
    """Train on a share of the vehicles and judge on the test split; the same share and settings are trained once.

    Where all vehicles were trained on by the same recipe before, that model is judged. Killed at any moment, the next
    attempt goes on from the last epoch. The weights are not kept.

    Args:
        dataset: manifest key.
        share: above 0 and up to 1.
    """
    from carpipe.stages.learning_curve import check_shares, choose_photos

    [share] = check_shares([share])
    data = _read_dataset(session, dataset)
    chosen = choose_photos(_training_photos(session, data), share, seed=session.config.classifier.seed)
    started = time.monotonic()
    with backbone_weights(session, session.config.classifier) as (weights, sha256):
        whole = train_work(session.config.classifier, data, model=MODEL, backbone=sha256, start=COLD)
        work = point_work(whole, share=share)
        if done := manifest.find(session.store, work):
            return reused(done)
        run = TrainingRun(session.store, f"runs/train/{work.fingerprint}", progress=session.progress)
        before = manifest.find(session.store, whole) if share == 1 else None
        if before:
            model, history = _read_training(session, before)
        else:
            log.info("learning_curve: training on %d photos of %d vehicles", len(chosen), chosen["vehicle"].nunique())
            only = None if share == 1 else chosen
            model, history = fit(session, data, run, model=MODEL, weights=weights, sha256=sha256, start=COLD, only=only)
    trained_s = 0.0 if before else time.monotonic() - started
    facts = _facts(session.config.classifier, data, chosen, epochs=len(history), seconds=trained_s)
    extra = {**facts, "share": share, "dataset": dataset, "trained": before.key if before else ""}
    files = {**_judge(session, data, model), "history.json": results.to_json(history)}
    seconds = round(time.monotonic() - started, 3)
    done = session.commit(work, files, counts={"in": len(chosen)}, seconds=seconds, extra=extra)
    run.forget_checkpoint()
    return done


def draw_learning_curve(session: Session, dataset: str, points: Sequence[str], *, at: str) -> Manifest:
    """The figures and the page of a curve.

    Args:
        points: manifest keys of `learning_curve_point`, in any order.
        at: now, UTC, ISO 8601, for the page.
    """
    found = sorted((manifest.read(session.store, key) for key in points), key=lambda done: done.extra["share"])
    rules = session.config.gate
    work = Work(results.CURVE, VERSION, results.WHOLE, rules.decisive(), (dataset, *(done.key for done in found)))
    if done := manifest.find(session.store, work):
        return reused(done)
    from carpipe.evaluation.learning_curve import judge_curve
    from carpipe.evaluation.learning_curve_page import CurvePage, render_curve
    from carpipe.evaluation.plot_files import to_png
    from carpipe.evaluation.plots import accuracy_by_share

    started = time.monotonic()
    curve = judge_curve([_read_point(session, done) for done in found], rules=rules)
    plot = to_png(accuracy_by_share(curve["points"]))
    settings = {name: value for name, value in found[-1].config.items() if name not in ("share", "train_version")}
    facts = {"dataset": dataset, **settings}
    data = manifest.read(session.store, dataset)
    page = CurvePage(call_committed(data, data.counts.get("kept")), from_iso(at), curve, facts)
    log.info("%s", "\n".join(_lines(curve)))
    return session.commit(
        work,
        {CURVE: results.to_json(curve), PLOT: plot, PAGE: render_curve(page).encode()},
        counts={"points": len(found)},
        seconds=round(time.monotonic() - started, 3),
        extra={"dataset": dataset, "shares": [done.extra["share"] for done in found], "says": curve["says"]},
    )


def point_work(whole: Work, *, share: float) -> Work:
    """What `learning_curve_point` does; `whole` is the cold training of all photos."""
    settings = {**whole.config, "share": float(share), "train_version": whole.version}
    return Work(results.CURVE, VERSION, MODEL, settings, whole.inputs, weights=whole.weights)


def _read_dataset(session: Session, dataset: str) -> Manifest:
    data = manifest.read(session.store, dataset)
    if data.stage != "dataset":
        raise InputError(f"A learning curve needs the manifest key of a dataset; {dataset} is of stage {data.stage}.")
    return data


def _training_photos(session: Session, data: Manifest) -> "pd.DataFrame":
    return training_photos(session, data, "key", "vehicle", "class_name")


def _read_training(session: Session, trained: Manifest) -> tuple[bytes, list[dict[str, Any]]]:
    """The model of a training, and its history."""
    log.info("learning_curve: all vehicles were trained on before, by %s", trained.key)
    return (
        manifest.read_file(session.store, trained, results.MODEL),
        manifest.read_json(session.store, trained, "history.json"),
    )


def _facts(
    config: ClassifierConfig, data: Manifest, chosen: "pd.DataFrame", *, epochs: int, seconds: float
) -> dict[str, Any]:
    """What a model has learnt from, and what that took."""
    return {
        "photos": len(chosen),
        "vehicles": int(chosen["vehicle"].nunique()),
        "training": count_photos(data, chosen),
        "epochs": epochs,
        "steps": epochs * math.ceil(len(chosen) / config.batch),
        "train_seconds": round(seconds, 3),
    }


def _judge(session: Session, data: Manifest, model: bytes) -> dict[str, bytes]:
    """Figures, recall by class and the answer on every test photo; the temperature comes from the validation split."""
    from carpipe.evaluation import calibration, metrics, tables
    from carpipe.evaluation.predictions import Predictions
    from carpipe.photos import to_parquet
    from carpipe.training.predict import load_predictor

    with results.local_shards(session.store, data, "val", "test") as shards, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / results.MODEL
        path.write_bytes(model)
        predict = load_predictor(path)

        def answers(split: str) -> "Predictions":
            return Predictions(*answer_shards(session, data, shards[split], predict), tuple(data.extra["classes"]))

        temperature, test = calibration.fit_temperature(answers("val")), answers("test")
    return {
        "metrics.json": results.to_json(metrics.figures(test, temperature)),
        "report_test.csv": tables.report_csv(test).encode(),
        ANSWERS: to_parquet(test.table()),
    }


def _read_point(session: Session, done: Manifest) -> "Point":
    from carpipe.evaluation.learning_curve import Point
    from carpipe.photos import from_parquet

    facts = {name: done.extra[name] for name in ("share", "photos", "vehicles", "training", "epochs", "steps")}
    return Point(
        **facts,
        seconds=done.extra["train_seconds"],
        figures=manifest.read_json(session.store, done, "metrics.json"),
        answers=from_parquet(manifest.read_file(session.store, done, ANSWERS)),
    )


def _lines(curve: dict[str, Any]) -> list[str]:
    """For the log."""
    lines = [
        f"{100 * point['share']:.4g} % of the vehicles: {point['photos']:,} photos, "
        f"{label('test_accuracy')} {100 * point['test_accuracy']:.1f} %, "
        f"{label('test_macro_f1')} {point['test_macro_f1']:.3f}"
        for point in curve["points"]
    ]
    return [*lines, *([curve["says"]] if curve["says"] else [])]
