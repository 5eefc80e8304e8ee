"""The likeliest classes of each photo with their probabilities, in some 60 bytes: what later questions are asked of.

Which labels look wrong, which classes should be one, which photos are of no known class: none of them needs all of
the probabilities. Of 200,000 photos and 512 classes those are 410 MB; the ten likeliest are 8 MB, before the keys.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from carpipe import parquet
from carpipe.errors import InputError
from carpipe.probabilities import calibrate

TOP = 10
ROWS = 8192  # photos at a time
NUMBERS, P, ENERGY, P_GIVEN = "top", "p", "energy", "p_given"
# Beside the key, where the model could tell: float32, see `carpipe.familiarity`.
FAMILIARITY = "familiarity"
# Names of the classes in the order of their numbers, JSON in the file's metadata.
CLASSES = b"carpipe_classes"


@dataclass(frozen=True)
class TopAnswers:
    """One row per photo; as many columns of answers as there are classes, at most `TOP`.

    Attributes:
        photos: `key`, and whatever else was kept beside it. Where `class_name` is, and the answers are of carpipe 0.2,
            `p_given` is its calibrated probability, float32, NaN of a class that the model does not know: it often is
            none of the likeliest.
        numbers: uint16 (photos, answers): class numbers, the likeliest first.
        p: float16 (photos, answers): their calibrated probabilities, good to three digits.
        energy: float32 (photos,): see `carpipe.training.energy`; NaN where it is not known.
        classes: names by number.
    """

    photos: pd.DataFrame
    numbers: NDArray[np.uint16]
    p: NDArray[np.float16]
    energy: NDArray[np.float32]
    classes: tuple[str, ...]

    @property
    def answer(self) -> NDArray[Any]:
        """Name of the likeliest class, per photo."""
        return np.asarray(np.array(self.classes, dtype=object)[self.numbers[:, 0]])


def keep_top(
    photos: pd.DataFrame,
    p: NDArray[np.float32],
    *,
    energy: NDArray[np.float32],
    temperature: float,
    classes: Sequence[str],
) -> TopAnswers:
    """The best of each row of p, float32 (photos, classes), as the model gave it; they are calibrated here.

    Where `photos` have `class_name`, the probability of that is kept too.
    """
    photos, count = photos.reset_index(drop=True), min(TOP, p.shape[1])
    numbers = np.empty((len(p), count), np.uint16)
    kept = np.empty((len(p), count), np.float16)
    own = np.full(len(p), np.nan, np.float32)
    names = photos["class_name"] if "class_name" in photos else pd.Series("", index=photos.index)
    given = pd.Index(classes).get_indexer(pd.Index(names))
    for start in range(0, len(p), ROWS):
        rows = slice(start, start + ROWS)
        # Stable: of equally likely classes the first is the answer, as everywhere.
        best = np.argsort(-p[rows], axis=1, kind="stable")[:, :count]
        numbers[rows] = best
        calibrated = calibrate(p[rows], temperature)
        kept[rows] = np.take_along_axis(calibrated, best, axis=1)
        known = np.flatnonzero(given[rows] >= 0)
        own[start + known] = calibrated[known, given[rows][known]]
    if "class_name" in photos:
        photos = photos.assign(**{P_GIVEN: own})
    return TopAnswers(photos, numbers, kept, energy.astype(np.float32), tuple(classes))


def take(top: TopAnswers, rows: NDArray[Any]) -> TopAnswers:
    """Some of the rows, by number or as a mask."""
    photos = top.photos[rows] if rows.dtype == bool else top.photos.iloc[rows]
    return TopAnswers(photos.reset_index(drop=True), top.numbers[rows], top.p[rows], top.energy[rows], top.classes)


def join(tops: Sequence[TopAnswers]) -> TopAnswers:
    """The rows of all of them, in their order.

    Raises:
        InputError: there are none, or they are not of the same classes.
    """
    if len({(top.classes, top.numbers.shape[1]) for top in tops}) != 1:
        raise InputError("Answers that are joined must be of one model; these name different classes.")
    photos = pd.concat([top.photos for top in tops], ignore_index=True)
    numbers, p, energy = (np.concatenate([getattr(top, name) for top in tops]) for name in ("numbers", "p", "energy"))
    return TopAnswers(photos, numbers, p, energy, tops[0].classes)


def to_parquet(top: TopAnswers) -> bytes:
    """As one Parquet file: the columns of `photos`, then `top`, `p` (lists) and `energy`."""
    count = top.numbers.shape[1]
    table = pa.Table.from_pandas(top.photos, preserve_index=False)
    lists = {NUMBERS: pa.array(top.numbers.ravel()), P: pa.array(top.p.ravel(), pa.float16())}
    for name, values in lists.items():
        table = table.append_column(name, pa.FixedSizeListArray.from_arrays(values, count))
    table = table.append_column(ENERGY, pa.array(top.energy))
    names = json.dumps(list(top.classes), ensure_ascii=False).encode()
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({CLASSES: names}), sink, compression="zstd")
    return sink.getvalue()


def from_parquet(data: bytes) -> TopAnswers:
    """What `to_parquet` has written.

    Raises:
        TooLargeError: see `carpipe.parquet`.
        InputError: it is no such file.
    """
    table = parquet.read_table(data)
    with parquet.readable(data):
        classes = tuple(json.loads(table.schema.metadata[CLASSES]))
        numbers, p = (_matrix(table[name]) for name in (NUMBERS, P))
        energy = table[ENERGY].to_numpy().astype(np.float32)
        photos = table.drop_columns([NUMBERS, P, ENERGY]).replace_schema_metadata().to_pandas(use_threads=False)
    if numbers.shape != p.shape or (numbers.size and int(numbers.max()) >= len(classes)):
        raise InputError(f"A file of answers names a class that it has no name for; it has {len(classes)}.")
    return TopAnswers(photos, numbers.astype(np.uint16), p.astype(np.float16), energy, classes)


def _matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    whole = column.combine_chunks()
    return np.asarray(whole.flatten().to_numpy(zero_copy_only=False)).reshape(len(column), column.type.list_size)
