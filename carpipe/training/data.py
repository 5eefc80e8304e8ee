"""Photos on their way into training: TFRecord shards and tf.data. Only this module touches tf.data.

A record holds the JPEG of a crop, its class name and photo key; a class gets its number when it is
read, so shards outlive changes of the class list. What an epoch's batches hold depends on nothing but the seed
and the epoch, so a training that is resumed sees what it would have seen.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from carpipe.config import TrainingConfig
from carpipe.pictures.model_input import Pixels, to_batch
from carpipe.tfrecord import write_shard
from carpipe.training.augment import augment

if TYPE_CHECKING:
    from pathlib import Path

AUTOTUNE = tf.data.AUTOTUNE
# Shards read at a time. Each is a shuffle of a random sample of listings already.
OPEN_SHARDS = 16

# JPEGs and the number of their batch to pictures (n, side, side, 3). A whole batch at a time, since Python is called
# for each; the work is done in libraries that let other batches go on.
Draw = Callable[[Sequence[bytes], int], Pixels]


@dataclass(frozen=True)
class Shards:
    """TFRecord files of one split, and how many photos they hold together."""

    paths: Sequence["Path"]
    photos: int


def thin_out(paths: "Iterable[Path]", keys: Collection[str]) -> int:
    """Keep the photos of these keys alone in shards, one shard after the other; returns how many are left.

    Their order stays, so shards that were random samples of the photos are random samples of those that are left.
    Memory is that of a few records, and disk that of one shard more.
    """
    left = 0
    for path in paths:
        thinner = path.with_suffix(".thin")
        left += write_shard(thinner, (record for record in iter_records([path]) if record[0] in keys))
        thinner.replace(path)
    return left


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

    def draw(jpegs: Sequence[bytes], number: int) -> Pixels:
        draws = np.random.default_rng([seed, number]).uniform(-1, 1, (len(jpegs), 4))
        return augment(jpegs, draws, config)

    return _batches(records, shards, classes, config, draw)


def evaluation_batches(shards: Shards, classes: Sequence[str], *, config: TrainingConfig) -> Any:
    """As `training_batches`, in the order written and not augmented: pictures of `to_batch`, to the bit."""
    names = tf.data.Dataset.from_tensor_slices([str(path) for path in shards.paths])
    return _batches(_read(names), shards, classes, config, lambda jpegs, _: to_batch(jpegs, config.image_size))


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


def _batches(records: Any, shards: Shards, classes: Sequence[str], config: TrainingConfig, draw: Draw) -> Any:
    # Keras has to know the length: else it trains one epoch to find out, and warns about it.
    records = records.apply(tf.data.experimental.assert_cardinality(shards.photos)).batch(config.batch)
    batches = records.map(_parser(classes), num_parallel_calls=AUTOTUNE).enumerate()
    shape = (None, config.image_size, config.image_size, 3)

    def drawn(number: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        jpegs, labels = batch
        # Called stateful, a deterministic training would make its batches one after the other.
        pictures = tf.numpy_function(draw, [jpegs, number], tf.uint8, stateful=False)
        return tf.ensure_shape(pictures, shape), labels

    return batches.map(drawn, num_parallel_calls=AUTOTUNE).prefetch(AUTOTUNE)


def _parser(classes: Sequence[str]) -> Any:
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(list(classes)), tf.range(len(classes))),
        default_value=-1,
    )

    def parse(records: Any) -> tuple[Any, Any]:
        kinds = {name: tf.io.FixedLenFeature([], tf.string) for name in ("jpeg", "class_name")}
        fields = tf.io.parse_example(records, kinds)
        return fields["jpeg"], tf.one_hot(table.lookup(fields["class_name"]), len(classes))

    return parse
