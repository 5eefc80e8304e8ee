"""Score: the live model answers the crops of new listings, before anything is trained on them.

New is a listing of which no photo was in the dataset that the live model was trained on, nor in one that a model
before it in a chain of warm trainings has learnt from. Answers are kept per partition and model; they rest on nothing
else, so neither another taxonomy nor another split asks again. What the right answer is, today's dataset says. Where
the model can tell, how familiar each photo is to it is kept too; answers of before lack that, and stay as they are.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import CarpipeError, InputError, UnavailableError
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.models.answers import load_trained
from carpipe.steps.models.class_names import class_map, names_then
from carpipe.steps.models.crops import BEHIND, by_partition, read_crops
from carpipe.steps.models.score_log import JUDGED, accuracy_of, find_score, record_score
from carpipe.steps.models.seen import listings_before
from carpipe.steps.models.unknown import read_sight
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.weights import channel, contract
from carpipe.weights.channel import Release

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.familiarity import Rule

log = logging.getLogger(__name__)

VERSION = 1
ANSWERS = "answers.parquet"
# In a manifest's `extra`: the rule that the familiarity of its photos is held against, as `carpipe.familiarity.Rule`.
KNOWN = "known"
COLUMNS = ("key", "listing_uuid", "vehicle", "model", "class_name", "partition", "dropped", "dropped_by")


@dataclass(frozen=True)
class _Live:
    """What is live, and where it came from."""

    release: Release
    model: Manifest
    trained: Manifest
    dataset: Manifest


@dataclass(frozen=True)
class _Asked:
    """The live model, loaded: JPEGs in, probabilities and energy out; with a rule, familiarity as the last column."""

    predict: Any
    rule: "Rule | None"


def score(session: Session, dataset: str, *, at: str) -> str:
    """Let the classifier's live model answer what is new in a dataset, and record how well.

    A partition that the same model has answered is not answered again, and one without a new listing costs nothing.
    That there is nothing to answer, or nobody to ask, is a sentence.

    Args:
        dataset: manifest key.
        at: now, UTC, ISO 8601, for the record.

    Returns:
        What came of it, for people.

    Raises:
        UnavailableError: trying again may help.
    """
    try:
        said = _score(session, session.config.classifier.channel, dataset, at=at)
    except UnavailableError:
        raise
    except CarpipeError as error:
        # A night must not end here: nothing of it depends on this.
        said = f"The newest listings were not answered. {error}"
    log.info("score: %s", said)
    return said


def _score(session: Session, name: str, dataset: str, *, at: str) -> str:
    from carpipe.evaluation.newest import describe, judge_newest

    release = channel.read_channel(session.store, name)
    if release is None:
        return f"Nothing is live in channel {name}: there is nobody to ask about newest listings."
    if before := find_score(session, name, model=release.model, dataset=dataset):
        return f"Known already. {describe(before)}"
    live, data = _find(session, release), manifest.read(session.store, dataset)
    new = _new_photos(session, live, data)
    if new is None or not new["is_new"].any():
        return "No listing is newer than the dataset that the live model was trained on."
    answers = _answer_all(session, live, data, new)
    judged = _judge(session, live, data, new, answers)
    figures = judge_newest(judged, confidence=session.config.gate.confidence)
    entry = {
        "channel": name,
        "model": release.model,
        "generation": release.generation,
        "dataset": dataset,
        "at": at,
        **figures,
        JUDGED: _keep_judged(session, live, data, judged).key,
        "test_accuracy": accuracy_of(live.model),
    }
    record_score(session, entry)
    return describe(entry)


def has_new_listings(session: Session, data: Manifest) -> bool:
    """Whether a dataset has listings that are newer than the live model's dataset, so that it can be asked about them.

    Raises:
        InputError: nothing is live, or what is live cannot be asked.
    """
    name = session.config.classifier.channel
    release = channel.read_channel(session.store, name)
    if release is None:
        raise InputError(f"Nothing is live in channel {name}.")
    new = _new_photos(session, _find(session, release), data)
    return new is not None and bool(new["is_new"].any())


def score_work(live: Manifest, partition: str, crops: str) -> Work:
    """What `score` does with a partition.

    The crops count by their content, as in `pack`: other results that come to the same crops ask for nothing, and
    old ones need not be kept for this.

    Args:
        live: the model's manifest.
        crops: sha256 of the file of crops.
    """
    weights = {"classifier": live.files[results.MODEL]["sha256"]}
    return Work(results.SCORE, VERSION, partition, {"crops": crops}, (live.key,), weights=weights)


def read_scores(session: Session, done: Manifest) -> Any:
    """The `TopAnswers` of one partition, `key` beside them."""
    from carpipe.evaluation.top_answers import from_parquet

    return from_parquet(manifest.read_file(session.store, done, ANSWERS))


def _find(session: Session, release: Release) -> _Live:
    model = channel.read_released(session.store, release).manifest
    try:
        trained = manifest.read(session.store, model.extra["trained"])
        live = _Live(release, model, trained, manifest.read(session.store, trained.extra["dataset"]))
    except KeyError as error:
        raise InputError(f"{model.key} does not say what it was trained on: {error} is missing.") from None
    classes = model.extra.get("classes")
    if not isinstance(classes, list) or not classes or results.MODEL not in model.files:
        raise InputError(f"{model.key} is no model that can be asked: its class names or {results.MODEL} are missing.")
    return live


def _new_photos(session: Session, live: _Live, data: Manifest) -> "pd.DataFrame | None":
    """The photos of a dataset with `is_new`: cut out, and of a new listing; and `seen`: of a car that is known.

    None where the live model was trained on the same photos.
    """
    if live.dataset.inputs[:1] == data.inputs[:1]:
        return None
    from carpipe.photos import CORRECTED

    photos = results.read_photos(session.store, data, columns=list(COLUMNS), also=CORRECTED)
    known = photos["listing_uuid"].isin(listings_before(session, live.trained, photos))
    cut = photos["dropped"].isna() | photos["dropped_by"].isin(BEHIND)
    # By every photo of it, dropped ones too: a relisted car is also known by its dashboard.
    cars = photos.loc[known, "vehicle"].dropna().unique()
    new = photos["listing_uuid"].notna() & ~known & cut
    return photos.assign(is_new=new, seen=photos["vehicle"].isin(cars))


def _answer_all(session: Session, live: _Live, data: Manifest, photos: "pd.DataFrame") -> "pd.DataFrame":
    """`key`, `partition` and `answer` of every new photo. Partitions without one are not looked at."""
    import pandas as pd

    load = cache(lambda: _load(session, live))  # once, if at all
    found = []
    new = photos[photos["is_new"]]
    new = new.assign(then=names_then(session, live.model, data, new))
    for cropped, rows in by_partition(session, data, new):
        done = _answer(session, live, cropped, rows.set_index("key")["then"], load=load)
        top = read_scores(session, done)
        found.append(pd.DataFrame({"key": top.photos["key"], "partition": cropped.partition, "answer": top.answer}))
    return pd.concat(found, ignore_index=True)


def _answer(
    session: Session, live: _Live, cropped: Manifest, given: "pd.Series[str]", *, load: Callable[[], _Asked]
) -> Manifest:
    """Commit the live model's answers on some crops of a partition, unless they are there.

    Args:
        given: by key of the crops, the class that the model has for the photo's folder; null where it has none.
    """
    crops = cropped.files.get(results.CROPS)
    if crops is None:
        raise InputError(f"{cropped.key} has no crops.")
    work = score_work(live.model, cropped.partition, crops["sha256"])
    if done := manifest.find(session.store, work):
        return reused(done)
    import pandas as pd

    from carpipe.evaluation.top_answers import FAMILIARITY, keep_top, to_parquet

    started = time.monotonic()
    jpegs = read_crops(session, cropped, given.index.to_series())
    classes = live.model.extra["classes"]
    temperature = contract.read_temperature(live.model, partial(manifest.read_file, session.store, live.model))
    found, p, rule = _ask(jpegs, load, classes=len(classes))
    table = pd.DataFrame({"key": pd.Series(found, dtype="str")})
    table = table.assign(class_name=table["key"].map(given.to_dict()).astype("str"))
    if rule:
        table[FAMILIARITY] = p[:, -1]
    top = keep_top(table, p[:, : len(classes)], energy=p[:, len(classes)], temperature=temperature, classes=classes)
    data = to_parquet(top)
    log.info("score %s: %d photos of new listings answered, kept in %d bytes", cropped.partition, len(found), len(data))
    return session.commit(
        work,
        {ANSWERS: data},
        counts={"in": len(found)},
        seconds=round(time.monotonic() - started, 3),
        bytes_read=crops["bytes"],
        extra={"classes": classes, **({KNOWN: asdict(rule)} if rule else {})},
    )


def _load(session: Session, live: _Live) -> _Asked:
    """The live model, so that it also says how familiar a photo is, where it can."""
    sight = read_sight(session, live.model)
    predict = load_trained(session.store, live.model, energy=True, features=sight is not None)
    if sight is None:
        return _Asked(predict, None)
    return _Asked(sight.wider(predict, classes=len(live.model.extra["classes"])), sight.rule)


def _ask(jpegs: dict[str, bytes], load: Callable[[], _Asked], *, classes: int) -> "tuple[list[str], Any, Rule | None]":
    """Keys, sorted; what the model answers, float32: probabilities, energy, and with a rule familiarity; the rule."""
    import numpy as np

    from carpipe.training.predict import predict_records

    if not jpegs:
        return [], np.zeros((0, classes + 1), np.float32), None
    live = load()
    keys, p = predict_records(((key, "", jpegs[key]) for key in sorted(jpegs)), predict=live.predict)
    answered = p.shape[1] - (2 if live.rule else 1)
    if answered != classes:
        raise InputError(f"The live model answers {answered} classes, and has names for {classes}.")
    return keys, p, live.rule


def _judge(
    session: Session, live: _Live, data: Manifest, photos: "pd.DataFrame", answers: "pd.DataFrame"
) -> "pd.DataFrame":
    """All new photos, with `answered`, by the names of today, and `correct` and `apart` as `judge_newest` has them."""
    import pandas as pd

    rows = photos[photos["is_new"]].merge(answers, on=["key", "partition"], how="left", validate="one_to_one")
    became = class_map(session, live.model, data)
    today = {became.get(name, name) for name in live.model.extra["classes"]}
    then = names_then(session, live.model, data, rows)
    known = rows["class_name"].isin(today) | then.isin(live.model.extra["classes"])
    apart = pd.Series(None, index=rows.index, dtype="object")
    apart[rows["answer"].isna()] = "no_crop"
    apart[~known] = "unknown_class"
    apart[rows["seen"]] = "seen_vehicle"
    apart[rows["dropped"].notna()] = "not_in_dataset"
    # A class that was merged is right by its name of today, one that was split by its name of then.
    answered = rows["answer"].map(lambda name: became.get(name, name))
    correct = (answered == rows["class_name"]) | (rows["answer"] == then)
    return rows.assign(answered=answered, correct=correct, apart=apart)


def _keep_judged(session: Session, live: _Live, data: Manifest, photos: "pd.DataFrame") -> Manifest:
    """Commit which photos count, and what the model answered on each."""
    mine = photos[photos["apart"].isna()]
    body = {
        "photos": mine["key"].tolist(), "answers": mine["answered"].tolist(),
        "correct": mine["correct"].astype(bool).tolist(),
    }  # fmt: skip
    work = Work(results.NEWEST, VERSION, results.WHOLE, {}, (data.key, live.model.key))
    return session.commit(work, {results.NEWEST_PHOTOS: json.dumps(body, ensure_ascii=False).encode()},
                          counts={"in": len(photos), "judged": len(mine)})  # fmt: skip
