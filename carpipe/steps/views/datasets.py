"""What the page Data and `carpipe datasets` show: the list, and one of them in full.

A dataset never changes, so all of it is computed once; its photo table, 1.6 million rows as it may be, is not kept.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.cost import dataset_cost
from carpipe.steps.data.datasets import dated_datasets
from carpipe.steps.session import Session
from carpipe.steps.views.costs import say_cost
from carpipe.steps.views.extra import check_shown
from carpipe.taxonomy.words import DROPPED

if TYPE_CHECKING:
    import pandas as pd

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
    class that people gave their listing, and `corrected_out` those that are out by what people say.
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
    corrected_out: int


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
    """A dataset by its id. Raises InputError where there is none."""
    try:
        return check_shown(cache.manifest(f"datasets/{dataset}/manifest.json"))
    except MissingError:
        raise InputError(f"There is no dataset {dataset} in {cache.session.store.url}.") from None


def show_dataset(cache: ResultCache, dataset: str) -> DatasetView:
    """A dataset by its id. Raises InputError where there is none."""
    done = find_dataset(cache, dataset)
    found: DatasetView = cache.get(("dataset view", done.key), lambda: _view(cache, done))
    return found


def photo_of(cache: ResultCache, dataset: str, row: int) -> str:
    """The key of a photo that the dataset's page shows, by its row of the photo table.

    Raises:
        InputError: the page does not show that row.
    """
    for reason in show_dataset(cache, dataset).reasons:
        if row in reason.examples:
            return reason.examples[row]
    raise InputError(f"Row {row} is none of the examples of dataset {dataset}.")


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


def _view(cache: ResultCache, done: Manifest) -> DatasetView:
    store = cache.session.store
    columns = ["key", "dropped", "dropped_by", "class_name", "split"]
    photos = results.read_photos(store, done, columns=columns, also=("corrected",))
    corrected, corrected_out = _corrected(photos)
    verdict: dict[str, Any] = manifest.read_json(store, done, results.VALIDATION)
    return DatasetView(
        id=done.key.split("/")[1],
        photos=done.counts["in"],
        kept=done.counts["kept"],
        vehicles=done.extra["vehicles"],
        splits=done.extra["splits"],
        funnel=manifest.read_json(store, done, results.FUNNEL),
        reasons=list(_reasons(photos)),
        classes=list(_classes(photos)),
        verdict={name: verdict[name] for name in ("success", "expectations", "failed")},
        documents=_documents(done),
        cost=say_cost(cache.session, done, dataset_cost),
        corrected=corrected,
        corrected_out=corrected_out,
    )


def _corrected(photos: "pd.DataFrame") -> tuple[int, int]:
    """Photos of listings that people have corrected: those in the dataset, and those that are out for it."""
    if "corrected" not in photos:  # nobody has corrected a listing
        return 0, 0
    said_out = int(photos["dropped"].isin([*DROPPED.values()]).sum())
    return int((photos["corrected"].notna() & photos["dropped"].isna()).sum()), said_out


def _reasons(photos: "pd.DataFrame") -> Iterator[Reason]:
    """Every reason with some photos at random, in the order of the stages."""
    from carpipe.stages.funnel import STAGES

    # Row numbers are what pictures are asked for by, so they are kept through the shuffle.
    out = photos.loc[photos["dropped"].notna(), ["dropped_by", "dropped"]]
    counts: dict[tuple[str, str], int] = Counter(zip(out["dropped_by"], out["dropped"], strict=True))
    chosen = out.sample(frac=1, random_state=SEED).groupby(["dropped_by", "dropped"]).head(EXAMPLES)
    # Stages that a later version has added come last.
    order = {stage: place for place, stage in enumerate(STAGES)}
    for stage, name in sorted(counts, key=lambda pair: (order.get(pair[0], len(order)), -counts[pair])):
        rows = chosen.index[(chosen["dropped_by"] == stage) & (chosen["dropped"] == name)]
        examples = {int(row): str(photos["key"].iloc[row]) for row in rows}
        number = counts[stage, name]
        yield Reason(stage, name, number, number / len(photos), examples)


def _classes(photos: "pd.DataFrame") -> Iterator[ClassRow]:
    """The classes, the largest first."""
    alive = photos[photos["dropped"].isna()]
    counts = alive.groupby(["class_name", "split"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=["train", "val", "test"], fill_value=0)
    order = counts.sum(axis=1).sort_values(ascending=False, kind="stable").index
    for name, row in zip(order, counts.loc[order].to_numpy().tolist(), strict=True):
        train, val, test = row
        yield ClassRow(str(name), train + val + test, train, val, test)


def _documents(done: Manifest) -> list[str]:
    return [name for name in done.files if name == results.REPORT or name.startswith("data_docs/")]
