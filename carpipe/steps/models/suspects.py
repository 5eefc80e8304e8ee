"""Suspects: which listings of a dataset are probably in the wrong class, by models that were not trained on them.

Two kinds of answers are there for nothing: those of the newest evaluation on its validation and test photos, and those
of live models on listings that were newer than they. Nothing is asked anew, so this needs no GPU. It is a result of
its own: people look at it, and nothing else is made of it.
"""

import io
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset, list_manifests
from carpipe.steps.models.class_names import class_map
from carpipe.steps.models.evaluate import TOP_ANSWERS
from carpipe.steps.models.score import read_scores
from carpipe.steps.models.seen import trained_on
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.listing_answers import Source
    from carpipe.evaluation.suspects import Suspects
    from carpipe.evaluation.top_answers import TopAnswers

log = logging.getLogger(__name__)

VERSION = 1
TABLE = "suspects.parquet"
COLUMNS = ("key", "listing_uuid", "vehicle", "class_name", "partition", "dropped")
EVALUATION, SCORE = "evaluation", "score"


@dataclass(frozen=True)
class Asked:
    """What one model answered, and where that is kept.

    Attributes:
        kind: `evaluation`: on its validation and test photos; `score`: on listings that came after it.
        model: manifest key of the model, or of the training that was evaluated.
        results: manifest keys of the answers.
    """

    kind: str
    model: str
    results: tuple[str, ...]


def suspects(session: Session, dataset: str | None = None, *, settled: Collection[str] = ()) -> Manifest:
    """Commit which listings of a dataset are probably in the wrong class.

    A listing is judged by one model that was trained neither on it nor on another listing of its car: by the newest
    evaluation, else by the newest of the live models that were asked about it when it came.

    Args:
        dataset: id or manifest key; None: the newest.
        settled: uuids of listings that somebody has said something about; they are not in the list.

    Raises:
        InputError: there is no dataset, or no model has answered any of its listings.
    """
    data = find_dataset(session, dataset)
    asked = find_answers(session, data)
    work = suspects_work(data, asked, settled=settled)
    if done := manifest.find(session.store, work):
        return reused(done)
    from carpipe.evaluation.suspects import find_suspects

    started = time.monotonic()
    photos = results.read_photos(session.store, data, columns=list(COLUMNS))
    sources = [*_sources(session, data, photos, asked)]
    counted = photos[photos["dropped"].isna()]
    found = find_suspects(counted, sources, classes=data.extra["classes"], settled=settled)
    if not found.judged:
        raise _nobody(data)
    seconds = round(time.monotonic() - started, 3)
    counts = {"in": sum(found.judged.values()), "suspects": len(found.table)}
    log.info("suspects: %d of %d listings that were judged, %.1f s", counts["suspects"], counts["in"], seconds)
    return session.commit(
        work, _files(found, asked), counts=counts, seconds=seconds, extra={"dataset": data.key, "apart": found.apart}
    )


def suspects_work(data: Manifest, asked: Sequence[Asked], *, settled: Collection[str]) -> Work:
    """What `suspects` does with a dataset and the answers on it."""
    settings = {"settled": manifest.digest(sorted(settled))} if settled else {}
    answers = (key for one in asked for key in one.results)
    return Work(results.SUSPECTS, VERSION, results.WHOLE, settings, (data.key, *answers))


def find_answers(session: Session, data: Manifest) -> list[Asked]:
    """The answers that a dataset's listings can be judged by, in the order in which they are asked.

    Raises:
        InputError: there are none.
    """
    found = [*_newest_evaluation(session), *asked_when_new(session, data)]
    if not found:
        raise _nobody(data)
    return found


def _nobody(data: Manifest) -> InputError:
    return InputError(
        f"No model has answered a listing of {data.key} that it was not trained on. Train and evaluate one first: run "
        "`retrain_classifier`, or `carpipe run`. Evaluations of carpipe 0.1.0 did not keep their answers."
    )


def _newest_evaluation(session: Session) -> Iterator[Asked]:
    for _, done in manifest.newest_first(session.store, list_manifests(session, "stages/evaluate/classifier")):
        if done and {*TOP_ANSWERS.values()} <= {*done.files} and {"trained", "dataset"} <= {*done.extra}:
            yield Asked(EVALUATION, done.extra["trained"], (done.key,))
            return


def asked_when_new(session: Session, data: Manifest) -> Iterator[Asked]:
    """Answers of live models on partitions of the dataset, the newest model first."""
    photos = results.read_photos(session.store, data, columns=["partition"])
    there = set(photos["partition"].dropna())
    infos = [info for info in session.store.list_usable(f"stages/{results.SCORE}") if info.key.count("/") == 4]
    infos = [info for info in infos if info.key.endswith("/manifest.json") and info.key.split("/")[2] in there]
    by_model: dict[str, list[str]] = {}
    for _, done in manifest.newest_first(session.store, infos):
        if done:
            by_model.setdefault(done.inputs[0], []).append(done.key)
    return (Asked(SCORE, model, tuple(sorted(keys))) for model, keys in by_model.items())


def _sources(session: Session, data: Manifest, photos: "pd.DataFrame", asked: Sequence[Asked]) -> "Iterator[Source]":
    """What can be used of the answers. Where nobody can say what a model was trained on, it is not asked."""
    from carpipe.evaluation.listing_answers import Source
    from carpipe.evaluation.top_answers import take

    for one in asked:
        try:
            top, trained, named = _read_answers(session, one)
            usable = _unseen(photos, trained_on(session, trained))
            became = class_map(session, named, data)
        except (MissingError, InputError, KeyError) as error:
            log.warning("The answers of %s are not used: %s", one.model, error)
            continue
        pairs = usable.set_index(["key", "partition"]).index
        mine = top.photos.set_index(["key", "partition"]).index.isin(pairs)
        yield Source(one.model, take(top, mine & ~top.photos["key"].duplicated().to_numpy()), became)


def _read_answers(session: Session, asked: Asked) -> "tuple[TopAnswers, Manifest, Manifest]":
    """Answers, with `key` and `partition`; the training; and who says how classes were named then."""
    from dataclasses import replace

    from carpipe.evaluation.top_answers import from_parquet, join

    store = session.store
    done = [manifest.read(store, key) for key in asked.results]
    if asked.kind == SCORE:
        tops = []
        for one in done:
            top = read_scores(session, one)
            tops.append(replace(top, photos=top.photos.assign(partition=one.partition)))
        model = manifest.read(store, asked.model)
        return join(tops), manifest.read(store, model.extra["trained"]), model
    top = join([from_parquet(manifest.read_file(store, done[0], name)) for name in TOP_ANSWERS.values()])
    then = manifest.read(store, done[0].extra["dataset"])
    # By partition too: a photo that was overwritten since is another picture.
    known = results.read_photos(store, then, columns=["key", "partition", "dropped"])
    known = known[known["dropped"].isna()][["key", "partition"]]
    top = replace(top, photos=top.photos.merge(known, on="key", how="left", validate="many_to_one"))
    return top, manifest.read(store, asked.model), then


def _unseen(photos: "pd.DataFrame", keys: "pd.Series[str]") -> "pd.DataFrame":
    """The photos that count and are of no listing and no car of which a photo is among the keys."""
    seen = photos["key"].isin(keys)
    known = photos["vehicle"].isin(photos.loc[seen, "vehicle"].dropna())
    known |= photos["listing_uuid"].isin(photos.loc[seen, "listing_uuid"].dropna())
    return photos[photos["dropped"].isna() & ~known]


def _files(found: "Suspects", asked: Sequence[Asked]) -> dict[str, bytes]:
    sink = io.BytesIO()
    found.table.to_parquet(sink, index=False, compression="zstd")
    sources: list[dict[str, Any]] = [
        {"kind": one.kind, "model": one.model, "listings": found.judged.get(one.model, 0)} for one in asked
    ]
    body = {
        "judged": sum(found.judged.values()),
        "apart": found.apart,
        "sources": [one for one in sources if one["listings"]],
        # All of the table: a listing that is to be forgotten is found here.
        "suspects": found.table.to_dict("records"),
    }
    return {TABLE: sink.getvalue(), results.SUSPECTED: results.to_json(body)}
