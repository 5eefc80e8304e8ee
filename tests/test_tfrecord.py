"""Shards written without TensorFlow: byte by byte those that it writes."""

import numpy as np
import pytest

from carpipe.tfrecord import write_shard

RECORDS = [
    ("a/1.jpg", "audi_a3", b""),
    ("audi_a3_2001/ж.jpg", "škoda", b"\xff\xd8" + bytes(100)),
    ("b" * 200, "c", np.random.default_rng(0).bytes(20_000)),
    ("d", "", np.random.default_rng(1).bytes(3_000_000)),
]


@pytest.mark.parametrize("count", [0, 1, len(RECORDS)])
def test_the_bytes_are_those_of_tensorflow(tmp_path, count):
    import tensorflow as tf

    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for key, class_name, jpeg in RECORDS[:count]:
            values = {"key": key.encode(), "class_name": class_name.encode(), "jpeg": jpeg}
            features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for name, v in values.items()}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString(deterministic=True))

    assert write_shard(ours, RECORDS[:count]) == count
    assert ours.read_bytes() == theirs.read_bytes()
