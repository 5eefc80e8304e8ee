"""Pack: write a partition's crops as the shards that are trained on."""

import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.spent import Spent
from carpipe.steps import results
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    from carpipe.stages.pack import Row

log = logging.getLogger(__name__)

# Of the photo table, what decides what is in a shard.
COLUMNS = ["key", "class_name", "split", "dropped"]


@dataclass(frozen=True)
class Unpacked:
    """Which shards a dataset needs.

    Attributes:
        packed: manifest key of each partition's shards, there or to come, in the order of the partitions.
        to_do: manifest keys, after `crop`, of the partitions whose shards are not there.
    """

    packed: list[str]
    to_do: list[str]


def find_unpacked(session: Session, splitted: str) -> Unpacked:
    """The partitions whose rows have changed since they were packed, or never were.

    Args:
        splitted: manifest key of the dataset's photo table after `split`.
    """
    source = manifest.read(session.store, splitted)
    identified = manifest.read(session.store, manifest.read(session.store, source.inputs[0]).inputs[0])
    crops = manifest.read_many(session.store, identified.inputs)
    rows = _rows(session, source)
    works = [_work(done, rows.get(done.partition, [])) for done in crops]
    found = manifest.find_many(session.store, works)
    to_do = [done.key for done, there in zip(crops, found, strict=True) if not there]
    log.info("pack: %d of %d partitions are as they were packed", len(works) - len(to_do), len(works))
    return Unpacked([work.key for work in works], to_do)


def pack(session: Session, splitted: str, cropped: str) -> Manifest:
    """Write one partition's crops as shuffled TFRecord shards, one per split.

    The result depends on this partition's rows only, so a new night packs again only what changed.

    Args:
        splitted: manifest key of the dataset's photo table after `split`.
        cropped: manifest key of the partition after `crop`.
    """
    from carpipe.stages import pack as stage

    done = manifest.read(session.store, cropped)
    source = manifest.read(session.store, splitted)
    photos = results.read_photos(session.store, source, columns=COLUMNS, partition=done.partition)
    return _pack(session, done, stage.rows_of(photos))


def pack_many(session: Session, splitted: str, crops: Sequence[str]) -> Iterator[Manifest]:
    """As `pack`, of several partitions: the photo table, which holds all of them, is read once."""
    if len(crops) == 1:
        yield pack(session, splitted, crops[0])
        return
    source = manifest.read(session.store, splitted)
    rows = _rows(session, source)
    for done in manifest.read_many(session.store, crops):
        yield _pack(session, done, rows.get(done.partition, []))


def _rows(session: Session, splitted: Manifest) -> "dict[str, list[Row]]":
    """What a dataset keeps of each partition's photos."""
    from carpipe.stages import pack as stage

    return stage.rows_by_partition(results.read_photos(session.store, splitted, columns=["partition", *COLUMNS]))


def _pack(session: Session, cropped: Manifest, rows: "list[Row]") -> Manifest:
    from carpipe.photos import SPLITS, blobs_from_parquet
    from carpipe.stages import pack as stage

    work = _work(cropped, rows)
    if done := manifest.find(session.store, work):
        return reused(done)
    from carpipe.tfrecord import write_shard

    started, spent = time.monotonic(), Spent()
    crops = cropped.files[results.CROPS]
    with spent.on("fetching"):
        jpegs = dict(blobs_from_parquet(manifest.verified(session.store, crops)))
    files, counts = {}, {}
    with spent.on("encoding"), tempfile.TemporaryDirectory(prefix="carpipe-pack-") as folder:
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
        spent=spent,
    )


def _work(cropped: Manifest, rows: "list[Row]") -> Work:
    from carpipe.stages import pack as stage

    content = {"rows": manifest.digest(rows), "crops": cropped.files[results.CROPS]["sha256"]}
    return Work("pack", stage.VERSION, cropped.partition, content, ())
