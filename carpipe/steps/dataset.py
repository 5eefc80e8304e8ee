"""Steps over all partitions: identify, classes, split, validate, pack, and the dataset they end in."""

import json
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import ValidationError
from carpipe.manifest import Manifest, Work
from carpipe.steps import artefacts
from carpipe.steps.partition import commit_photos, reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

TAXONOMY = "taxonomy.yaml"
FUNNEL = "funnel.json"


def identify(session: Session, crops: Sequence[str]) -> Manifest:
    """Put the partitions together and say which photos show the same car.

    Args:
        crops: manifest keys of all partitions after `crop`, oldest partition first.
    """
    import pandas as pd

    from carpipe.stages import identify as stage

    config = session.config.identify
    work = Work(stage.STAGE, stage.VERSION, "all", config.model_dump(), tuple(crops))
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    parts = [manifest.read(session.store, key) for key in crops]
    before = pd.concat(
        [artefacts.read_photos(session.store, part).assign(partition=part.partition) for part in parts],
        ignore_index=True,
    )
    after = stage.identify(before, config=config)
    return commit_photos(session, work, before, after, started=started)


def classes(session: Session, identified: str) -> Manifest:
    """Give every photo its class by the taxonomy; drops erased, rare and surplus ones."""
    from carpipe.stages import classes as stage
    from carpipe.stages.taxonomy import load

    config = session.config.classes
    taxonomy = load(config.taxonomy)
    settings = config.model_dump(exclude={"taxonomy"}) | {"taxonomy": taxonomy.sha256}
    work = Work("classes", stage.VERSION, "all", settings, (identified,))
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    before = artefacts.read_photos(session.store, manifest.read(session.store, identified))
    after = stage.assign_classes(before, taxonomy, min_photos=config.min_photos, max_photos=config.max_photos)
    files = {TAXONOMY: taxonomy.to_yaml().encode()}
    return commit_photos(session, work, before, after, files=files, started=started)


def split(session: Session, classed: str) -> Manifest:
    """Put every vehicle into train, val or test; writes the three tables."""
    from carpipe.stages import split as stage

    config = session.config.split
    work = Work(stage.STAGE, stage.VERSION, "all", config.model_dump(), (classed,))
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    source = manifest.read(session.store, classed)
    before = artefacts.read_photos(session.store, source)
    after = stage.split(before, config=config)
    files = {f"table_for_{name}.csv": table.to_csv(index=False).encode() for name, table in stage.tables(after).items()}
    files[TAXONOMY] = manifest.read_file(session.store, source, TAXONOMY)
    return commit_photos(session, work, before, after, files=files, started=started)


def validate(session: Session, splitted: str) -> Manifest:
    """Hold the split tables against their expectations; writes Data Docs, also when it fails.

    Raises:
        ValidationError: an expectation is not met; says which, and where the Data Docs are.
    """
    from carpipe.quality import validate as quality

    work = Work("validate", quality.VERSION, "all", {}, (splitted,))
    done = manifest.find(session.store, work)
    if done:
        reused(done)
    else:
        started = time.monotonic()
        photos = artefacts.read_photos(session.store, manifest.read(session.store, splitted))
        with tempfile.TemporaryDirectory(prefix="carpipe-validate-") as folder:
            verdict = _judge(photos, Path(folder))
            docs = dict(_upload_docs(session, verdict.docs, f"{work.prefix}/data_docs"))
        report = json.dumps(verdict.report, indent=1, default=str).encode()
        extra = {"success": verdict.success, "failed": list(verdict.failed), "docs": docs}
        done = manifest.commit(
            session.store, work, {"validation.json": report}, counts={"expectations": verdict.expectations},
            seconds=round(time.monotonic() - started, 3), extra=extra,
        )  # fmt: skip
    if not done.extra["success"]:
        docs_key = f"{work.prefix}/data_docs/index.html"
        raise ValidationError(f"The dataset broke its expectations: {'; '.join(done.extra['failed'])} See {docs_key}.")
    return done


def pack(session: Session, splitted: str, cropped: str) -> Manifest:
    """Write one partition's crops as shuffled TFRecord shards, one per split.

    The result depends on this partition's rows only, so a new night packs again only what changed.

    Args:
        splitted: manifest key of the dataset's photo table after `split`.
        cropped: manifest key of the partition after `crop`.
    """
    from carpipe.photos import SPLITS, blobs_from_parquet
    from carpipe.stages import pack as stage

    source = manifest.read(session.store, cropped)
    photos = artefacts.read_photos(
        session.store,
        manifest.read(session.store, splitted),
        columns=["key", "class_name", "split", "dropped"],
        partition=source.partition,
    )
    rows = stage.rows_of(photos)
    crops = source.files["crops.parquet"]
    content = {"rows": manifest.digest(rows), "crops": crops["sha256"]}
    work = Work("pack", stage.VERSION, source.partition, content, ())
    if done := manifest.find(session.store, work):
        return reused(done)
    from carpipe.training.data import write_shard

    started = time.monotonic()
    jpegs = dict(blobs_from_parquet(manifest.verified(session.store, crops)))
    files, counts = {}, {}
    with tempfile.TemporaryDirectory(prefix="carpipe-pack-") as folder:
        for name in SPLITS:
            path = Path(folder) / f"{name}.tfrecord"
            records = ((key, label, jpegs[key]) for key, label in stage.shuffled(rows, name))
            counts[name] = write_shard(path, records)
            if counts[name]:
                files[path.name] = path.read_bytes()
    return manifest.commit(
        session.store,
        work,
        files,
        counts={"in": len(rows), **counts},
        seconds=round(time.monotonic() - started, 3),
        bytes_read=crops["bytes"],
    )


def dataset(session: Session, splitted: str, validated: str, packed: Sequence[str]) -> Manifest:
    """Commit `datasets/<id>/`: table, CSVs, taxonomy, funnel, Data Docs' address, and the list of shards."""
    from carpipe import photos as table
    from carpipe.stages.funnel import funnel

    work = Work("dataset", 1, "all", {}, (splitted, validated, *packed), home="datasets")
    if done := manifest.find(session.store, work):
        return reused(done)
    source = manifest.read(session.store, splitted)
    photos = artefacts.read_photos(session.store, source)
    alive = table.kept(photos)
    files = {name: manifest.read_file(session.store, source, name) for name in source.files}
    files[FUNNEL] = json.dumps(funnel(photos), indent=1).encode()
    files |= _docs_of(session, manifest.read(session.store, validated))
    extra = {
        "classes": sorted(alive["class_name"].unique()),
        "splits": {name: int(n) for name, n in alive["split"].value_counts().items()},
        "vehicles": int(alive["vehicle"].nunique()),
        "shards": list(_shards(session, packed)),
        "crop": _crop_policy(session, source),
    }
    counts = {"in": len(photos), "kept": len(alive)}
    return manifest.commit(session.store, work, files, counts=counts, extra=extra)


def _crop_policy(session: Session, splitted: Manifest) -> dict[str, Any]:
    """How the crops were cut: settings, and sha256 of the detector. One run cuts all partitions alike."""
    classed = manifest.read(session.store, splitted.inputs[0])
    identified = manifest.read(session.store, classed.inputs[0])
    cropped = manifest.read(session.store, identified.inputs[0])
    return {**cropped.config, "detector_sha256": cropped.weights["detector"]}


def _judge(photos: "pd.DataFrame", folder: Path) -> Any:
    from carpipe.photos import kept
    from carpipe.quality.validate import validate_tables
    from carpipe.stages.split import tables

    alive = kept(photos)
    audit = alive[["key", "sha256", "vehicle", "class_name", "split"]].reset_index(drop=True)
    names = sorted(alive["class_name"].unique())
    return validate_tables({**tables(photos), "audit": audit}, classes=names, folder=folder)


def _upload_docs(session: Session, docs: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """Data Docs to the bucket, the start page last; yields (name, key)."""
    paths = [path for path in sorted(docs.rglob("*")) if path.is_file()]
    for path in sorted(paths, key=lambda path: path == docs / "index.html"):
        name = path.relative_to(docs).as_posix()
        session.store.put(f"{prefix}/{name}", path.read_bytes())
        yield name, f"{prefix}/{name}"


def _docs_of(session: Session, validated: Manifest) -> dict[str, bytes]:
    docs = {f"data_docs/{name}": session.store.get(key) for name, key in validated.extra["docs"].items()}
    return docs | {"validation.json": manifest.read_file(session.store, validated, "validation.json")}


def _shards(session: Session, packed: Sequence[str]) -> Iterator[dict[str, Any]]:
    for key in packed:
        done = manifest.read(session.store, key)
        for name, entry in done.files.items():
            split = name.removesuffix(".tfrecord")
            yield {"split": split, "photos": done.counts[split], **entry}
