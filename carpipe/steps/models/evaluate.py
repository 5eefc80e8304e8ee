"""Evaluate: what a trained model answers on the test split, how sure it is, and the page that shows it."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.models.score_log import scores
from carpipe.steps.models.train import content_of, count_training_photos
from carpipe.steps.models.unknown import Known, Watch, find_known
from carpipe.steps.models.viewpoints import Viewed, find_views, wanted_views
from carpipe.steps.models.years import Years, find_years, year_share
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.steps.viewpoints.photo_set import Wanted
from carpipe.storage import Store
from carpipe.weights.card import settings_of
from carpipe.weights.contract import CAR

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.calibration import Threshold
    from carpipe.evaluation.predictions import Predictions

log = logging.getLogger(__name__)

VERSION = 3
# Test photos published with their answers, so that a consumer can check its own installation.
GOLDEN = 8
PREDICTIONS = "predictions.parquet"
# The likeliest classes of each photo, by split. Not published: they name photos.
TOP_ANSWERS = {"val": "top_val.parquet", "test": "top_test.parquet"}
CALIBRATION = "calibration.json"
PAGE = "evaluation.html"


def evaluate(session: Session, trained: str, dataset: str, *, at: str) -> Manifest:
    """Judge a trained model on the test split it has never seen; its temperature comes from the validation split.

    Args:
        trained: manifest key of the training.
        dataset: manifest key of the dataset, or label set, that it was trained on.
        at: now, UTC, ISO 8601, for the page.
    """
    source, data = manifest.read(session.store, trained), manifest.read(session.store, dataset)
    wanted = wanted_views(session, source, data)
    work = _work(session, source, data, wanted)
    if done := manifest.find(session.store, work):
        return reused(done)
    from carpipe.evaluation import calibration

    started = time.monotonic()
    with results.local_shards(session.store, data, "val", "test") as shards:
        (val, val_energy), (test, test_energy), watch, known, years = _see(session, source, data, shards)
        temperature = calibration.fit_temperature(val)
        threshold = calibration.choose_threshold(val, temperature, precision=work.config["sure_precision"])
        files = _files(session, source, data, test, temperature=temperature, threshold=threshold)
        files |= _top_files(temperature, val=(val, val_energy), test=(test, test_energy))
        files |= (known.files if known else {}) | (years.files if years else {})
        viewed = find_views(session, source, wanted) if wanted else None
        files |= viewed.files if viewed else {}
        if viewed and "figures" in viewed.facts:
            files["metrics.json"] = _with_views(files["metrics.json"], viewed)
        files |= {"golden.npz": _golden(shards["test"], source, watch, known=known, years=years, viewed=viewed)}
        files |= _pages(session, source, data, test, shards["test"], files=files, known=known, years=years, at=at)
    figures = json.loads(files["metrics.json"])
    log.info("evaluate %s: %s", source.partition, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    facts = {"metrics": figures, "dataset": dataset, "trained": trained}
    extra = {"classes": list(test.classes), **facts, "top_answers": _costs(files, val=val, test=test)}
    if known:
        extra["known"] = known.facts
    if years:
        extra["years"] = years.facts
    if viewed:
        extra["views"] = viewed.facts
    seconds = round(time.monotonic() - started, 3)
    return session.commit(work, files, counts={"in": len(test.photos)}, seconds=seconds, extra=extra)


def evaluate_work(session: Session, trained: Manifest, data: Manifest) -> Work:
    """What `evaluate` does with a training."""
    return _work(session, trained, data, wanted_views(session, trained, data))


def _work(session: Session, trained: Manifest, data: Manifest, wanted: Wanted | None) -> Work:
    settings: dict[str, Any] = {"sure_precision": session.config.gate.sure_precision}
    if wanted:
        settings["views"] = wanted.work.fingerprint
    if trained.partition == "car_filter":
        settings["threshold"] = session.config.filter.threshold
    elif "known_refused" in (changed := session.config.gate.decisive()):
        settings["known_refused"] = changed["known_refused"]
    if share := year_share(session, trained):
        settings["year_share"] = share
    return Work("evaluate", VERSION, trained.partition, settings, (trained.key, *content_of(data)))


def watches(session: Session, trained: Manifest) -> bool:
    """Whether it is found out what the model knows. Of a car filter it is not: it knows all there is."""
    return trained.partition != "car_filter" and session.config.gate.known_refused > 0


def answer_test(session: Session, model: str, dataset: str) -> Manifest:
    """What a packaged model that was trained on another dataset answers on this one's test split; for the gate.

    Commits a row per photo: `key`, `vehicle`, `class_name` (the truth here) and `answer` (by its own classes).
    """
    source, data = manifest.read(session.store, model), manifest.read(session.store, dataset)
    work = Work("answers", 1, source.partition, {}, (model, *content_of(data)))
    if done := manifest.find(session.store, work):
        return reused(done)
    import numpy as np

    from carpipe.photos import to_parquet

    started = time.monotonic()
    with results.local_shards(session.store, data, "test") as shards:
        photos, p = answer_shards(session, data, shards["test"], load_trained(session.store, source))
    names = np.array(source.extra["classes"], dtype=object)
    table = photos[["key", "vehicle", "class_name"]].assign(answer=names[p.argmax(axis=1)])
    files = {PREDICTIONS: to_parquet(table)}
    seconds = round(time.monotonic() - started, 3)
    return session.commit(work, files, counts={"in": len(table)}, seconds=seconds)


def read_answers(session: Session, done: Manifest) -> "pd.DataFrame":
    """The rows that `evaluate` or `answer_test` committed."""
    from carpipe.photos import from_parquet

    return from_parquet(manifest.read_file(session.store, done, PREDICTIONS))


def load_trained(
    store: Store, trained: Manifest, *, energy: bool = False, features: bool = False
) -> Callable[[list[bytes]], Any]:
    """JPEGs in, probabilities (n, classes) out, by a model as it came out of training.

    Args:
        energy, features: more columns, see `carpipe.training.predict.load_predictor`.
    """
    from carpipe.training.predict import load_predictor

    with results.local_file(store, trained, results.MODEL) as path:
        return load_predictor(path, energy=energy, features=features)


def _see(
    session: Session, trained: Manifest, data: Manifest, shards: Mapping[str, Sequence[Path]]
) -> "tuple[tuple[Predictions, Any], tuple[Predictions, Any], Watch, Known | None, Years | None]":
    """The answers on both splits with their energy; who gave them; and what the features tell beside the class."""
    watched, share = watches(session, trained), year_share(session, trained)
    predict = load_trained(session.store, trained, energy=True, features=watched or share > 0)
    watch = Watch(predict, classes=len(trained.extra["classes"]), years=share > 0)
    val = _predict(session, trained, data, shards["val"], watch)
    looks, fitting = watch.photos_of(val[0]), (val[0], watch.features())
    test = _predict(session, trained, data, shards["test"], watch)
    test_looks, judging = watch.photos_of(test[0]), (test[0], watch.features())
    known = find_known(session, data, watch, val=looks, test=test_looks) if watched else None
    years = find_years(session, data, share=share, val=fitting, test=judging) if share else None
    return val, test, watch, known, years


def _predict(
    session: Session, trained: Manifest, data: Manifest, shards: Sequence[Path], predict: Any
) -> tuple["Predictions", Any]:
    """The answers on a split, and the energy of each photo."""
    from carpipe.evaluation.predictions import Predictions

    photos, found = answer_shards(session, data, shards, predict)
    return Predictions(photos, found[:, :-1], tuple(trained.extra["classes"])), found[:, -1]


def _with_views(metrics: bytes, viewed: Viewed) -> bytes:
    return results.to_json({**json.loads(metrics), "views_accuracy": viewed.facts["figures"]["accuracy"]})


def _top_files(temperature: float, **splits: tuple["Predictions", Any]) -> dict[str, bytes]:
    """The likeliest classes of each photo, a file per split."""
    from carpipe.evaluation.top_answers import keep_top, to_parquet

    files = {}
    for name, (answers, energy) in splits.items():
        photos = answers.photos[["key", "class_name"]]
        top = keep_top(photos, answers.p, energy=energy, temperature=temperature, classes=answers.classes)
        files[TOP_ANSWERS[name]] = to_parquet(top)
    return files


def _costs(files: Mapping[str, bytes], **splits: "Predictions") -> dict[str, dict[str, float]]:
    """What keeping the likeliest classes costs, by split."""
    costs = {}
    for name, answers in splits.items():
        photos, size = len(answers.photos), len(files[TOP_ANSWERS[name]])
        costs[name] = {"photos": photos, "bytes": size, "bytes_per_photo": round(size / photos, 1)}
        log.info("evaluate: the likeliest classes of %d %s photos take %d bytes, %.1f each", photos, name, size,
                 size / photos)  # fmt: skip
    return costs


def answer_shards(session: Session, data: Manifest, shards: Sequence[Path], predict: Any) -> tuple["pd.DataFrame", Any]:
    """The photos of the shards, as `carpipe.evaluation` wants them, and the model's probabilities for each.

    `model` is that which a photo counts with, as people have corrected it.
    """
    from carpipe.evaluation.predictions import COLUMNS
    from carpipe.photos import CORRECTED, counted_models
    from carpipe.training.data import iter_records
    from carpipe.training.predict import predict_records

    keys, p = predict_records(iter_records(shards), predict=predict)
    columns = [*COLUMNS, "split", "dropped"]
    photos = results.read_photos(session.store, data, columns=columns, also=CORRECTED)
    photos = photos.assign(model=counted_models(photos))
    # A photo that was overwritten has two rows, the old one dropped.
    photos = photos[photos["dropped"].isna() & photos["split"].notna()].set_index("key")
    return photos.loc[keys].reset_index()[list(COLUMNS)], p


def _files(
    session: Session,
    trained: Manifest,
    data: Manifest,
    test: "Predictions",
    *,
    temperature: float,
    threshold: "Threshold",
) -> dict[str, bytes]:
    from dataclasses import asdict

    from carpipe.evaluation import metrics, tables
    from carpipe.photos import to_parquet

    figures = metrics.figures(test, temperature)
    calibration = {
        "temperature": temperature,
        # Of answers that sure, `precision` were right on the validation split. 1: no answer is ever sure.
        "threshold": 1.0 if threshold.score is None else threshold.score,
        **{name: value for name, value in asdict(threshold).items() if name != "score"},
    }
    if trained.partition == "car_filter":
        calibration["threshold"] = session.config.filter.threshold
        figures |= _at_threshold(test, temperature, session.config.filter.threshold)
    return {
        "metrics.json": results.to_json(figures),
        CALIBRATION: results.to_json(calibration),
        "report_test.csv": tables.report_csv(test).encode(),
        PREDICTIONS: to_parquet(test.table()),
    }


def _at_threshold(test: "Predictions", temperature: float, threshold: float) -> dict[str, float]:
    """Figures of the car filter as it is used: a photo is a car where p(car) reaches the threshold."""
    from sklearn.metrics import accuracy_score, precision_score, recall_score

    from carpipe.probabilities import calibrate

    car = test.classes.index(CAR)
    truth, said = test.truth == car, calibrate(test.p, temperature)[:, car] >= threshold
    return {
        "test_accuracy_at_threshold": float(accuracy_score(truth, said)),
        "test_precision_at_threshold": float(precision_score(truth, said, zero_division=0)),
        "test_recall_at_threshold": float(recall_score(truth, said, zero_division=0)),
    }


def _golden(
    shards: Sequence[Path],
    trained: Manifest,
    watch: Watch,
    *,
    known: Known | None,
    years: Years | None,
    viewed: Viewed | None,
) -> bytes:
    from carpipe.training.data import iter_records
    from carpipe.training.predict import golden

    few = [jpeg for _, _, jpeg in islice(iter_records(shards), GOLDEN)]
    answers = watch.look(few)
    features = answers.pop("features", None)
    if not known:
        answers.pop("likeness", None)
    if years and years.head:
        answers["year"] = years.head.newer(features)
    answers |= viewed.look(few) if viewed else {}
    return golden(few, side=trained.config["image_size"], **answers)


def _pages(
    session: Session,
    trained: Manifest,
    data: Manifest,
    test: "Predictions",
    shards: Sequence[Path],
    *,
    files: dict[str, bytes],
    known: Known | None,
    years: Years | None,
    at: str,
) -> dict[str, bytes]:
    """The HTML page, and its plots as PNG files of their own."""
    from carpipe.evaluation.page import PageInput, choose_pictures, draw_plots, render_page
    from carpipe.training.data import iter_records

    wanted = set(choose_pictures(test))
    calibration = json.loads(files[CALIBRATION])
    filters = trained.partition == "car_filter"
    page = PageInput(
        model=f"{trained.config['channel']}, trained on {data.key}",
        made=datetime.fromisoformat(at),
        test=test,
        temperature=calibration["temperature"],
        history=manifest.read_json(session.store, trained, "history.json"),
        training=count_training_photos(session, data),
        positive=CAR if filters else "",
        positive_threshold=calibration["threshold"],
        pictures={key: jpeg for key, _, jpeg in iter_records(shards) if key in wanted},
        facts={"training": trained.key, "dataset": data.key, **settings_of(trained)},
        newest=[] if filters else scores(session, trained.config["channel"]),
        known={**known.facts, "histogram": known.histogram} if known else None,
        years=years.facts if years else None,
    )
    plots = {f"plots/{name}.png": png for name, png in draw_plots(page).items()}
    return {PAGE: render_page(page).encode(), **plots}
