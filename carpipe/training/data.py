"""Photos on their way into training: TFRecord shards and tf.data. Only this module touches tf.data.

A record holds the JPEG of a crop, its class name and photo key; a class gets its number when it is
read, so shards outlive changes of the class list. What an epoch's batches hold depends on nothing but the seed
and the epoch, so a training that is resumed sees what it would have seen.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from carpipe.config import TrainingConfig

if TYPE_CHECKING:
    from pathlib import Path

AUTOTUNE = tf.data.AUTOTUNE
# Shards read at a time. Each is a shuffle of a random sample of listings already.
OPEN_SHARDS = 16


@dataclass(frozen=True)
class Shards:
    """TFRecord files of one split, and how many photos they hold together."""

    paths: Sequence["Path"]
    photos: int


def write_shard(path: "Path", records: Iterable[tuple[str, str, bytes]]) -> int:
    """Write (photo key, class name, JPEG) as TFRecords; returns how many."""
    written = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for key, class_name, jpeg in records:
            values = {"key": key.encode(), "class_name": class_name.encode(), "jpeg": jpeg}
            feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for name, v in values.items()}
            writer.write(
                tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)
            )
            written += 1
    return written


def training_batches(shards: Shards, classes: Sequence[str], *, config: TrainingConfig, epoch: int) -> Any:
    """One epoch of shuffled, augmented batches as a tf.data.Dataset.

    Yields uint8 pictures (n, side, side, 3) and one-hot labels (n, classes), in an order that is the same for the same
    seed and epoch. Memory is that of `shuffle_photos` compressed crops and a few batches, however large the dataset.

    Args:
        classes: class names; their order gives the label numbers.
        epoch: counts from 0 over all phases.
    """
    # A prime: no two (seed, epoch) that anybody tries share an order. TensorFlow wants 31 bits.
    seed = (config.seed * 100_003 + epoch) % 2**31
    names = tf.data.Dataset.from_tensor_slices([str(path) for path in shards.paths])
    records = _read(names.shuffle(len(shards.paths), seed=seed))
    records = records.shuffle(config.shuffle_photos, seed=seed, reshuffle_each_iteration=False)
    batches = _batches(records, shards, classes, config)
    return batches.enumerate().map(_augmentation(config, seed), num_parallel_calls=AUTOTUNE).prefetch(AUTOTUNE)


def evaluation_batches(shards: Shards, classes: Sequence[str], *, config: TrainingConfig) -> Any:
    """As `training_batches`, every photo as it is and in the order written."""
    names = tf.data.Dataset.from_tensor_slices([str(path) for path in shards.paths])
    return _batches(_read(names), shards, classes, config).prefetch(AUTOTUNE)


def iter_records(paths: "Sequence[Path]") -> Iterator[tuple[str, str, bytes]]:
    """(photo key, class name, JPEG) of every record."""
    kinds = {name: tf.io.FixedLenFeature([], tf.string) for name in ("key", "class_name", "jpeg")}
    records = tf.data.TFRecordDataset([str(path) for path in paths])
    for fields in records.map(lambda record: tf.io.parse_single_example(record, kinds)).as_numpy_iterator():
        yield fields["key"].decode(), fields["class_name"].decode(), fields["jpeg"]


def _read(names: Any) -> Any:
    return names.interleave(
        tf.data.TFRecordDataset, cycle_length=OPEN_SHARDS, num_parallel_calls=AUTOTUNE, deterministic=True
    )


def _batches(records: Any, shards: Shards, classes: Sequence[str], config: TrainingConfig) -> Any:
    # Keras has to know the length: else it trains one epoch to find out, and warns about it.
    records = records.apply(tf.data.experimental.assert_cardinality(shards.photos))
    return records.map(_parser(classes, config.image_size), num_parallel_calls=AUTOTUNE).batch(config.batch)


def _parser(classes: Sequence[str], side: int) -> Any:
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

    return parse


def _augmentation(config: TrainingConfig, seed: int) -> Any:
    """(batch number, (pictures, labels)) to augmented (pictures, labels).

    Outside the network, so that XLA can compile that, and one resampling for flip, rotation and zoom together.
    """

    def augment(number: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        pictures, labels = batch
        count = tf.shape(pictures)[0]
        place = tf.stack([tf.constant(seed, tf.int64), number])
        draws = tf.random.stateless_uniform((4, count), seed=place, minval=-1.0)
        turned = _transform(pictures, draws, config)
        lighter = turned + 255.0 * config.brightness * draws[3][:, None, None, None]
        return tf.cast(tf.clip_by_value(tf.round(lighter), 0, 255), tf.uint8), labels

    return augment


def _transform(pictures: Any, draws: Any, config: TrainingConfig) -> Any:
    """Flip, turn and zoom about the centre; float32 of the same shape. Borders repeat the edge."""
    side = config.image_size
    centre = (side - 1) / 2
    mirror = tf.where((draws[0] > 0) & config.flip, -1.0, 1.0)
    angle = draws[1] * config.rotation * np.pi / 180
    scale = 1 + draws[2] * config.zoom
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    # Output pixel to input pixel, as ImageProjectiveTransform wants it: x' = a x + b y + c, y' = d x + e y + f.
    a, b, d, e = mirror * cos, -mirror * sin, sin, cos
    c, f = centre - (a + b) * centre, centre - (d + e) * centre
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pictures, tf.float32),
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=(side, side),
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )
