"""Pack: write a partition's crops as the shards that are trained on."""

import tempfile
import time
from pathlib import Path

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session


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
    photos = results.read_photos(
        session.store,
        manifest.read(session.store, splitted),
        columns=["key", "class_name", "split", "dropped"],
        partition=source.partition,
    )
    rows = stage.rows_of(photos)
    crops = source.files[results.CROPS]
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
