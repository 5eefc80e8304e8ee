"""Validate: the gate that bad data does not pass, and what people read about it: Data Docs and report."""

import io
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import ValidationError
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.data.cost import NIGHT, cost_since
from carpipe.steps.data.dataset import dataset_work
from carpipe.steps.data.datasets import newest_datasets
from carpipe.steps.data.report import build_report, lineage_of
from carpipe.steps.data.taxonomy import read_taxonomy
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.validation.validate import Limits, Verdict

log = logging.getLogger(__name__)

REPORT_PAGE, DOCS_PAGE = "Dataset report", "Data Docs"
# Where people read a page of the validation under a manifest key: the key, and the name of the page.
Page = Callable[[str, str], str]


def validate(session: Session, splitted: str, *, at: str, page: Page | None = None) -> Manifest:
    """Hold the dataset against its expectations; writes Data Docs and report, also when it fails.

    The dataset before it is what the funnel must not drift from; it is no input, so judging the same data again is
    a no-op, whatever was made in between.

    Args:
        splitted: manifest key of the photo table after `split`.
        at: now, UTC, `YYYYmmddTHHMMSSZ` or ISO 8601, for the report.
        page: makes links to report and Data Docs; None: they are told of by their keys.

    Raises:
        ValidationError: an expectation is not met; says which, and where the report is.
    """
    work, page = validate_work(session, splitted), page or _key
    if done := manifest.find(session.store, work):
        reused(done)
    else:
        done = _judge(session, work, manifest.read(session.store, splitted), at=at, page=page)
    for name in (REPORT_PAGE, DOCS_PAGE):
        log.info("%s: %s", name, page(done.key, name))
    return done


def _key(validation: str, name: str) -> str:
    """Of a page, in the bucket."""
    folder = validation.rpartition("/")[0]
    return f"{folder}/{results.REPORT if name == REPORT_PAGE else 'data_docs/index.html'}"


def validate_work(session: Session, splitted: str) -> Work:
    """What `validate` does: it holds the stages before to what they were asked to do."""
    from carpipe.validation import VERSION

    settings = {**session.config.validation.decisive(), **_asked_of_stages(session)}
    return Work("validate", VERSION, "all", settings, (splitted,))


def _asked_of_stages(session: Session) -> dict[str, Any]:
    """What the stages before were asked to do."""
    return {
        "shares": [getattr(session.config.split, name) for name in ("train", "val", "test")],
        "min_photos": session.config.classes.min_photos,
        "max_photos": session.config.classes.max_photos,
        "threshold": session.config.filter.threshold,
    }


def _judge(session: Session, work: Work, source: Manifest, *, at: str, page: Page) -> Manifest:
    from carpipe.stages.funnel import funnel
    from carpipe.validation.validate import validate_tables

    started = time.monotonic()
    photos = results.read_photos(session.store, source)
    tables = _tables(session, source, photos)
    # Nobody asks for them from here on, and they take room.
    photos = photos.drop(columns=["photo_uuid", "dhash", "dhash_inner", "sha256"])
    entries = funnel(photos)
    previous, compared = _earlier_datasets(session, source)
    with tempfile.TemporaryDirectory(prefix="carpipe-validate-") as folder:
        verdict = validate_tables(
            tables,
            classes=_classes(session, source, photos),
            limits=_limits(session, entries, compared),
            folder=Path(folder),
        )
        docs = dict(_upload_docs(session, verdict.docs, f"{work.prefix}/data_docs"))
    lineage = lineage_of(session, source)
    report = build_report(
        session, source, photos, entries, verdict, lineage=lineage,
        dataset=dataset_work(source.key, work.key).fingerprint, at=at, previous=previous,
    )  # fmt: skip
    if not verdict.success:
        session.store.put(_key(work.key, REPORT_PAGE), report.encode())
        raise _refusal(work, verdict, page)
    files = {
        results.FUNNEL: _json(entries),
        results.VALIDATION: _json(verdict.report),
        results.REPORT: report.encode(),
    }
    log.info("validate: %d photos are left, and all %d expectations are met", entries[-1]["kept"], verdict.expectations)
    counts = {"in": len(photos), "expectations": verdict.expectations}
    spent = asdict(cost_since(chain.from_iterable(lineage.values()), previous))
    extra = {"docs": docs, "previous": previous.key if previous else "", NIGHT: spent}
    seconds = round(time.monotonic() - started, 3)
    return session.commit(work, files, counts=counts, seconds=seconds, extra=extra)


def _earlier_datasets(session: Session, source: Manifest) -> tuple[Manifest | None, Manifest | None]:
    """The newest dataset of other photos, and the one that the funnel must not drift from."""
    datasets = list(newest_datasets(session))
    previous = next((done for done in datasets if done.inputs[0] != source.key), None)
    # What has become a dataset once was accepted; else a change that was wanted would be refused night after night.
    return previous, next((done for done in datasets if done.inputs[0] == source.key), previous)


def _refusal(work: Work, verdict: "Verdict", page: Page) -> ValidationError:
    """The error that stops the run. Nothing is committed: the same data is judged anew when somebody tries again."""
    failed = "\n- ".join(verdict.failed)
    broken = "1 expectation" if len(verdict.failed) == 1 else f"{len(verdict.failed)} expectations"
    return ValidationError(
        f"The dataset broke {broken} of {verdict.expectations}:\n- {failed}\n"
        f"{REPORT_PAGE}: {page(work.key, REPORT_PAGE)}\n"
        f"{DOCS_PAGE}: {page(work.key, DOCS_PAGE)}\n"
        f"`carpipe report <folder> --validation {work.fingerprint}` fetches and opens them."
    )


def _limits(session: Session, funnel: list[dict[str, Any]], previous: Manifest | None) -> "Limits":
    from carpipe.validation.validate import Limits

    before = manifest.read_json(session.store, previous, results.FUNNEL) if previous else None
    asked = _asked_of_stages(session)
    return Limits(
        **{**session.config.validation.model_dump(), **asked, "shares": tuple(asked["shares"])},
        funnel=tuple(funnel),
        previous_funnel=tuple(before) if before else None,
    )


def _tables(session: Session, source: Manifest, photos: "pd.DataFrame") -> dict[str, "pd.DataFrame"]:
    """The tables as they were written, and those that they are held against."""
    import pandas as pd

    from carpipe.photos import SPLITS, counted_models
    from carpipe.spreadsheet import plain
    from carpipe.validation.joins import AUDIT_COLUMNS, PHOTO_COLUMNS

    written = {name: manifest.read_file(session.store, source, f"table_for_{name}.csv") for name in SPLITS}
    tables = {
        name: pd.read_csv(io.BytesIO(data), converters=dict.fromkeys(("car_model", "class_name", "vehicle"), plain))
        for name, data in written.items()
    }
    # Limits hold for the model that a photo counts with.
    photos = photos.assign(model=counted_models(photos))
    audit = photos.loc[photos["dropped"].isna(), list(AUDIT_COLUMNS)].reset_index(drop=True)
    return {**tables, "audit": audit, "photos": photos[list(PHOTO_COLUMNS)]}


def _classes(session: Session, source: Manifest, photos: "pd.DataFrame") -> list[str]:
    """What the taxonomy makes of the models in the dataset, corrected ones as people say."""
    from carpipe.photos import counted_models

    taxonomy = read_taxonomy(session, source)
    found = {taxonomy.class_of(model) for model in counted_models(photos)[photos["dropped"].isna()].unique()}
    return sorted(name for name in found if name)


def _upload_docs(session: Session, docs: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """Data Docs to the bucket, the start page last; yields (name, key)."""
    paths = [path for path in sorted(docs.rglob("*")) if path.is_file()]
    for path in sorted(paths, key=lambda path: path == docs / "index.html"):
        name = path.relative_to(docs).as_posix()
        session.store.put(f"{prefix}/{name}", path.read_bytes())
        yield name, f"{prefix}/{name}"


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, default=str).encode()
