"""Advice on the classes, drawn from the answers that an evaluation kept. Nothing changes by it: a person decides.

Kept as a result of its own, so that it is made once and can be shown again. It holds counts and names of classes, no
photo and no listing.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import CarpipeError, InputError, UnavailableError
from carpipe.manifest import Manifest, Work
from carpipe.names import counted
from carpipe.steps import results
from carpipe.steps.models.answers import PREDICTIONS
from carpipe.steps.models.evaluate import TOP_ANSWERS
from carpipe.steps.models.train import content_of
from carpipe.steps.models.weights import find_model
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.advice import Advice
    from carpipe.evaluation.top_answers import TopAnswers
    from carpipe.taxonomy.rules import Taxonomy

log = logging.getLogger(__name__)

VERSION = 2  # 2: what people read of each proposal is in the JSON
MODEL = "classifier"
JSON, TEXT = "advice.json", "advice.txt"


def advise(session: Session, evaluation: str) -> Manifest:
    """Commit which classes should be one, and which could be several, by an evaluation of the classifier.

    Reads the kept answers alone: no photo, no network.

    Args:
        evaluation: manifest key.

    Raises:
        InputError: it is none of the classifier, or has no answers.
        MissingError: it or its dataset is gone.
    """
    judged = manifest.read(session.store, evaluation)
    if judged.stage != "evaluate" or judged.partition != MODEL:
        raise InputError(f"{evaluation} is no evaluation of the classifier: advice needs one.")
    if not isinstance(judged.extra.get("dataset"), str):
        raise InputError(f"{evaluation} does not say which dataset it is of: evaluate the model again.")
    data = manifest.read(session.store, judged.extra["dataset"])
    work = _work(session, judged, data)
    if done := manifest.find(session.store, work):
        return reused(done)
    from carpipe.evaluation.advice import render

    started = time.monotonic()
    found = _advise(session, judged, data)
    files = {JSON: results.to_json(found.to_json()), TEXT: render(found).encode()}
    seconds = round(time.monotonic() - started, 3)
    log.info("advice: %d merges and %d splits of %d photos in %.1f s", len(found.merges), len(found.splits),
             found.photos, seconds)  # fmt: skip
    extra = {"dataset": data.key, "evaluation": judged.key}
    return session.commit(work, files, counts={"in": found.photos}, seconds=seconds, extra=extra)


def propose(session: Session, evaluation: str) -> str:
    """Make the advice of a night, and say in a sentence how much of it there is. Nothing of the night depends on it.

    Raises:
        UnavailableError: trying again may help.
    """
    try:
        done = advise(session, evaluation)
        found = manifest.read_json(session.store, done, JSON)
        numbers = [counted(len(found["merges"]), "merge"), counted(len(found["splits"]), "split")]
        said = f"Of classes that look alike: {' and '.join(numbers)} advised."
        said += " `carpipe classes advise` and the page Classes say why." if found["merges"] or found["splits"] else ""
    except UnavailableError:
        raise
    except CarpipeError as error:
        said = f"There is no advice on classes. {error}"
    log.info("advise: %s", said)
    return said


def find_evaluation(session: Session, model: str | None) -> str:
    """Manifest key of the evaluation of a model of the classifier's channel; None means the newest evaluation.

    Raises:
        InputError: there is no such model, or nothing has been evaluated yet.
    """
    if model:
        return find_model(session, session.config.classifier.channel, model).inputs[0]
    newest = results.newest_result(session.store, "evaluate", MODEL)
    if newest is None:
        raise InputError(
            f"No classifier has been evaluated in {session.store.url} yet; run `retrain_classifier`, or `carpipe run`."
        )
    return newest


def read_advice(session: Session, done: Manifest) -> tuple[str, dict[str, Any]]:
    """The advice as text, and as JSON."""
    text = manifest.read_file(session.store, done, TEXT).decode()
    return text, manifest.read_json(session.store, done, JSON)


@dataclass(frozen=True)
class Proposal:
    """A piece of advice as moves of models.

    Attributes:
        kind: `merge` or `split`.
        name: the class that others are merged into, or that is split; no other proposal of an advice has it.
        what: for people, such as `audi_a4 + audi_a4_avant -> audi_a4`.
        moves: model -> class; empty where the taxonomy says so already, or has become too different.
    """

    kind: str
    name: str
    what: str
    moves: Mapping[str, str]


def proposals(advice: Mapping[str, Any], taxonomy: "Taxonomy") -> list[Proposal]:
    """What following the advice would change in a taxonomy, in the order of the advice.

    Args:
        advice: JSON of `advise`.
    """
    return [*_merging(taxonomy, advice), *_splitting(taxonomy, advice)]


def change_taxonomy(advice: Mapping[str, Any], source: str, *, moves: Mapping[str, str]) -> tuple[str, list[str]]:
    """The YAML of a taxonomy with the advice followed, and what had to be left as it is.

    Args:
        advice: JSON of `advise`.
        source: `published`, `identity` or a YAML file.
        moves: model -> class, as people have said before; they are followed first.

    Raises:
        ConfigError: the taxonomy cannot be read, or would be none afterwards.
    """
    from carpipe.taxonomy.edit import moved, regroup
    from carpipe.taxonomy.read import load, read_text

    taxonomy, all_moves, left = moved(load(source), moves), dict(moves), []
    for proposal in proposals(advice, taxonomy):
        all_moves.update(proposal.moves)
        if not proposal.moves:
            left.append(f"{proposal.what}: {source} says otherwise already; it is left as it is.")
    edited = regroup(read_text(source), all_moves, name=source)
    if not edited.comments:
        left.append(f"The form of {source} could not be kept: it is sorted now, and its comments are gone.")
    return edited.text, left


def _merging(taxonomy: "Taxonomy", advice: Mapping[str, Any]) -> Iterator[Proposal]:
    from carpipe.taxonomy.edit import merged_models

    for merge in advice["merges"]:
        models = [model for names in merge["models"].values() for model in names]
        found = merged_models(taxonomy, merge["classes"], models)
        moves = {model: merge["name"] for names in found.values() for model in names} if len(found) > 1 else {}
        yield Proposal("merge", merge["name"], f"{' + '.join(merge['classes'])} -> {merge['name']}", moves)


def _splitting(taxonomy: "Taxonomy", advice: Mapping[str, Any]) -> Iterator[Proposal]:
    for split in advice["splits"]:
        name, parts = split["class_name"], split["parts"]
        same = all(taxonomy.class_or_none(model) == name for models in parts.values() for model in models)
        moves = {model: part for part, models in parts.items() for model in models if part != name} if same else {}
        yield Proposal("split", name, f"{name} -> {' + '.join(parts)}", moves)


def _work(session: Session, judged: Manifest, data: Manifest) -> Work:
    from carpipe.evaluation import confusion, tell_apart

    settings = {
        "alpha": confusion.ALPHA,
        "confidence": confusion.CONFIDENCE,
        "least": confusion.LEAST,
        "apart": tell_apart.APART,
        "min_photos": session.config.classes.min_photos,
    }
    return Work(results.ADVICE, VERSION, judged.partition, settings, (judged.key, *content_of(data)))


def _advise(session: Session, judged: Manifest, data: Manifest) -> "Advice":
    from carpipe.evaluation import advice
    from carpipe.evaluation.tell_apart import tell_all, worth_asking
    from carpipe.evaluation.unseen import gather
    from carpipe.photos import CORRECTED, counted_models

    columns = ["key", "vehicle", "listing_uuid", "model", "class_name", "split", "dropped"]
    photos = results.read_photos(session.store, data, columns=columns, also=CORRECTED)
    photos = photos.assign(model=counted_models(photos))
    # A photo that was overwritten has two rows, the old one dropped.
    photos = photos[photos["dropped"].isna() & photos["split"].notna()]
    parts = [_with_cars(part, photos) for part in _kept_answers(session, judged)]
    unseen = gather(parts)
    groups = photos.groupby(["model", "class_name"])
    dataset = groups.agg(photos=("key", "size"), listings=("listing_uuid", "nunique")).reset_index()
    merges = advice.advise_merges(unseen, dataset)
    merged = {name for merge in merges for name in merge.classes}
    asked = [name for name in worth_asking(unseen.photos) if name not in merged]
    told = tell_all(unseen, parts, asked)
    splits = advice.advise_splits(told, unseen, dataset, min_photos=session.config.classes.min_photos)
    looked_at = advice.count_looked_at(unseen, asked=asked, merged=merged)
    return advice.Advice(len(unseen.photos), len(unseen.cars), merges, splits, looked_at)


def _kept_answers(session: Session, judged: Manifest) -> Iterator["TopAnswers"]:
    """Of the validation and the test photos; of an evaluation that kept only the likeliest class, of the latter."""
    import numpy as np

    from carpipe.evaluation.top_answers import TopAnswers, from_parquet
    from carpipe.photos import from_parquet as read_table

    kept = [name for name in TOP_ANSWERS.values() if name in judged.files]
    for name in kept:
        yield from_parquet(manifest.read_file(session.store, judged, name))
    if not kept:
        table = read_table(manifest.read_file(session.store, judged, PREDICTIONS))
        classes = tuple(judged.extra["classes"])
        numbers = {name: number for number, name in enumerate(classes)}
        if not table["answer"].isin(classes).all():
            raise InputError(f"{judged.key} has answers that are none of its classes: evaluate the model again.")
        answers = table["answer"].map(numbers).to_numpy(np.uint16)[:, None]
        scores = table["score"].to_numpy(np.float16)[:, None]
        yield TopAnswers(table[["key", "class_name"]], answers, scores, np.full(len(table), np.nan), classes)


def _with_cars(part: "TopAnswers", photos: "pd.DataFrame") -> "TopAnswers":
    """The answers with `vehicle` and `model` of each photo, as the dataset has them."""
    rows = photos.set_index("key")[["vehicle", "model"]].reindex(part.photos["key"])
    if rows["vehicle"].isna().any():
        lost = part.photos["key"][rows["vehicle"].isna().to_numpy()]
        raise InputError(f"The dataset lacks {len(lost)} photos that the evaluation answered, such as {lost.iloc[0]}.")
    return replace(part, photos=part.photos.assign(vehicle=rows["vehicle"].to_numpy(), model=rows["model"].to_numpy()))
