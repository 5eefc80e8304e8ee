"""Validate: the gate that bad data does not pass, and what people read about it: Data Docs and report."""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import ValidationError
from carpipe.manifest import Manifest, Work
from carpipe.steps import artefacts
from carpipe.steps.pack import dataset_work
from carpipe.steps.report import build_report
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.steps.summary import newest_datasets

if TYPE_CHECKING:
    import pandas as pd

AUDIT_COLUMNS = [
    "key", "sha256", "listing_uuid", "model", "vehicle", "class_name", "split",
    "p_car", "box", "box_score", "width", "height",
]  # fmt: skip


def validate(session: Session, splitted: str, *, at: str) -> Manifest:
    """Hold the dataset against its expectations; writes Data Docs and report, also when it fails.

    The dataset before it is what the funnel must not drift from; it is no input, so judging the same data again is
    a no-op, whatever was made in between.

    Args:
        splitted: manifest key of the photo table after `split`.
        at: now, UTC, `YYYYmmddTHHMMSSZ` or ISO 8601, for the report.

    Raises:
        ValidationError: an expectation is not met; says which, and where the report is.
    """
    source = manifest.read(session.store, splitted)
    work = validate_work(session, splitted)
    done = manifest.find(session.store, work)
    if done:
        reused(done)
    else:
        done = _judge(session, work, source, at=at)
    if not done.extra["success"]:
        failed = "\n- ".join(done.extra["failed"])
        raise ValidationError(
            f"The dataset broke {len(done.extra['failed'])} expectations:\n- {failed}\n"
            f"See {done.files[artefacts.REPORT]['key']} and {done.extra['docs']['index.html']}."
        )
    return done


def validate_work(session: Session, splitted: str) -> Work:
    """What `validate` does: it holds the stages before to what they were asked to do."""
    from carpipe.quality import VERSION

    settings = {
        **session.config.validation.model_dump(),
        "shares": [getattr(session.config.split, name) for name in ("train", "val", "test")],
        "min_photos": session.config.classes.min_photos,
        "max_photos": session.config.classes.max_photos,
        "threshold": session.config.filter.threshold,
    }
    return Work("validate", VERSION, "all", settings, (splitted,))


def _judge(session: Session, work: Work, source: Manifest, *, at: str) -> Manifest:
    from carpipe.quality.validate import validate_tables
    from carpipe.stages.funnel import funnel

    started = time.monotonic()
    photos = artefacts.read_photos(session.store, source)
    entries = funnel(photos)
    previous = next((done for done in newest_datasets(session) if done.inputs[0] != source.key), None)
    limits = _limits(session, work, entries, previous)
    with tempfile.TemporaryDirectory(prefix="carpipe-validate-") as folder:
        verdict = validate_tables(_tables(photos), classes=_classes(photos), limits=limits, folder=Path(folder))
        docs = dict(_upload_docs(session, verdict.docs, f"{work.prefix}/data_docs"))
    page = build_report(
        session, source, photos, entries, verdict, dataset=dataset_work(source.key, work.key).fingerprint, at=at,
        previous=previous,
    )  # fmt: skip
    files = {
        artefacts.FUNNEL: _json(entries),
        artefacts.VALIDATION: _json(verdict.report),
        artefacts.REPORT: page.encode(),
    }
    return manifest.commit(
        session.store,
        work,
        files,
        counts={"in": len(photos), "expectations": verdict.expectations},
        seconds=round(time.monotonic() - started, 3),
        extra={
            "success": verdict.success,
            "failed": list(verdict.failed),
            "docs": docs,
            "previous": previous.key if previous else "",
        },
    )


def _limits(session: Session, work: Work, funnel: list[dict[str, Any]], previous: Manifest | None) -> Any:
    from carpipe.quality.validate import Limits

    before = json.loads(manifest.read_file(session.store, previous, artefacts.FUNNEL)) if previous else None
    return Limits(
        **{**work.config, "shares": tuple(work.config["shares"])},
        funnel=tuple(funnel),
        previous_funnel=tuple(before) if before else None,
    )


def _tables(photos: "pd.DataFrame") -> dict[str, "pd.DataFrame"]:
    from carpipe.photos import kept
    from carpipe.stages.split import tables

    audit = kept(photos)[AUDIT_COLUMNS].reset_index(drop=True)
    return {**tables(photos), "audit": audit, "photos": photos}


def _classes(photos: "pd.DataFrame") -> list[str]:
    from carpipe.photos import kept

    return sorted(kept(photos)["class_name"].unique())


def _upload_docs(session: Session, docs: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """Data Docs to the bucket, the start page last; yields (name, key)."""
    paths = [path for path in sorted(docs.rglob("*")) if path.is_file()]
    for path in sorted(paths, key=lambda path: path == docs / "index.html"):
        name = path.relative_to(docs).as_posix()
        session.store.put(f"{prefix}/{name}", path.read_bytes())
        yield name, f"{prefix}/{name}"


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, default=str).encode()
