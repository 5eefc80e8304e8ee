"""Golden pictures come from the bucket: little data that unpacks to very much is refused unread."""

import contextlib
import io
import zipfile

import numpy as np
import pytest

from carpipe.errors import InputError
from carpipe.weights import golden as module
from tests.tiny import Tiny


class Asked:
    """A network that must not be asked."""

    def run(self, pictures):
        raise AssertionError("it was asked")


def archive(**members):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return sink.getvalue()


def array(value):
    sink = io.BytesIO()
    np.save(sink, value, allow_pickle=True)
    return sink.getvalue()


def says(shape, *, dtype="|u1"):
    sink = io.BytesIO()
    np.lib.format.write_array_header_1_0(sink, {"descr": dtype, "fortran_order": False, "shape": shape})
    return sink.getvalue()


PICTURES, ANSWERS = array(np.zeros((1, 4, 4, 3), np.uint8)), array(np.zeros((1, 2), np.float32))
HOSTILE = {
    "an array of a terabyte": archive(pictures=says((10**6, 10**3, 10**3, 3)), probabilities=ANSWERS),
    "an array without end": archive(pictures=says((10**30, 1, 1, 3)), probabilities=ANSWERS),
    "a bomb": archive(pictures=says((2**28 + 1, 1, 1, 1)) + b"\0" * (2**28 + 1), probabilities=ANSWERS),
    "an array that is cut off": archive(pictures=says((9, 4, 4, 3)) + b"\0", probabilities=ANSWERS),
    "objects": archive(pictures=array(np.array([{"a": 1}], dtype=object)), probabilities=ANSWERS),
    "another version": archive(pictures=b"\x93NUMPY\x07\x00" + PICTURES[8:], probabilities=ANSWERS),
    "a long header": archive(
        pictures=b"\x93NUMPY\x02\x00" + (2**28).to_bytes(4, "little") + b" " * 2**28, probabilities=ANSWERS
    ),
    "a header that is code": archive(
        pictures=PICTURES[:10] + b"__import__('os')" + PICTURES[26:], probabilities=ANSWERS
    ),
    "flat pictures": archive(pictures=array(np.zeros((1, 4), np.uint8)), probabilities=ANSWERS),
    "pictures of another side": archive(pictures=array(np.zeros((1, 5, 5, 3), np.uint8)), probabilities=ANSWERS),
    "pictures that are not square": archive(pictures=array(np.zeros((1, 4, 5, 3), np.uint8)), probabilities=ANSWERS),
    "pictures of one colour": archive(pictures=array(np.zeros((1, 4, 4, 1), np.uint8)), probabilities=ANSWERS),
    "numbers for pictures": archive(pictures=array(np.zeros((1, 4, 4, 3))), probabilities=ANSWERS),
    "texts for answers": archive(pictures=PICTURES, probabilities=array(np.array([["a"]]))),
    "no answers": archive(pictures=PICTURES),
    "no archive": b"PK\x03\x04" + b"\0" * 100,
    "nothing": b"",
}


@pytest.mark.parametrize("golden", HOSTILE.values(), ids=HOSTILE)
def test_what_holds_no_golden_pictures_is_refused(golden):
    with pytest.raises(InputError, match=r"golden\.npz holds"):
        module.replay(Asked(), golden, classes=2, side=4)


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_an_archive_that_is_damaged_anywhere_is_refused_or_read(cut):
    golden = bytearray(Tiny().files()["golden.npz"])
    golden[-cut - 1] ^= 0xFF

    with contextlib.suppress(InputError):
        module._read_golden(bytes(golden))
