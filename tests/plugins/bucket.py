"""A bucket as the DAGs leave it, made by hand in a second: photos, a dataset, two models, one of them live."""

import contextlib
import io
import json
import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
from PIL import Image

from carpipe import manifest
from carpipe.evaluation.predictions import Predictions
from carpipe.evaluation.top_answers import keep_top
from carpipe.evaluation.top_answers import to_parquet as top_to_parquet
from carpipe.manifest import Manifest, Work
from carpipe.photos import to_parquet
from carpipe.steps import results
from carpipe.steps.data.inventory import inventory, latest_inventory
from carpipe.steps.models.answers import PREDICTIONS, answer_work
from carpipe.steps.models.comparison import CARD as CARD_OF_COMPARISON
from carpipe.steps.models.comparison import PAGE, comparison_work
from carpipe.steps.models.evaluate import TOP_ANSWERS
from carpipe.steps.models.progress import progress_key, tell_progress
from carpipe.steps.models.score_log import record_score
from carpipe.steps.session import Session
from carpipe.taxonomy.read import load
from carpipe.weights import channel

PHOTOS = 12
NOT_A_CAR = 3
TRUNCATED = 1
# Text of the data is foreign: what a listing may be called, and what a page must not run.
SCRIPT = "<script>alert(1)</script>"
CARD = f"""# card {SCRIPT}

![picture](https://evil.example/p.png) [link](javascript:alert(1))

| figure | value |
| --- | --- |
| test_accuracy | 0.75 |
"""


def jpeg(number: int, *, comment: bytes = b"") -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (200, 120), (20 * number, 90, 200)).save(sink, "JPEG", comment=comment)
    return sink.getvalue()


def key(number: int) -> str:
    model = "volkswagen_golf" if number % 2 else "skoda_octavia"
    return f"{model}_2014/{number}_1_{UUID(int=number)}_{UUID(int=100 + number)}.jpg"


def fill(session: Session) -> tuple[Manifest, list[Manifest]]:
    """Upload photos, take stock, commit a dataset and two models; the second is live, the first was."""
    for number in range(PHOTOS):
        session.store.put(f"raw/{key(number)}", jpeg(number, comment=b"private"))
    inventory(session)
    dataset = add_dataset(session)
    models = [add_model(session, dataset.key, accuracy=accuracy) for accuracy in (0.5, 0.75)]
    for number, model in enumerate(models):
        channel.promote(
            session.store, "classifier", model=model.key, reason=f"reason {number}", run=f"run {number}",
            at=f"2026-01-0{number + 1}T03:00:00Z",
        )  # fmt: skip
        decide(session, model.key, at=f"2026-01-0{number + 1}T02:59:00Z")
    return dataset, models


def add_dataset(session: Session, *, note: str = "") -> Manifest:
    """A dataset of the newest inventory; one of another `note` is another one of the same."""
    stock = latest_inventory(session)
    photos = pd.concat(
        [
            results.read_photos(session.store, manifest.read(session.store, part["manifest"]))
            for part in stock.partitions
        ],
        ignore_index=True,
    )
    photos.loc[:2, ["dropped", "dropped_by"]] = ["not_a_car", "filter"]
    photos.loc[3, ["dropped", "dropped_by"]] = ["truncated", "clean"]
    alive = photos["dropped"].isna()
    photos["class_name"] = photos["model"].where(alive)
    photos["split"] = pd.Series(["train", "train", "val", "test"] * 3).where(alive)
    kept = int(alive.sum())
    files = {
        results.PHOTOS: to_parquet(photos),
        results.FUNNEL: _json(
            [
                {"stage": "clean", "in": 12, "dropped": {"truncated": 1}, "kept": 11},
                {"stage": "filter", "in": 11, "dropped": {"not_a_car": 3}, "kept": 8},
            ]
        ),
        results.VALIDATION: _json(
            {
                "success": False,
                "expectations": 68,
                "failed": [SCRIPT],
                "tables": {"audit": {"rows": 8, "failed": 1, "checks": []}},
            }
        ),
        results.TAXONOMY: _taxonomy(session.config.classes.taxonomy),
        results.REPORT: b"<!DOCTYPE html><title>report of the test</title>",
        "data_docs/index.html": b"<!DOCTYPE html><title>docs of the test</title>",
    }
    extra = {
        "classes": ["skoda_octavia", "volkswagen_golf"],
        "vehicles": 8,
        "splits": photos["split"].value_counts().to_dict(),
    }
    work = Work("dataset", 3, "all", {"note": note} if note else {}, ("a", "b"), home="datasets")
    return manifest.commit(session.store, work, files, counts={"in": len(photos), "kept": kept}, extra=extra)


@lru_cache
def _taxonomy(source: str) -> bytes:
    return load(source).to_yaml().encode()


def add_many(session: Session, dataset: Manifest) -> Manifest:
    """A dataset of ten times as many photos, which are not under `raw/`, each with a box."""
    photos = results.read_photos(session.store, dataset)
    many = pd.concat([photos.assign(key=f"{number}/" + photos["key"]) for number in range(10)], ignore_index=True)
    box = {"box": [[20.0, 20.0, 180.0, 100.0]] * len(many), "box_label": "car", "box_score": 0.9}
    many = many.assign(width=200, height=120, **box)
    files = {name: manifest.read_file(session.store, dataset, name) for name in dataset.files}
    files[results.PHOTOS] = to_parquet(many)
    work = Work("dataset", 3, "all", {"note": "many"}, ("a", "b"), home="datasets")
    counts = {name: 10 * number for name, number in dataset.counts.items()}
    return manifest.commit(session.store, work, files, counts=counts, extra=dataset.extra)


def add_curve(session: Session, dataset: str) -> Manifest:
    """A learning curve of the dataset."""
    files = {"learning_curve.html": b"<!DOCTYPE html><title>curve of the test</title>"}
    work = Work("learning_curve", 1, "all", {}, (dataset,))
    return manifest.commit(session.store, work, files, counts={}, extra={"says": f"It brought {SCRIPT}."})


def add_advice(session: Session, dataset: Manifest) -> Manifest:
    """An advice that the two classes of the dataset should be one."""
    merge = {
        "name": "skoda_octavia",
        "classes": ["skoda_octavia", "volkswagen_golf"],
        "models": {name: [name] for name in ("skoda_octavia", "volkswagen_golf")},
        "said": [f"They look alike {SCRIPT}."],
    }
    body = {"photos": 1234, "cars": 567, "merges": [merge], "splits": []}
    work = Work("advice", 2, "classifier", {}, (dataset.key,))
    return manifest.commit(session.store, work, {"advice.json": _json(body)}, counts={}, extra={"dataset": dataset.key})


def add_suspects(session: Session, dataset: Manifest, listings: Iterable[str]) -> Manifest:
    """Listings that may be in the wrong class."""
    found = [
        {"listing": one, "from": "skoda_octavia", "suggested": "volkswagen_golf", "p": 0.9, "p_from": 0.02,
         "photos": 3, "votes": 3, "mixed": False, "score": 0.99, "key": key(4), "source": 0, "why": "All 3 say so."}
        for one in listings
    ]  # fmt: skip
    body = {"judged": 10, "apart": {}, "sources": [], "suspects": found}
    work = Work(results.SUSPECTS, 1, results.WHOLE, {}, (dataset.key,))
    return manifest.commit(session.store, work, {results.SUSPECTED: _json(body)}, counts={"suspects": len(found)})


def add_new_models(session: Session, dataset: str) -> Manifest:
    """What may be new classes in the dataset: a name, and a group of listings that look alike."""
    name = {
        "model": f"dacia_spring{SCRIPT}", "listings": 41, "judged": 41, "unknown": 38, "low": 0.79, "new": True,
        "alias": "", "looks_like": "a", "votes": 20, "photos": 90, "needs": 60, "has_class": False, "twin": "",
        "why": f"38 of 41 are unknown {SCRIPT}.", "examples": [key(5), key(6)], "yaml": "unchanged:\n- dacia_spring\n",
    }  # fmt: skip
    group = {"listings": ["u"] * 5, "names": {"a": 3, "b": 2}, "alike": 0.7, "looks_like": "", "votes": 0,
             "why": "5 listings look alike.", "examples": [key(7)]}  # fmt: skip
    body = {"judged": 90, "unknown": 40, "chance": 0.02, "names": [name], "groups": [group], "listings": [],
            "notes": ["A note."]}  # fmt: skip
    work = Work("new_models", 1, "all", {}, (dataset,))
    return manifest.commit(session.store, work, {results.PROPOSED: _json(body)}, counts={})


def refuse(session: Session, validation: str) -> None:
    """What a failed validation leaves: pages, no manifest."""
    for name in (results.REPORT, "data_docs/index.html"):
        session.store.put(f"stages/validate/all/{validation}/{name}", f"<!DOCTYPE html><title>{name}".encode())


def add_training(session: Session, dataset: Manifest, **settings: object) -> Manifest:
    """A training on the dataset, by these settings beside others."""
    config = {"backbone": "EfficientNetB1", "channel": "classifier", "image_size": 240, "batch": 32, **settings}
    work = Work("train", 2, "classifier", config, (dataset.key,))
    counts = {"in": dataset.extra["splits"]["train"], "epochs": 7}
    extra = {"classes": ["a", "b"], "dataset": dataset.key, "start": {"kind": "cold", "why": "Nothing is live."}}
    return manifest.commit(session.store, work, {}, counts=counts, extra=extra)


def add_evaluation(session: Session, dataset: Manifest, *, note: str = "") -> Manifest:
    """What a model answered on the test photos of a dataset: the first of them rightly, the others wrongly."""
    photos = results.read_photos(session.store, dataset)
    test = photos[photos["dropped"].isna() & (photos["split"] == "test")].reset_index(drop=True)
    one, other = sorted(dataset.extra["classes"])
    p = np.array([[0.9, 0.1] if right == (name == one) else [0.2, 0.8]
                  for right, name in zip(test.index == 0, test["class_name"], strict=True)], np.float32)  # fmt: skip
    answers = Predictions(test.assign(vehicle=test["listing_uuid"]), p, (one, other))
    top = keep_top(test[["key", "class_name"]], p, energy=np.zeros(len(p), np.float32), temperature=1.0,
                   classes=(one, other))  # fmt: skip
    files = {PREDICTIONS: to_parquet(answers.table()), TOP_ANSWERS["test"]: top_to_parquet(top)}
    work = Work("evaluate", 3, "classifier", {"note": note}, (dataset.key,))
    return manifest.commit(session.store, work, files, counts={"in": len(test)})


def add_answers(session: Session, model: Manifest, dataset: Manifest) -> Manifest:
    """What a live model answered on the test photos of a dataset, as the gate has kept it: all rightly."""
    photos = results.read_photos(session.store, dataset)
    test = photos[photos["dropped"].isna() & (photos["split"] == "test")]
    table = test[["key", "class_name"]].assign(vehicle=test["listing_uuid"], answer=test["class_name"])
    return manifest.commit(session.store, answer_work(model, dataset), {PREDICTIONS: to_parquet(table)}, counts={})


def add_score(session: Session, model: Manifest, dataset: Manifest) -> dict[str, Any]:
    """As if the test photos of a dataset were new, and a live model had been right on the first of them."""
    photos = results.read_photos(session.store, dataset)
    test = photos[photos["dropped"].isna() & (photos["split"] == "test")]
    right = [place == 0 for place in range(len(test))]
    other = dict(zip(dataset.extra["classes"], reversed(dataset.extra["classes"]), strict=True))
    answers = [name if ok else other[name] for name, ok in zip(test["class_name"], right, strict=True)]
    body = {"photos": test["key"].tolist(), "answers": answers, "correct": right}
    work = Work(results.NEWEST, 1, results.WHOLE, {}, (dataset.key, model.key))
    done = manifest.commit(session.store, work, {results.NEWEST_PHOTOS: _json(body)}, counts={})
    entry = {
        "channel": "classifier", "model": model.key, "dataset": dataset.key, "at": "2026-01-02T03:00:00Z",
        "generation": 1, "photos": len(test), "listings": 2, "vehicles": 2, "correct": 1, "accuracy": 0.5, "low": 0.1,
        "high": 0.9, "confidence": 0.99, "test_accuracy": 0.75, "apart": {}, "judged": done.key,
    }  # fmt: skip
    record_score(session, entry)
    return entry


def add_model(
    session: Session, dataset: str, *, accuracy: float, trained: str = "stages/x", judged: str = "", **figures: float
) -> Manifest:
    """A packaged model; `judged` is its evaluation, if there is to be one."""
    work = Work("model", 3, "classifier", {"h5": False}, (judged or str(accuracy),), home="models/classifier")
    files = {"README.md": CARD.encode(), "evaluation.html": b"<!DOCTYPE html><title>evaluation</title>"}
    metrics = {"test_accuracy": accuracy, "test_photos": 1234.0, "test_nll": 0.25, **figures}
    extra = {"contract": 1, "classes": ["a", "b"], "metrics": metrics, "dataset": dataset, "trained": trained}
    return manifest.commit(session.store, work, files, counts={}, extra=extra)


def compare(session: Session, model: Manifest, champion: Manifest) -> Manifest:
    """A comparison of two models, and the decision that it belongs to, the oldest."""
    page = b"<!DOCTYPE html><title>comparison</title>"
    files = {PAGE: page, CARD_OF_COMPARISON: f"## Against {SCRIPT}\n".encode()}
    decide(session, model.key, at="2025-12-31T02:59:00Z", champion=champion.key)
    work = comparison_work(model, champion.key, rules=session.config.gate.decisive())
    return session.commit(work, files, counts={})


def decide(session: Session, model: str, *, at: str, champion: str = "", **other: object) -> None:
    entry = {
        "outcome": "publish", "reasons": ["Proven better.", f"Because {SCRIPT}."], "checks": [],
        "numbers": {
            "photos": 90, "classes_alone": 1, "difference": 0.0123, "better": True, "worse": False,
            "falls": [{"class_name": "a", "fall": 0.5, "ruined": False}],
        },
        "channel": "classifier", "model": model, "champion": champion, "run": "nightly", "at": at, **other,
    }  # fmt: skip
    session.store.put(f"channels/classifier/decisions/{at.replace(':', '')}-x.json", _json(entry))


def train(session: Session, admin: Any, home: Path, *, epochs: int, state: str = "running") -> None:
    """A run `night` of `retrain_classifier` whose training is in a state, and has told of so many epochs.

    Tasks run under a scheduler, and there is none here: what it would write into the database is written.

    Args:
        admin: a client of the API server.
        home: of its Airflow.
    """
    admin.post("/api/v2/dags/retrain_classifier/dagRuns", json={"logical_date": None, "dag_run_id": "night"})
    change = "UPDATE task_instance SET state = ? WHERE run_id = 'night' AND task_id = 'train'"
    with contextlib.closing(sqlite3.connect(home / "airflow.db", timeout=30)) as database, database:
        database.execute(change, (state,))
    history = [
        {"epoch": number, "loss": 0.5**number, "val_loss": 2 * 0.5**number, "accuracy": 0.5, "val_accuracy": 0.4}
        for number in range(1, epochs + 1)
    ]
    event = {"phase": f"head {SCRIPT}", "epochs": 9, "history": history}
    tell_progress(session.store, progress_key("classifier", "night"), prefix="runs/train/x", event=event)


def keys(numbers: Iterable[int]) -> list[str]:
    return [key(number) for number in numbers]


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
