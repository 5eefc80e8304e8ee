"""Pack: the shards that are trained on, and the dataset that all results end in."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest, Work
from carpipe.steps import artefacts
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.steps.taxonomy import class_changes


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
    crops = source.files[artefacts.CROPS]
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
            counts[name] = write_shard(path, ((key, label, jpegs[key]) for key, label in stage.shuffled(rows, name)))
            if counts[name]:
                files[path.name] = path.read_bytes()
    return session.commit(
        work,
        files,
        counts={"in": len(rows), **counts},
        seconds=round(time.monotonic() - started, 3),
        bytes_read=crops["bytes"],
    )


def dataset_work(splitted: str, validated: str) -> Work:
    """The dataset that a split and its validation end in: its id is known before the shards are written."""
    return Work("dataset", 3, "all", {}, (splitted, validated), home="datasets")


def dataset(session: Session, splitted: str, validated: str, packed: Sequence[str]) -> Manifest:
    """Commit `datasets/<id>/`: table, CSVs, taxonomy, funnel, report, Data Docs, detector, and the list of shards."""
    from carpipe import photos as table
    from carpipe.stages.taxonomy_slug import slugs_of

    work = dataset_work(splitted, validated)
    if done := manifest.find(session.store, work):
        return reused(done)
    source, judged = manifest.read(session.store, splitted), manifest.read(session.store, validated)
    photos = artefacts.read_photos(session.store, source)
    alive = table.kept(photos)
    files = {name: manifest.read_file(session.store, source, name) for name in source.files}
    files |= {name: manifest.read_file(session.store, judged, name) for name in judged.files}
    files |= {f"data_docs/{name}": session.store.get(key) for name, key in judged.extra["docs"].items()}
    policy = _crop_policy(session, source)
    files |= _detector_files(session, policy["detector_sha256"])
    classes = sorted(alive["class_name"].unique())
    extra = {
        "classes": classes,
        "slugs": slugs_of(classes),
        "splits": {name: int(n) for name, n in alive["split"].value_counts().items()},
        "vehicles": int(alive["vehicle"].nunique()),
        "packed": list(packed),
        "shards": list(_shards(session, packed)),
        "crop": policy,
        "ledger": source.extra["ledger"],
        "previous": judged.extra["previous"],
        "class_changes": class_changes(session, judged.extra["previous"], source),
    }
    counts = {"in": len(photos), "kept": len(alive)}
    return session.commit(work, files, counts=counts, extra=extra)


def _crop_policy(session: Session, splitted: Manifest) -> dict[str, Any]:
    """How the crops were cut: settings, and sha256 of the detector. One run cuts all partitions alike."""
    classed = manifest.read(session.store, splitted.inputs[0])
    identified = manifest.read(session.store, classed.inputs[0])
    cropped = manifest.read(session.store, identified.inputs[0])
    return {**cropped.config, "detector_sha256": cropped.weights["detector"]}


def _detector_files(session: Session, sha256: str) -> dict[str, bytes]:
    """The detector that cut the crops, as `detector/<name>`: who uses the weights must cut photos alike.

    Raises:
        InputError: the configured detector is another one by now.
    """
    source = session.config.crop.weights
    with artefacts.local_weights(session.store, source) as (path, found):
        if found != sha256:
            raise InputError(f"The detector {source} is not the one that cut this dataset's photos; run the DAG again.")
        if path.is_file():
            return {f"detector/{path.name}": path.read_bytes()}
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        return {f"detector/{path.name}/{file.relative_to(path).as_posix()}": file.read_bytes() for file in inside}


def _shards(session: Session, packed: Sequence[str]) -> Iterator[dict[str, Any]]:
    for key in packed:
        done = manifest.read(session.store, key)
        for name, entry in done.files.items():
            if session.store.head(entry["key"]) is None:
                raise MissingError(f"The shard {entry['key']} has gone; delete {done.key} and run `pack` again.")
            split = name.removesuffix(".tfrecord")
            yield {"split": split, "photos": done.counts[split], **entry}
