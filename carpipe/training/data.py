"""Photos on their way into training: TFRecord shards and tf.data. Only this module touches tf.data.

A record holds the JPEG of a crop, its class name and photo key; a class gets its number when it is
read, so shards outlive changes of the class list.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from pathlib import Path

AUTOTUNE = tf.data.AUTOTUNE


def write_shard(path: "Path", records: Iterable[tuple[str, str, bytes]]) -> int:
    """Write (photo key, class name, JPEG) as TFRecords; returns how many."""
    written = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for key, class_name, jpeg in records:
            values = {"key": key.encode(), "class_name": class_name.encode(), "jpeg": jpeg}
            feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for name, v in values.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
            written += 1
    return written


def read_shards(
    paths: "Sequence[Path]", classes: Sequence[str], *, side: int, batch: int, shuffle_seed: int | None = None
) -> Any:
    """Batches of (uint8 pictures (n, side, side, 3), one-hot labels (n, classes)) as a tf.data.Dataset.

    Args:
        classes: class names; their order gives the label numbers.
        side: pixels of the square that every crop is stretched to.
        shuffle_seed: shuffle anew each epoch, reproducibly; None reads in the order written.
    """
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(list(classes)), tf.range(len(classes))),
        default_value=-1,
    )

    def parse(record: Any) -> tuple[Any, Any]:
        kinds = {name: tf.io.FixedLenFeature([], tf.string) for name in ("jpeg", "class_name")}
        fields = tf.io.parse_single_example(record, kinds)
        picture = tf.io.decode_jpeg(fields["jpeg"], channels=3, dct_method="INTEGER_ACCURATE")
        picture = tf.image.resize(picture, (side, side), antialias=True)
        label = tf.one_hot(table.lookup(fields["class_name"]), len(classes))
        return tf.cast(tf.clip_by_value(tf.round(picture), 0, 255), tf.uint8), label

    names = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    if shuffle_seed is not None:
        names = names.shuffle(len(paths), seed=shuffle_seed)
    records = names.interleave(
        tf.data.TFRecordDataset, cycle_length=16, num_parallel_calls=AUTOTUNE, deterministic=True
    )
    if shuffle_seed is not None:
        # Compressed records, about 20 kB each: 8,192 of them are 160 MB.
        records = records.shuffle(8192, seed=shuffle_seed)
    # Keras has to know the length: else it trains one epoch to find out, and warns about it.
    records = records.apply(tf.data.experimental.assert_cardinality(count_records(paths)))
    return records.map(parse, num_parallel_calls=AUTOTUNE).batch(batch).prefetch(AUTOTUNE)


def count_records(paths: "Sequence[Path]") -> int:
    """How many photos the shards hold."""
    return int(tf.data.TFRecordDataset([str(path) for path in paths]).reduce(np.int64(0), lambda n, _: n + 1))


def iter_records(paths: "Sequence[Path]") -> Iterator[tuple[str, str, bytes]]:
    """(photo key, class name, JPEG) of every record."""
    kinds = {name: tf.io.FixedLenFeature([], tf.string) for name in ("key", "class_name", "jpeg")}
    records = tf.data.TFRecordDataset([str(path) for path in paths])
    for fields in records.map(lambda record: tf.io.parse_single_example(record, kinds)).as_numpy_iterator():
        yield fields["key"].decode(), fields["class_name"].decode(), fields["jpeg"]
