"""A bucket with an evaluation whose answers confuse two classes, and tell the models of a third apart."""

import uuid

import numpy as np

from carpipe import manifest
from carpipe.config import load_config
from carpipe.evaluation.top_answers import TopAnswers, to_parquet
from carpipe.manifest import Work
from carpipe.photos import to_parquet as write_table
from carpipe.steps import results
from carpipe.steps.session import open_session
from tests.evaluation.drawn_answers import draw

TAXONOMY = """\
version: 1
unknown: keep
classes:
  # Mine, and it stays.
  golf: [golf, golf_gti]
unchanged:
  - vito   # a van
  - viano
"""
MODELS = {"golf": ["golf", "golf_gti"]}
SIZES = {"golf": 160, "vito": 60, "viano": 40, **{f"x_{number}": 50 for number in range(8)}}


def a_bucket(s3):
    return open_session(load_config(None, {"store.url": f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"}))


def drawn_answers():
    return draw(SIZES, twins=[["vito", "viano"]], wavers={"golf": "x_0", "golf_gti": "x_1"}, models=MODELS, error=0.01)


def evaluate(session, answers, *, tag, only_best=False, corrected=None):
    """The manifest key of an evaluation: half of the photos are validation photos, half are test photos."""
    vehicles = answers.photos["vehicle"]
    sides = np.where(vehicles.str.rpartition("-")[2].astype(int) % 2 == 0, "val", "test")
    table = answers.photos.assign(listing_uuid=vehicles, split=sides, dropped=None, dropped_by=None)
    if corrected:
        mine = table["model"] == corrected["to"]
        said = table["model"].where(mine).astype("str")
        table = table.assign(model=table["model"].mask(mine, corrected["from"]), corrected=said, corrected_model=said)
    work = Work("dataset", 1, "all", {"tag": tag}, (f"stages/split/all/{tag}/manifest.json",), home="datasets")
    files = {results.PHOTOS: write_table(table), results.TAXONOMY: TAXONOMY.encode()}
    extra = {"classes": list(answers.classes), "packed": []}
    data = manifest.commit(session.store, work, files, counts={}, extra=extra)
    files = {f"top_{side}.parquet": to_parquet(rows_of(answers, sides == side)) for side in ("val", "test")}
    test = rows_of(answers, sides == "test")
    best = test.photos.assign(answer=test.answer, score=test.p[:, 0].astype(float))
    files = {"predictions.parquet": write_table(best), **({} if only_best else files)}
    work = Work(
        "evaluate",
        2 if only_best else 3,
        "classifier",
        {},
        (f"stages/train/classifier/{tag}/manifest.json", *data.inputs),
    )
    facts = {"classes": list(answers.classes), "dataset": data.key, "trained": "none"}
    return manifest.commit(session.store, work, files, counts={}, extra=facts).key


def rows_of(answers, mine):
    photos = answers.photos.loc[mine, ["key", "class_name"]].reset_index(drop=True)
    return TopAnswers(photos, answers.numbers[mine], answers.p[mine], answers.energy[mine], answers.classes)
