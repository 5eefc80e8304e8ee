"""What the page Data and `carpipe datasets` show: the list, and one of them in full.

A dataset never changes, so all of it is computed once, from the index of its photos.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.called import Called, call_committed
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.reasons import STAGES
from carpipe.steps import dataset_order, results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.cost import dataset_cost
from carpipe.steps.data.datasets import dated_datasets
from carpipe.steps.session import Session
from carpipe.steps.short_ids import whole_id
from carpipe.steps.views.costs import say_cost
from carpipe.steps.views.extra import check_shown
from carpipe.steps.views.photos import read_rows
from carpipe.taxonomy.words import DROPPED

if TYPE_CHECKING:
    from carpipe.photo_index import PhotoIndex

log = logging.getLogger(__name__)

SHOWN = 30  # datasets in the list
EXAMPLES = 6  # photos of a reason
SEED = 20  # of the choice of examples


@dataclass(frozen=True)
class DatasetRow:
    """A line of the list. `made` is UTC."""

    id: str
    made: str
    photos: int
    kept: int
    vehicles: int
    classes: int


@dataclass(frozen=True)
class DatasetList:
    """The newest datasets, and how many of them only a newer carpipe understands."""

    rows: list[DatasetRow]
    newer: int


@dataclass(frozen=True)
class Reason:
    """Photos that a stage dropped for one reason; `examples` maps a row of the photo table to the photo's key."""

    stage: str
    name: str
    photos: int
    share: float
    examples: dict[int, str]


@dataclass(frozen=True)
class ClassRow:
    """Photos of a class by split."""

    name: str
    photos: int
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class DatasetView:
    """A dataset in full. `verdict` is what the validation found; `documents` are the pages that lie with it.

    `cost` says what it has cost; empty where that cannot be known any more. `corrected` are the photos that have the
    class that people gave their listing, and `corrected_out`, by reason, those that are out by what people say.
    """

    id: str
    photos: int
    kept: int
    vehicles: int
    splits: dict[str, int]
    funnel: list[dict[str, Any]]
    reasons: list[Reason]
    classes: list[ClassRow]
    verdict: dict[str, Any]
    documents: list[str]
    cost: str
    corrected: int
    corrected_out: Mapping[str, int]


def list_datasets(cache: ResultCache) -> DatasetList:
    """The newest datasets, the newest first."""
    rows, newer = [], 0
    for info in cache.manifests("datasets", most=SHOWN):
        try:
            done = check_shown(cache.manifest(info.key))
        except MissingError:  # deleted since
            continue
        except InputError:
            newer += 1
            continue
        rows.append(
            DatasetRow(
                id=info.key.split("/")[1],
                made=info.minute,
                photos=done.counts["in"],
                kept=done.counts["kept"],
                vehicles=done.extra["vehicles"],
                classes=len(done.extra["classes"]),
            )
        )
    return DatasetList(rows, newer)


def describe_datasets(session: Session) -> str:
    """A line of text per dataset, the newest first: when it was made (UTC), photos, vehicles, classes, manifest."""
    rows = [
        f"{at:%Y-%m-%d %H:%M} {sum(done.extra['splits'].values()):>9,} "
        f"{done.extra['vehicles']:>9,} {len(done.extra['classes']):>8,}   {done.key}"
        for at, done in _sound(dated_datasets(session))
    ]
    if not rows:
        raise InputError(f"There is no dataset in {session.store.url} yet; run `prepare_dataset`, or `carpipe run`.")
    return "\n".join([f"{'made (UTC)':<16} {'photos':>9} {'vehicles':>9} {'classes':>8}   manifest", *rows])


def _sound(dated: Iterable[tuple[datetime, Manifest]]) -> Iterator[tuple[datetime, Manifest]]:
    for at, done in dated:
        try:
            yield at, check_shown(done)
        except InputError as error:
            log.warning("%s", error)


def find_dataset(cache: ResultCache, dataset: str) -> Manifest:
    """A dataset by its id, or the first digits of that. Raises InputError where there is none."""
    dataset = whole_id(cache.session.store, dataset, dataset_order.HOME, what="dataset")
    try:
        return check_shown(cache.manifest(f"datasets/{dataset}/manifest.json"))
    except MissingError:
        raise InputError(f"There is no dataset {dataset} in {cache.session.store.url}.") from None


def find_or_newest(cache: ResultCache, dataset: str) -> Manifest | None:
    """A dataset by its id, or the newest that can be shown where it is empty; None where there is none yet."""
    return find_dataset(cache, dataset) if dataset else next(newest(cache), None)


def newest(cache: ResultCache, *, most: int = SHOWN) -> Iterator[Manifest]:
    """Datasets that can be shown, the newest first."""
    for info in cache.manifests("datasets", most=most):
        with contextlib.suppress(MissingError, InputError):  # deleted since, or made by a newer carpipe
            yield check_shown(cache.manifest(info.key))


def call_dataset(done: Manifest) -> Called:
    """What people call it."""
    return call_committed(done, done.counts["kept"])


def show_dataset(cache: ResultCache, done: Manifest, index: "PhotoIndex") -> DatasetView:
    """A dataset in full.

    Args:
        index: of its photos.
    """
    found: DatasetView = cache.get(("dataset view", done.key), lambda: _view(cache, done, index))
    return found


def read_document(cache: ResultCache, dataset: str, name: str) -> bytes:
    """The report, or a page of the Data Docs. Raises InputError where the dataset has no such page."""
    done = find_dataset(cache, dataset)
    if name not in _documents(done):
        raise InputError(f"Dataset {dataset} has no page {name}; it was made by an earlier version of carpipe.")
    return manifest.read_file(cache.session.store, done, name)


def read_verdict(cache: ResultCache, validation: str, name: str) -> bytes:
    """The report, or a page of the Data Docs, of a validation, also of one that failed and made no dataset.

    Raises:
        InputError: there is no such validation, or it has no such page.
    """
    store, prefix = cache.session.store, f"stages/validate/all/{validation}"
    with contextlib.suppress(MissingError):
        done = cache.manifest(f"{prefix}/manifest.json")
        if name in done.files:
            return manifest.read_file(store, done, name)
    # A failed one has no manifest, and Data Docs of either have plain names.
    if f"{prefix}/{name}" not in {info.key for info in store.list_objects(prefix)}:
        raise InputError(f"There is no page {name} of a validation {validation} in {store.url}.")
    return store.get(f"{prefix}/{name}")


def _view(cache: ResultCache, done: Manifest, index: "PhotoIndex") -> DatasetView:
    store = cache.session.store
    corrected, corrected_out = _corrected(index)
    verdict: dict[str, Any] = manifest.read_json(store, done, results.VALIDATION)
    return DatasetView(
        id=done.key.split("/")[1],
        photos=done.counts["in"],
        kept=done.counts["kept"],
        vehicles=done.extra["vehicles"],
        splits=done.extra["splits"],
        funnel=manifest.read_json(store, done, results.FUNNEL),
        reasons=list(_reasons(index)),
        classes=list(_classes(index)),
        verdict={name: verdict[name] for name in ("success", "expectations", "failed")},
        documents=_documents(done),
        cost=say_cost(cache.session, done, dataset_cost),
        corrected=corrected,
        corrected_out=corrected_out,
    )


def _corrected(index: "PhotoIndex") -> tuple[int, dict[str, int]]:
    """Photos of listings that people have corrected: those in the dataset, and those that are out for it."""
    (found,) = index.select("SELECT count(*) AS kept FROM photos WHERE corrected IS NOT NULL AND dropped IS NULL")
    query = "SELECT dropped, count(*) AS photos FROM photos WHERE list_contains(?, dropped) GROUP BY ALL ORDER BY ALL"
    left_out = index.select(query, [[*DROPPED.values()]])
    return found["kept"], {one["dropped"]: one["photos"] for one in left_out}


def _reasons(index: "PhotoIndex") -> Iterator[Reason]:
    """Every reason with some photos at random, in the order of the stages."""
    counts = index.select(
        "SELECT dropped_by, dropped, count(*) AS photos, arg_min(row, hash(row + ?), ?) AS examples FROM photos "
        "GROUP BY ALL",
        [SEED, EXAMPLES],
    )
    total = sum(one["photos"] for one in counts)
    out = [one for one in counts if one["dropped"] is not None]
    keys = {photo["row"]: photo["key"] for photo in read_rows(index, [row for one in out for row in one["examples"]])}
    # Stages that a later version has added come last.
    order = {stage: place for place, stage in enumerate(STAGES)}
    for one in sorted(out, key=lambda one: (order.get(one["dropped_by"], len(order)), -one["photos"], one["dropped"])):
        examples = {row: keys[row] for row in sorted(one["examples"])}
        yield Reason(one["dropped_by"], one["dropped"], one["photos"], one["photos"] / total, examples)


def _classes(index: "PhotoIndex") -> Iterator[ClassRow]:
    """The classes, the largest first."""
    counted = ", ".join(f"count_if(split = '{name}') AS {name}" for name in ("train", "val", "test"))
    query = f"SELECT class_name, count(*) AS photos, {counted} FROM photos WHERE dropped IS NULL "  # noqa: S608  # ours
    for one in index.select(f"{query} GROUP BY class_name ORDER BY photos DESC, class_name"):
        yield ClassRow(one["class_name"], one["photos"], one["train"], one["val"], one["test"])


def _documents(done: Manifest) -> list[str]:
    return [name for name in done.files if name == results.REPORT or name.startswith("data_docs/")]
