"""What steps commit and later ones start from: photo tables, blobs, shards, and the names of their files."""

import contextlib
import json
import logging
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.progress import UNSEEN, Progress
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo, Store

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# The stages that work on one partition, in their order.
STAGES = ("clean", "filter", "crop")
# Works on one partition too; nothing is made of what it says.
SCORE = "score"
# Works on a dataset, on demand: the curve is under `all`, its points under the model's name.
CURVE = "learning_curve"
WHOLE = "all"
CURVE_SHARES = (0.25, 0.5, 1.0)  # of the vehicles, unless somebody asks for others
# How two models differ, and which photos its page shows. Nothing is made of it, and it can be made anew.
COMPARISON, COMPARED = "comparison", "comparison.json"
# Listings that are probably in the wrong class, and which these are. The same holds.
SUSPECTS, SUSPECTED = "suspects", "suspects.json"
# Which names and groups of new listings may be new classes. The same holds; it names listings.
NEW_MODELS, PROPOSED = "new_models", "new_models.json"
# Which photos of new listings a live model was judged on. The same holds; keys of photos name listings.
NEWEST, NEWEST_PHOTOS = "newest", "newest.json"
# Which classes should be one, or several: counts and names, no photo and no listing.
ADVICE = "advice"
# Photos whose view people have labelled, with their thumbnails.
VIEW_SET = "view_set"

PHOTOS = "photos.parquet"
THUMBNAILS = "thumbnails.parquet"
SIGNATURES = "signatures.parquet"
REPAIRED = "repaired.parquet"
CROPS = "crops.parquet"
PAIRS = "near_duplicates.parquet"
TAXONOMY = "taxonomy.yaml"
FUNNEL = "funnel.json"
VALIDATION = "validation.json"
REPORT = "report.html"
MODEL = "model.keras"


def newest_result(store: Store, stage: str, partition: str) -> str | None:
    """Manifest key of what a stage committed last for a partition, None where it has committed nothing."""
    objects = store.list_usable(f"stages/{stage}/{partition}")
    manifests = [info for info in objects if info.key.endswith("/manifest.json")]
    if len(manifests) > 1:
        return next((key for key, _ in manifest.newest_first(store, manifests)), None)
    return manifests[0].key if manifests else None


def newest_results(store: Store, stage: str) -> dict[str, str]:
    """As `newest_result`, of all partitions: manifest key by partition."""
    found: dict[str, list[ObjectInfo]] = {}
    for info in store.list_usable(f"stages/{stage}"):
        if info.key.endswith("/manifest.json"):
            found.setdefault(info.key.split("/")[2], []).append(info)
    newest = {partition: infos[0].key for partition, infos in found.items()}
    several = [info for infos in found.values() if len(infos) > 1 for info in infos]
    for key, _ in reversed(manifest.newest_first(store, several)):  # the newest has the last word
        newest[key.split("/")[2]] = key
    return newest


def lineage(store: Store, crops: Sequence[Manifest]) -> dict[str, list[Manifest]]:
    """What partitions after `crop` were made of: the results of each stage, the last first, in their order."""
    found = {STAGES[-1]: list(crops)}
    for stage in reversed(STAGES[:-1]):
        (*_, after) = found.values()
        # Behind the first input stands what made the network of a stage, if anything did.
        found[stage] = manifest.read_many(store, (done.inputs[0] for done in after))
    return found


def read_photos(
    store: Store,
    source: Manifest,
    *,
    columns: list[str] | None = None,
    also: Collection[str] = (),
    partition: str | None = None,
) -> "pd.DataFrame":
    """The photo table of a commit, or some columns of it, or the rows of one partition of a dataset.

    Args:
        also: columns beside `columns` that are read where the table has them.
    """
    from carpipe.photos import from_parquet

    return from_parquet(manifest.read_file(store, source, PHOTOS), columns=columns, also=also, partition=partition)


def read_blobs(store: Store, source: Manifest, name: str, *, keys: "pd.Series[str] | None" = None) -> dict[str, bytes]:
    """Thumbnails, crops and the like of a commit, by photo key; those of `keys`, in no order, where given."""
    from carpipe.photos import blobs_from_parquet

    wanted = None if keys is None else set(keys)
    blobs = blobs_from_parquet(manifest.read_file(store, source, name))
    return {key: blob for key, blob in blobs if wanted is None or key in wanted}


@contextlib.contextmanager
def local_shards(
    store: Store, dataset: Manifest, *splits: str, progress: Progress = UNSEEN
) -> Iterator[dict[str, list[Path]]]:
    """TFRecord files of the named splits on local disk, checked, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="carpipe-shards-") as folder:
        found: dict[str, list[Path]] = {name: [] for name in splits}
        shards = [shard for shard in shards_of(dataset) if shard["split"] in found]
        with progress.bar("fetch shards", total=len(shards), unit="shards") as bar:
            for shard in bar.each(shards):
                data = manifest.verified(store, shard)
                path = Path(folder) / f"{shard['split']}-{len(found[shard['split']]):05d}.tfrecord"
                path.write_bytes(data)
                found[shard["split"]].append(path)
        yield found


def shards_of(dataset: Manifest) -> list[dict[str, Any]]:
    """`split`, `key` and `sha256` of each shard: those a dataset lists, or a label set's own files."""
    if "shards" in dataset.extra:
        return list(dataset.extra["shards"])
    own = (
        (name.removesuffix(".tfrecord"), entry) for name, entry in dataset.files.items() if name.endswith(".tfrecord")
    )
    return [{"split": split, **entry} for split, entry in own]


def to_json(value: object) -> bytes:
    """A file of a result, for people and apps to read."""
    return json.dumps(value, indent=1, ensure_ascii=False, default=list).encode()


def place_in(folder: Path, name: str) -> Path:
    """Where a file of that name goes, with the folders above it made.

    Raises:
        InputError: that would not be inside the folder. Names come from the bucket, where others may write.
    """
    path = folder / name
    if "\0" in name or not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"The name {name!r} is no place inside {folder}: somebody has tampered with the bucket.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def local_file(store: Store, source: Manifest, name: str) -> Iterator[Path]:
    """One file of a commit on local disk, checked, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="carpipe-file-") as folder:
        path = Path(folder) / name
        path.write_bytes(manifest.read_file(store, source, name))
        yield path


def commit_photos(
    session: Session,
    work: Work,
    before: "pd.DataFrame",
    after: "pd.DataFrame",
    *,
    started: float,
    files: Mapping[str, bytes] | None = None,
    **facts: Any,
) -> Manifest:
    """Commit a stage's photo table and files, having checked that rows in = rows out."""
    from carpipe import photos as table

    table.check_balance(before, after, stage=work.stage)
    counts = table.count(after, stage=work.stage)
    files = {PHOTOS: table.to_parquet(after), **(files or {})}
    seconds = time.monotonic() - started
    log.info("%s %s: %d photos in, %d kept, %.0f photos/s", work.stage, work.partition, counts["in"], counts["kept"],
             counts["in"] / max(seconds, 1e-9))  # fmt: skip
    return session.commit(work, files, counts=counts, seconds=round(seconds, 3), **facts)
