"""Shards: TFRecord files of `tf.train.Example`, written without TensorFlow, byte by byte as it writes them.

Sources: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details for the file,
https://protobuf.dev/programming-guides/encoding for the records in it.
"""

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import google_crc32c

# What TensorFlow adds to a rotated checksum, so that no checksum is one of itself.
_MASK = 0xA282EAD8


def write_shard(path: Path, records: Iterable[tuple[str, str, bytes]]) -> int:
    """Write (photo key, class name, JPEG) as TFRecords; returns how many."""
    written = 0
    with path.open("wb") as file:
        for key, class_name, jpeg in records:
            record = example({"key": key.encode(), "class_name": class_name.encode(), "jpeg": jpeg})
            length = struct.pack("<Q", len(record))
            file.writelines((length, _masked_crc(length), record, _masked_crc(record)))
            written += 1
    return written


def example(features: Mapping[str, bytes]) -> bytes:
    """A `tf.train.Example` of one value per feature, the features by name, as deterministic serialization has them."""
    # Example.features, Features.feature (a map: name and Feature), Feature.bytes_list, BytesList.value
    entries = (
        _field(1, _field(1, name.encode()) + _field(2, _field(1, _field(1, value))))
        for name, value in sorted(features.items())
    )
    return _field(1, b"".join(entries))


def _field(number: int, data: bytes) -> bytes:
    """A field of Protocol Buffers that is bytes, a text or a message."""
    return bytes((number << 3 | 2,)) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)
