"""Evaluate: what a trained model answers on the test split, how sure it is, and the page that shows it."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.backports import from_iso
from carpipe.called import call_committed
from carpipe.figures import figure
from carpipe.manifest import Manifest, Work
from carpipe.names import shown
from carpipe.steps import results
from carpipe.steps.models.answers import PREDICTIONS, answer_shards, load_trained
from carpipe.steps.models.beside import Beside
from carpipe.steps.models.score_log import scores
from carpipe.steps.models.train import content_of, count_training_photos
from carpipe.steps.models.unknown import Watch, find_known
from carpipe.steps.models.viewpoints import find_views, wanted_views
from carpipe.steps.models.years import find_years, year_share
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.steps.viewpoints.photo_set import Wanted
from carpipe.weights.card import settings_of
from carpipe.weights.contract import CAR

if TYPE_CHECKING:
    from carpipe.evaluation.calibration import Threshold
    from carpipe.evaluation.predictions import Predictions

log = logging.getLogger(__name__)

VERSION = 3
# Test photos published with their answers, so that a consumer can check its own installation.
GOLDEN = 8
# The likeliest classes of each photo, by split. Not published: they name photos.
TOP_ANSWERS = {"val": "top_val.parquet", "test": "top_test.parquet"}
CALIBRATION = "calibration.json"
PAGE = "evaluation.html"


@dataclass(frozen=True)
class _Seen:
    """What the model answers on both splits, with the energy of each photo; by what; and what it says beside the class.

    `beside` is by the field of the manifest's `extra`, without what was not asked for.
    """

    val: "Predictions"
    test: "Predictions"
    energies: Mapping[str, Any]
    watch: Watch
    beside: Mapping[str, Beside]


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
        _say_no_views(done.extra)
        return reused(done)
    from carpipe.evaluation import calibration

    started = time.monotonic()
    with results.local_shards(session.store, data, "val", "test") as shards:
        seen = _see(session, source, data, shards, wanted)
        temperature = calibration.fit_temperature(seen.val)
        threshold = calibration.choose_threshold(seen.val, temperature, precision=work.config["sure_precision"])
        files = _files(session, source, seen, temperature=temperature, threshold=threshold)
        files |= {"golden.npz": _golden(shards["test"], source, seen)}
        files |= _pages(session, source, data, shards["test"], seen, files=files, at=at)
    figures = json.loads(files["metrics.json"])
    told = (f"{name} {figure(value)}" for name, value in figures.items())
    log.info("evaluate %s: %s", source.partition, ", ".join(told))
    facts = {"metrics": figures, "dataset": dataset, "trained": trained}
    extra = {"classes": list(seen.test.classes), **facts, "top_answers": _costs(files, val=seen.val, test=seen.test)}
    extra |= {name: one.facts for name, one in seen.beside.items()}
    _say_no_views(extra)
    seconds = round(time.monotonic() - started, 3)
    return session.commit(work, files, counts={"in": len(seen.test.photos)}, seconds=seconds, extra=extra)


def _say_no_views(extra: Mapping[str, Any]) -> None:
    """Why a car filter tells no views though people have labelled some: also where that was found out before."""
    views = extra.get("views")
    if isinstance(views, dict) and not views.get("views") and views.get("why"):
        log.warning("evaluate: %s", shown(str(views["why"])))


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


def _see(
    session: Session,
    trained: Manifest,
    data: Manifest,
    shards: Mapping[str, Sequence[Path]],
    wanted: Wanted | None,
) -> _Seen:
    watched, share = watches(session, trained), year_share(session, trained)
    predict = load_trained(session.store, trained, energy=True, features=watched or share > 0)
    watch = Watch(predict, classes=len(trained.extra["classes"]), years=share > 0)
    val, val_energy = _predict(session, trained, data, shards["val"], watch)
    looks, fitting = watch.photos_of(val), (val, watch.features())
    test, test_energy = _predict(session, trained, data, shards["test"], watch)
    test_looks, judging = watch.photos_of(test), (test, watch.features())
    found = {
        "known": find_known(session, data, watch, val=looks, test=test_looks) if watched else None,
        "years": find_years(session, data, share=share, val=fitting, test=judging) if share else None,
        "views": find_views(session, trained, wanted) if wanted else None,
    }
    beside = {name: one for name, one in found.items() if one}
    return _Seen(val, test, {"val": val_energy, "test": test_energy}, watch, beside)


def _predict(
    session: Session, trained: Manifest, data: Manifest, shards: Sequence[Path], predict: Any
) -> tuple["Predictions", Any]:
    """The answers on a split, and the energy of each photo."""
    from carpipe.evaluation.predictions import Predictions

    photos, found = answer_shards(session, data, shards, predict)
    return Predictions(photos, found[:, :-1], tuple(trained.extra["classes"])), found[:, -1]


def _top_files(seen: _Seen, temperature: float) -> dict[str, bytes]:
    """The likeliest classes of each photo, a file per split."""
    from carpipe.evaluation.top_answers import keep_top, to_parquet

    files = {}
    for name, answers in (("val", seen.val), ("test", seen.test)):
        photos = answers.photos[["key", "class_name"]]
        top = keep_top(photos, answers.p, energy=seen.energies[name], temperature=temperature, classes=answers.classes)
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


def _files(
    session: Session, trained: Manifest, seen: _Seen, *, temperature: float, threshold: "Threshold"
) -> dict[str, bytes]:
    from carpipe.evaluation import metrics, tables
    from carpipe.photos import to_parquet

    test = seen.test
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
    files = {
        "metrics.json": results.to_json(figures | _views_accuracy(seen)),
        CALIBRATION: results.to_json(calibration),
        "report_test.csv": tables.report_csv(test).encode(),
        PREDICTIONS: to_parquet(test.table()),
        **_top_files(seen, temperature),
    }
    for one in seen.beside.values():
        files |= one.files
    return files


def _views_accuracy(seen: _Seen) -> dict[str, float]:
    """The figure of the views, where any are told."""
    views = seen.beside.get("views")
    return {"views_accuracy": views.facts["figures"]["accuracy"]} if views and "figures" in views.facts else {}


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


def _golden(shards: Sequence[Path], trained: Manifest, seen: _Seen) -> bytes:
    from carpipe.training.data import iter_records
    from carpipe.training.predict import golden

    few = [jpeg for _, _, jpeg in islice(iter_records(shards), GOLDEN)]
    looked = seen.watch.look(few)
    outputs = {"probabilities": looked["probabilities"]}
    for one in seen.beside.values():
        outputs |= one.outputs(few, looked)
    return golden(few, side=trained.config["image_size"], **outputs)


def _pages(
    session: Session,
    trained: Manifest,
    data: Manifest,
    shards: Sequence[Path],
    seen: _Seen,
    *,
    files: dict[str, bytes],
    at: str,
) -> dict[str, bytes]:
    """The HTML page, and its plots as PNG files of their own."""
    from carpipe.evaluation.page import PageInput, choose_pictures, draw_plots, render_page
    from carpipe.training.data import iter_records

    wanted = set(choose_pictures(seen.test))
    calibration = json.loads(files[CALIBRATION])
    filters = trained.partition == "car_filter"
    shown = {name: {**one.facts, **one.shown} for name, one in seen.beside.items()}
    page = PageInput(
        model=trained.config["channel"],
        data=call_committed(data, data.counts.get("kept")),
        made=from_iso(at),
        test=seen.test,
        temperature=calibration["temperature"],
        history=manifest.read_json(session.store, trained, "history.json"),
        training=count_training_photos(session, data),
        positive=CAR if filters else "",
        positive_threshold=calibration["threshold"],
        pictures={key: jpeg for key, _, jpeg in iter_records(shards) if key in wanted},
        facts={"training": trained.key, "dataset": data.key, **settings_of(trained)},
        newest=[] if filters else scores(session, trained.config["channel"]),
        known=shown.get("known"),
        years=shown.get("years"),
    )
    plots = {f"plots/{name}.png": png for name, png in draw_plots(page).items()}
    return {PAGE: render_page(page).encode(), **plots}
