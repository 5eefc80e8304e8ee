"""Dataset: commit `datasets/<id>/`, in which all results end."""

from collections.abc import Iterator, Sequence
from typing import Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest, Work
from carpipe.steps import dataset_order, results
from carpipe.steps.data.detector_network import local_detector
from carpipe.steps.data.taxonomy import class_changes
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session


def dataset_work(splitted: str, validated: str) -> Work:
    """The dataset that a split and its validation end in: its id is known before the shards are written."""
    return Work("dataset", 3, "all", {}, (splitted, validated), home="datasets")


def dataset(session: Session, splitted: str, validated: str, packed: Sequence[str]) -> Manifest:
    """Commit `datasets/<id>/`: table, CSVs, taxonomy, funnel, report, Data Docs, detector, and the list of shards."""
    from carpipe import photos as table
    from carpipe.taxonomy.slug import slugs_of

    work = dataset_work(splitted, validated)
    if done := manifest.find(session.store, work):
        dataset_order.enter(session.store, done.key)  # whoever made it may have ended just before that
        return reused(done)
    source, judged = manifest.read(session.store, splitted), manifest.read(session.store, validated)
    photos = results.read_photos(session.store, source)
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
    done = session.commit(work, files, counts=counts, extra=extra)
    dataset_order.enter(session.store, done.key)
    return done


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
    with local_detector(session) as (path, found):
        if path is None or found.sha256 != sha256:
            source = session.config.crop.weights
            raise InputError(f"The detector {source} is not the one that cut this dataset's photos; run the DAG again.")
        if path.is_file():
            return {f"detector/{path.name}": path.read_bytes()}
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        return {f"detector/{path.name}/{file.relative_to(path).as_posix()}": file.read_bytes() for file in inside}


def _shards(session: Session, packed: Sequence[str]) -> Iterator[dict[str, Any]]:
    parts = manifest.read_many(session.store, packed)
    shards = [(done, name, entry) for done in parts for name, entry in done.files.items()]
    there = session.store.heads(entry["key"] for _, _, entry in shards)
    for (done, name, entry), found in zip(shards, there, strict=True):
        if found is None:
            raise MissingError(f"The shard {entry['key']} has gone since; clear `to_pack` and what follows.")
        split = name.removesuffix(".tfrecord")
        yield {"split": split, "photos": done.counts[split], **entry}
