"""Golden pictures: published with the answers that they must give, they prove that a network answers as it did then."""

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.lib import format as npy

from carpipe.errors import InputError
from carpipe.machine import looking_at
from carpipe.pictures.model_input import Pixels
from carpipe.probabilities import Probabilities
from carpipe.weights.runtime import LIKENESS, VIEWS, YEAR, Network, Numbers

# Largest deviation of a probability from the published one. Other processors sum in another order, which makes 1e-6 or
# so; bfloat16 arithmetic, a wrong channel order or other weights make 1e-2 and more.
TOLERANCE = 1e-3
# Bytes of the golden pictures and their answers, unpacked: sixteen pictures of 600 px have 17 million.
MAX_GOLDEN_BYTES = 2**28
# How far each may be off: years are no probabilities, and nobody sees a twentieth of one.
TOLERANCES = {LIKENESS: TOLERANCE, YEAR: 0.05, VIEWS: TOLERANCE}
# The file of a model that says so of each.
SAID_BY = {LIKENESS: "known.json", YEAR: "years.json", VIEWS: "views.json"}


def replay(
    network: Network, golden: bytes, *, classes: int, side: int, beside: Collection[str] = (), views: int = 0
) -> float:
    """Feed the published pictures; return how far the worst probability or likeness is off, at most `TOLERANCE`.

    Args:
        golden: the file `golden.npz`.
        classes: how many the labels name.
        side: pixels, that pictures are stretched to.
        beside: which of `LIKENESS`, `YEAR` and `VIEWS` the model says: then the network must give it, and the pictures
            must have it.
        views: how many it tells, where it tells any.

    Raises:
        InputError: the answers are others than those published, or not of that many classes or views; or the pictures
            are not of that side.
    """
    pictures, published, said = _read_golden(golden, beside=beside)
    if pictures.shape[1:] != (side, side, 3):
        raise InputError(
            f"golden.npz holds pictures of {pictures.shape[1:]}, expected ({side}, {side}, 3), as preprocessing.json "
            "says; the model was put together wrong."
        )
    found = network.run(pictures)
    answers = found.probabilities
    if not len(answers) or answers.shape != published.shape or answers.shape[1] != classes:
        raise InputError(
            f"The model answers {answers.shape} on its golden pictures, published are {published.shape} and "
            f"{classes} labels; it was put together wrong."
        )
    deviation = _checked(float(np.abs(answers - published).max()), TOLERANCE)
    for name in beside:
        off = _beside_off(name, getattr(found, name), said.get(name), views=views, pictures=len(answers))
        deviation = max(deviation, off) if name != YEAR else deviation
    return deviation


def _beside_off(name: str, ours: Numbers | None, theirs: Numbers | None, *, views: int, pictures: int) -> float:
    """How far what the network says beside the class is off. Raises InputError as `replay` does."""
    expected = (pictures, views) if name == VIEWS else (pictures,)
    if ours is None or theirs is None or not ours.shape == theirs.shape == expected:
        what = f"{views} views" if name == VIEWS else f"a {name}"
        raise InputError(
            f"The model has a {SAID_BY[name]}, but its network or its golden pictures do not say {what} for each; "
            "it was put together wrong."
        )
    return _checked(float(np.abs(ours - theirs).max()), TOLERANCES[name])


def _checked(deviation: float, tolerance: float) -> float:
    if not deviation <= tolerance:  # what is no number is refused too
        raise InputError(
            f"The model's answers on its golden pictures are off by {deviation:.2g}, allowed are {tolerance:g}; "
            "do not trust it on this machine."
        )
    return deviation


def _read_golden(golden: bytes, *, beside: Collection[str] = ()) -> tuple[Pixels, Probabilities, dict[str, Numbers]]:
    """What `golden.npz` holds. Little data can unpack to very much: what its headers say is looked at first."""
    unreadable = (
        ValueError, OSError, KeyError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
        struct.error, SyntaxError, tokenize.TokenError,
    )  # fmt: skip
    try:
        with looking_at("golden.npz"), zipfile.ZipFile(io.BytesIO(golden)) as file:
            pictures, published = (_read_array(file, f"{name}.npy") for name in ("pictures", "probabilities"))
            there = [name for name in beside if f"{name}.npy" in file.namelist()]
            said = {name: _read_array(file, f"{name}.npy") for name in there}
    except unreadable as error:
        raise InputError(f"golden.npz holds no pictures and probabilities: {error}.") from None
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or published.dtype.kind != "f" or published.ndim != 2:
        raise InputError(
            f"golden.npz holds pictures of {pictures.dtype} {pictures.shape} and probabilities of {published.dtype} "
            f"{published.shape}, expected uint8 (n, side, side, 3) and floats (n, classes)."
        )
    for name, numbers in said.items():
        if numbers.dtype.kind != "f" or numbers.ndim != (2 if name == VIEWS else 1):
            what, form = ("views", "(n, views)") if name == VIEWS else (f"a {name}", "(n,)")
            raise InputError(f"golden.npz holds {what} of {numbers.dtype} {numbers.shape}, expected floats {form}.")
    return pictures, published, said


def _read_array(file: zipfile.ZipFile, name: str) -> "np.ndarray[Any, Any]":
    with file.open(name) as entry:
        version = npy.read_magic(entry)
        # Headers of later versions say with 32 bits how long they are, and NumPy reads them whole before it objects.
        # It writes them for long ones alone, such as of tables with many columns.
        if version != (1, 0):
            raise ValueError(f"{name} is of version {version}")
        shape, _, dtype = npy.read_array_header_1_0(entry)
    size = math.prod(shape) * dtype.itemsize
    if size > min(MAX_GOLDEN_BYTES, file.getinfo(name).file_size):
        raise ValueError(f"{name} says that it has {size:,} bytes")
    with file.open(name) as entry:
        array: np.ndarray[Any, Any] = npy.read_array(entry, allow_pickle=False)
    return array
