"""Getting at what earlier steps and users left: photo tables, shards, weights."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.storage import Store

if TYPE_CHECKING:
    import pandas as pd

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
    objects = store.list_objects(f"stages/{stage}/{partition}")
    manifests = (info for info in objects if info.key.endswith("/manifest.json"))
    newest = max(manifests, key=lambda info: (str(info.modified), info.key), default=None)
    return newest.key if newest else None


def read_photos(
    store: Store, source: Manifest, *, columns: list[str] | None = None, partition: str | None = None
) -> "pd.DataFrame":
    """The photo table of a commit, or some columns of it, or the rows of one partition of a dataset."""
    from carpipe.photos import from_parquet

    return from_parquet(manifest.read_file(store, source, PHOTOS), columns=columns, partition=partition)


def read_blobs(store: Store, source: Manifest, name: str, *, keys: "pd.Series[str] | None" = None) -> dict[str, bytes]:
    """Thumbnails, crops and the like of a commit, by photo key; those of `keys`, in no order, where given."""
    from carpipe.photos import blobs_from_parquet

    wanted = None if keys is None else set(keys)
    blobs = blobs_from_parquet(manifest.read_file(store, source, name))
    return {key: blob for key, blob in blobs if wanted is None or key in wanted}


@contextlib.contextmanager
def local_weights(store: Store, source: str) -> Iterator[tuple[Path, str]]:
    """Weights a user provides, as a local file or folder, and the sha256 of their content.

    Args:
        source: `s3:<key in the bucket>`, a path, or `sample:<file>` for what comes with the sample world.

    Raises:
        InputError: there are none; says where they were looked for.
    """
    if source.startswith("sample:"):
        # Every file of the package is a plain file: carpipe is never installed zipped.
        source = str(Path(__file__).parents[1] / "sample" / source.removeprefix("sample:"))
    if not source.startswith("s3:"):
        path = Path(source).expanduser()
        if not path.exists():
            raise InputError(
                f"There are no weights at {path.absolute()}; put them there, or name another path or `s3:<key>`."
            )
        yield path, _sha256(path)
        return
    key = source.removeprefix("s3:").lstrip("/")
    try:
        data = store.get(key)
    except MissingError:
        raise InputError(
            f"There are no weights {key} in {store.url}; upload them, or name another key or a path."
        ) from None
    with tempfile.TemporaryDirectory(prefix="carpipe-weights-") as folder:
        path = Path(folder) / Path(key).name
        path.write_bytes(data)
        yield path, _sha256(path)


@contextlib.contextmanager
def local_shards(store: Store, dataset: Manifest, *splits: str) -> Iterator[dict[str, list[Path]]]:
    """TFRecord files of the named splits on local disk, checked, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="carpipe-shards-") as folder:
        found: dict[str, list[Path]] = {name: [] for name in splits}
        for shard in shards_of(dataset):
            if shard["split"] not in found:
                continue
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


def load_trained(store: Store, trained: Manifest) -> "Callable[[list[bytes]], Any]":
    """JPEGs in, probabilities (n, classes) out, by a model as it came out of training."""
    from carpipe.training.predict import load_predictor

    with local_file(store, trained, MODEL) as path:
        return load_predictor(path)


def load_car_score(store: Store, model: Manifest) -> "Callable[[list[bytes]], Any]":
    """JPEGs in, probability that each shows a car from outside, by a published car filter.

    Runs its portable export: several times as fast as Keras on a processor, and up in a second.
    """
    from carpipe.model_input import to_batch
    from carpipe.weights.client import load

    if CAR not in model.extra["classes"]:
        raise InputError(
            f"{model.key} is no car filter: it knows {', '.join(model.extra['classes'][:5])}, not {CAR!r}."
        )
    with tempfile.TemporaryDirectory(prefix="carpipe-filter-") as folder:
        network = load(store, model.key, cache=Path(folder))
    column = network.classes.index(CAR)
    return lambda jpegs: network.predict(to_batch(jpegs, network.side))[:, column]


# The published labels of the car filter.
CAR, NOT_CAR = "auto", "no_auto"


def _sha256(path: Path) -> str:
    """Of a file, or of all files of a folder (an OpenVINO model) with their names."""
    import hashlib

    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        whole.update(file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()
