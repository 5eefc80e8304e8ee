"""Running published weights: the OpenVINO network, and the golden pictures that prove it answers as it was published.

The only module that knows openvino at consumers' side. It is kept from calling home.
"""

import io
import math
import struct
import threading
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from carpipe.errors import InputError
from carpipe.no_telemetry import silence_openvino
from carpipe.pictures.model_input import Pixels
from carpipe.probabilities import Probabilities

# Largest deviation of a probability from the published one. Other processors sum in another order, which makes 1e-6 or
# so; bfloat16 arithmetic, a wrong channel order or other weights make 1e-2 and more.
TOLERANCE = 1e-3
# Bytes of the golden pictures and their answers, unpacked: sixteen pictures of 600 px have 17 million.
MAX_GOLDEN_BYTES = 2**28
# Pictures per forward pass: bounds the memory of large batches.
BATCH = 32
# Names of the outputs behind the first, and of what golden pictures say of them.
LIKENESS, YEAR, VIEWS = "likeness", "year", "views"
# How far each may be off: years are no probabilities, and nobody sees a twentieth of one.
TOLERANCES = {LIKENESS: TOLERANCE, YEAR: 0.05, VIEWS: TOLERANCE}
# The file of a model that says so of each.
SAID_BY = {LIKENESS: "known.json", YEAR: "years.json", VIEWS: "views.json"}

Numbers = np.ndarray[Any, np.dtype[np.float32]]


class Outputs(NamedTuple):
    """What a network gives for n pictures: probabilities (n, classes), and what it says beside them, or None.

    `likeness` and `year` are (n,), `views` are probabilities (n, views).
    """

    probabilities: Probabilities
    likeness: Numbers | None
    year: Numbers | None
    views: Probabilities | None


class Network:
    """A compiled network, safe to share between threads.

    Takes uint8 (n, side, side, 3) in RGB, gives float32 probabilities (n, classes). `has_likeness` is whether it says
    too how like its classes a picture looks, `has_year` by how many years a car looks newer than others.
    """

    def __init__(self, xml: Path):
        """Load and compile for the processor.

        Raises:
            InputError: OpenVINO cannot read it.
        """
        silence_openvino()
        import openvino

        # Half-precision where the processor has it would be faster, and not what was judged and published.
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        try:
            self._compiled = openvino.Core().compile_model(str(xml), "CPU", options)
        except RuntimeError as error:
            raise InputError(f"OpenVINO cannot load {xml}: {str(error).strip().splitlines()[-1]}") from None
        names = [output.get_names() for output in self._compiled.outputs]
        self._beside = {
            name: number for name in TOLERANCES for number, known in enumerate(names) if number and name in known
        }
        self.has_likeness, self.has_year = (name in self._beside for name in (LIKENESS, YEAR))
        # An inference request holds the buffers of one call: each thread needs its own.
        self._own = threading.local()

    def predict(self, pictures: Pixels) -> Probabilities:
        """Probabilities as the network gives them, uncalibrated.

        Raises:
            InputError: the pictures are not what the network takes.
        """
        return self.run(pictures).probabilities

    def look(self, pictures: Pixels) -> tuple[Probabilities, Numbers | None]:
        """Probabilities as `predict` gives them, and the likeness (n,), None where the network does not say it.

        Raises:
            InputError: the pictures are not what the network takes.
        """
        found = self.run(pictures)
        return found.probabilities, found.likeness

    def run(self, pictures: Pixels) -> Outputs:
        """All that the network says of pictures.

        Raises:
            InputError: the pictures are not what the network takes.
        """
        chunks = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
        try:
            found = [self._infer(chunk) for chunk in chunks]
            beside = {name: np.concatenate([one[name] for one in found]) for name in self._beside}
            return Outputs(np.concatenate([one[""] for one in found]), *map(beside.get, (LIKENESS, YEAR, VIEWS)))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"The network takes no pictures of shape {pictures.shape}: {error}") from None

    def _infer(self, chunk: Pixels) -> dict[str, Numbers]:
        """By name, the probabilities under none. Copied: the request gives its buffers to the next chunk."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer([chunk])
        beside = {name: np.array(found[at], np.float32) for name, at in self._beside.items()}
        flat = {name: numbers if name == VIEWS else numbers.reshape(len(chunk)) for name, numbers in beside.items()}
        return {"": np.array(found[0], dtype=np.float32), **flat}


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
        ours, theirs = getattr(found, name), said.get(name)
        expected = (len(answers), views) if name == VIEWS else (len(answers),)
        if ours is None or theirs is None or not ours.shape == theirs.shape == expected:
            what = f"{views} views" if name == VIEWS else f"a {name}"
            raise InputError(
                f"The model has a {SAID_BY[name]}, but its network or its golden pictures do not say {what} for each; "
                "it was put together wrong."
            )
        off = _checked(float(np.abs(ours - theirs).max()), TOLERANCES[name])
        deviation = max(deviation, off) if name != YEAR else deviation
    return deviation


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
        struct.error, SyntaxError, tokenize.TokenError, MemoryError,
    )  # fmt: skip
    try:
        with zipfile.ZipFile(io.BytesIO(golden)) as file:
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
