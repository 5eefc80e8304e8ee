"""Suspects of a bucket: whose answers count, for which listings, and what people get."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from carpipe import manifest
from carpipe.cli import main
from carpipe.errors import InputError
from carpipe.evaluation.top_answers import keep_top, to_parquet
from carpipe.manifest import Work
from carpipe.photos import to_parquet as table_to_parquet
from carpipe.steps import results
from carpipe.steps.listings.rows import known_of
from carpipe.steps.listings.store import current_corrections, import_corrections
from carpipe.steps.models.evaluate import TOP_ANSWERS
from carpipe.steps.models.package import package_work
from carpipe.steps.models.score import ANSWERS
from carpipe.steps.models.seen import SEEN
from carpipe.steps.models.suspects import TABLE, suspects
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.upkeep.garbage import find_garbage

CLASSES = ("audi", "bmw", "=kia")
PLAIN = "version: 1\nunknown: keep\n"
WRONG = "0b9b1b0e-52f8-4e7c-9a80-0d3b2f9a4c11"
AT = "2026-02-01T03:00:00Z"


class Bucket:
    """Datasets, trainings and their answers, made by hand."""

    def __init__(self, session):
        self.session, self.store = session, session.store

    def commit(self, stage, tag, files=None, inputs=(), *, partition="all", home="", extra=None):
        work = Work(stage, 1, partition, {"tag": tag}, tuple(inputs), home=home)
        return manifest.commit(self.store, work, files or {}, counts={}, extra=extra or {})

    def dataset(self, tag, table, *, classes=CLASSES, taxonomy=PLAIN):
        files = {results.PHOTOS: table_to_parquet(table), results.TAXONOMY: taxonomy.encode()}
        return self.commit("dataset", tag, files, home="datasets", extra={"classes": list(classes)})

    def training(self, data, *, tag="", seen=()):
        files = {SEEN: table_to_parquet(pd.DataFrame({"key": list(seen)}))} if len(seen) else {}
        return self.commit("train", data.key + tag, files, extra={"dataset": data.key})

    def evaluation(self, trained, data, looks, *, classes=CLASSES, top1=None):
        """`looks`: the class that each photo looks like, by key."""
        keys = list(looks)
        files = {
            TOP_ANSWERS["val"]: answers(keys[:3], looks, classes),
            TOP_ANSWERS["test"]: answers(keys[3:], looks, classes),
        }
        extra = {"trained": trained.key, "dataset": data.key, "metrics": {"test_accuracy": top1} if top1 else {}}
        return self.commit("evaluate", trained.key, files, [trained.key], partition="classifier", extra=extra)

    def score(self, data, looks, *, partition, tag="", seen=()):
        """A model that was trained on a dataset, and what it answered on photos of a partition."""
        trained = self.training(data, tag=tag, seen=seen)
        extra = {"classes": list(CLASSES), "trained": trained.key, "dataset": data.key}
        files = {results.TAXONOMY: PLAIN.encode()}
        model = self.commit(
            "model", tag, files, [trained.key], partition="classifier", home="models/classifier", extra=extra
        )
        return self.commit(
            "score", tag, {ANSWERS: answers(list(looks), looks, CLASSES)}, [model.key], partition=partition
        )


def answers(keys, looks, classes):
    p = np.full((len(keys), len(classes)), 0.02, np.float32)
    for row, key in enumerate(keys):
        p[row, classes.index(looks[key])] = 0.96
    photos = pd.DataFrame({"key": pd.Series(keys, dtype="str"), "class_name": "whatever"})
    return to_parquet(keep_top(photos, p, energy=np.zeros(len(keys)), temperature=1.0, classes=classes))


def photos(*more, per_class=8, split="test"):
    """Rows of listings that are what they are called, and more: (listing, class, changes)."""
    rows = [(f"{name}-{number}", name, {}) for name in CLASSES for number in range(per_class)]
    table = pd.DataFrame(
        {
            "key": f"{name}_2012/1_1_{listing}_x.jpg", "listing_uuid": listing, "vehicle": listing, "model": name,
            "class_name": name, "partition": "p00000-a", "split": split, "dropped": None, "dropped_by": None, **changes,
        }
        for listing, name, changes in [*rows, *more]
    )  # fmt: skip
    for name in ("dropped", "dropped_by"):
        table[name] = table[name].astype("str")
    return table


def looks_of(table, **others):
    """Each photo looks as its class, but for those of listings that are named."""
    return {
        key: others.get(listing, name) for key, listing, name in table[["key", "listing_uuid", "class_name"]].to_numpy()
    }


@pytest.fixture
def bucket(session):
    return Bucket(session)


@pytest.fixture
def judged(bucket):
    """A dataset with a wrong listing, and an evaluation of a model that was trained on another one's cars."""
    table = photos((WRONG, "audi", {}))
    data = bucket.dataset("new", table)
    bucket.evaluation(bucket.training(data), data, looks_of(table, **{WRONG: "bmw"}))
    return data


def listed(bucket, done):
    return pd.read_parquet(io.BytesIO(manifest.read_file(bucket.store, done, TABLE)))["listing"].tolist()


def body(bucket, done):
    return manifest.read_json(bucket.store, done, results.SUSPECTED)


def test_the_evaluation_judges_its_validation_and_test_photos(bucket, judged):
    done = suspects(bucket.session)

    assert listed(bucket, done) == [WRONG]
    found = body(bucket, done)
    assert found["judged"] == 25
    assert [(one["kind"], one["listings"]) for one in found["sources"]] == [("evaluation", 25)]
    assert done.inputs[0] == judged.key
    assert not suspects(bucket.session).fresh, "the same answers are not judged again"


def test_no_listing_is_judged_by_a_model_that_knows_its_car(bucket):
    """One was trained on, one is of a car that was, and one was learnt from by a model before it."""
    more = [("same-car", "audi", {"vehicle": "known"}), ("warm", "audi", {}), (WRONG, "audi", {})]
    table = photos(*more, ("known", "audi", {"split": "train", "dropped": "other_side", "dropped_by": "split"}))
    looks = looks_of(table, **{name: "bmw" for name, _, _ in more}, known="bmw")
    before = bucket.dataset("then", table.assign(dropped=None))
    data = bucket.dataset("new", table)
    warm = table.loc[table["listing_uuid"] == "warm", "key"]
    bucket.evaluation(bucket.training(before, seen=warm), before, looks)

    assert listed(bucket, suspects(bucket.session, data.key)) == [WRONG]


def test_what_live_models_answered_on_new_listings_counts_beside_it(bucket, judged):
    new = "1b9b1b0e-52f8-4e7c-9a80-0d3b2f9a4c11"
    table = photos((WRONG, "audi", {}), (new, "bmw", {"partition": "p00001-b", "split": "train"}))
    newer = bucket.dataset("newer", table)
    mine = table[table["listing_uuid"] == new]
    bucket.score(judged, looks_of(mine, **{new: "=kia"}), partition="p00001-b")

    done = suspects(bucket.session, newer.key)

    assert sorted(listed(bucket, done)) == [WRONG, new]
    assert [(one["kind"], one["listings"]) for one in body(bucket, done)["sources"]] == [
        ("evaluation", 25),
        ("score", 1),
    ]


def test_answers_on_a_photo_that_was_overwritten_are_about_another_picture(bucket, judged):
    table = photos((WRONG, "audi", {"partition": "p00001-b"}))
    newer = bucket.dataset("newer", table)
    assert listed(bucket, suspects(bucket.session, newer.key)) == []
    assert listed(bucket, suspects(bucket.session, judged.key)) == [WRONG]


def test_names_of_then_are_those_of_today(bucket):
    table = photos((WRONG, "audi", {}))
    then = bucket.dataset("then", table, taxonomy=PLAIN)
    bucket.evaluation(bucket.training(then), then, looks_of(table, **{WRONG: "bmw"}))
    named = table.assign(class_name=table["class_name"].replace({"bmw": "bayer"}))
    today = bucket.dataset(
        "today", named, classes=("=kia", "audi", "bayer"), taxonomy=PLAIN + "classes:\n  bayer: [bmw]\n"
    )

    [one] = body(bucket, suspects(bucket.session, today.key))["suspects"]
    assert (one["from"], one["suggested"]) == ("audi", "bayer")


def test_what_somebody_has_looked_at_is_not_told_again(bucket, judged):
    done = suspects(bucket.session, settled=[WRONG])
    assert listed(bucket, done) == []
    assert body(bucket, done)["apart"]["settled"] == 1
    assert done.key != suspects(bucket.session).key


def test_without_answers_it_says_what_to_do(bucket):
    table = photos()
    data = bucket.dataset("new", table)
    with pytest.raises(InputError, match="Train and evaluate one first"):
        suspects(bucket.session)
    trained = bucket.training(data)
    bucket.commit("evaluate", "0.1.0", {}, [trained.key], partition="classifier", extra={"trained": trained.key})
    with pytest.raises(InputError, match="did not keep their answers"):
        suspects(bucket.session)


def test_answers_of_a_model_that_cannot_say_what_it_has_learnt_are_not_used(bucket, judged, caplog):
    other = bucket.dataset("other", photos(per_class=1))
    lost = bucket.training(other, tag="lost")
    table = photos((WRONG, "audi", {}))
    bucket.evaluation(lost, judged, looks_of(table, **{"bmw-1": "audi"}))
    bucket.store.delete([other.key])
    bucket.score(judged, looks_of(table, **{WRONG: "bmw"}), partition="p00000-a")

    assert listed(bucket, suspects(bucket.session, judged.key)) == [WRONG]
    assert f"The answers of {lost.key} are not used" in caplog.text


def test_a_list_that_names_a_forgotten_listing_goes_and_gc_takes_the_others(bucket, judged):
    done = suspects(bucket.session)
    other = suspects(bucket.session, settled=[WRONG])
    bucket.store.put(f"raw/audi_2012/1_1_{WRONG}_x.jpg", b"x")

    forget(bucket.session, WRONG, at=AT)

    assert not [*bucket.store.list_objects(done.key.rpartition("/")[0])]
    assert manifest.read(bucket.store, other.key)
    garbage = find_garbage(bucket.session, older_than=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    assert other.key in {info.key for info in garbage.objects}


def test_the_command_prints_them_and_writes_what_people_fill_in(bucket, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("carpipe.cli.listings.session", lambda config: bucket.session)
    table = photos((WRONG, "=kia", {}))
    data = bucket.dataset("newest", table)
    bucket.evaluation(bucket.training(data), data, looks_of(table, **{WRONG: "audi"}))
    out = tmp_path / "wrong.csv"

    assert main(["listings", "suspects", "--dataset", data.key, "--out", str(out)]) == 0

    said, confirmed = capsys.readouterr()
    assert said.startswith("1 of 25 judged listings may be in the wrong class:\n")
    assert f"{WRONG}  =kia 0.02 -> audi 0.96" in said
    assert f"      =kia_2012/1_1_{WRONG}_x.jpg" in said, "as the file has it"
    assert "25 listings were judged by the newest evaluation, of training " in said
    assert confirmed.endswith(
        f"{out} is written; fill in the column `to`, then import it: `carpipe listings import {out}`.\n"
    )
    [row] = csv.DictReader(io.StringIO(out.read_text("utf-8")))
    assert list(row) == ["listing", "from", "to", "by", "at", "suggested", "p", "why", "key", "p_from"]
    assert (row["p"][:4], row["p_from"]) == ("0.96", "0.020")
    assert (row["listing"], row["from"], row["to"], row["suggested"]) == (WRONG, "'=kia", "", "audi")
    assert main(["listings", "suspects", "--out", str(out)]) == 1, "somebody may have filled it in"
    capsys.readouterr()
    assert main(["listings", "suspects", "--dataset", data.key, "--json", "--count", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["suspects"][0]["listing"] == WRONG


def test_it_says_whose_answers_they_are_and_that_the_gate_refused_that_model(bucket, capsys, monkeypatch):
    """A warm night whose model was refused: its evaluation is the newest all the same."""
    monkeypatch.setattr("carpipe.cli.listings.session", lambda config: bucket.session)
    table = photos((WRONG, "=kia", {}))
    data = bucket.dataset("newest", table)
    bucket.commit("evaluate", "cars", partition="car_filter")
    judged = bucket.evaluation(bucket.training(data), data, looks_of(table, **{WRONG: "audi"}), top1=0.7319)
    work = package_work(bucket.session.config.classifier, judged.key, model="classifier")
    model = manifest.commit(bucket.store, work, {}, counts={})
    decision = {
        "model": model.key, "champion": "", "run": "r", "at": AT, "outcome": "refuse", "reasons": ["Not better."],
        "checks": [], "numbers": {},
    }  # fmt: skip
    bucket.store.put("channels/classifier/decisions/1.json", json.dumps(decision).encode())

    assert main(["listings", "suspects"]) == 0

    said = capsys.readouterr().out
    [line] = [line for line in said.splitlines() if line.startswith("25 listings were judged")]
    assert line.startswith(
        f"25 listings were judged by the newest evaluation, of model {work.key.split('/')[2][:8]}, 20"
    )
    assert "top-1 0.732 on its test photos. The gate has refused this model" in line
    assert main(["listings", "suspects", "--json"]) == 0
    [source] = json.loads(capsys.readouterr().out)["sources"]
    assert (source["top1"], source["refused"], source["listings"]) == (0.7319, True, 25)


def test_the_file_comes_back_as_corrections_and_what_was_said_is_not_asked_again(bucket, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("carpipe.cli.listings.session", lambda config: bucket.session)
    table = photos((WRONG, "=kia", {}))
    data = bucket.dataset("newest", table)
    bucket.evaluation(bucket.training(data), data, looks_of(table, **{WRONG: "audi"}))
    out = tmp_path / "wrong.csv"
    assert main(["listings", "suspects", "--out", str(out)]) == 0
    [row] = csv.DictReader(io.StringIO(out.read_text("utf-8")))
    filled = pd.DataFrame([{**row, "to": row["suggested"]}]).to_csv(index=False).encode()

    import_corrections(bucket.session, filled, known=known_of({WRONG: "=kia"}, {"audi"}), at=AT, by="ann")

    said = current_corrections(bucket.session)[WRONG]
    assert (said.to, said.by, said.was) == ("audi", "ann", "=kia")
    capsys.readouterr()
    assert main(["listings", "suspects"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("None of 25 judged listings")
    assert "1 that a person has looked at" in told
