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
from pathlib import Path
from typing import Any

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
# Name of the second output, and of what golden pictures say of it.
LIKENESS = "likeness"
# The same of a car filter that tells views.
VIEWS = "views"

# What reading an archive of arrays that somebody else has made may raise.
_UNREADABLE = (
    ValueError, OSError, KeyError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
    struct.error, SyntaxError, tokenize.TokenError, MemoryError,
)  # fmt: skip

Likeness = np.ndarray[Any, np.dtype[np.float32]]


class Network:
    """A compiled network, safe to share between threads.

    Takes uint8 (n, side, side, 3) in RGB, gives float32 probabilities (n, classes). `has_likeness` is whether it says
    too how like its classes a picture looks.
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
        self._likeness = next((number for number, known in enumerate(names) if number and LIKENESS in known), None)
        self.has_likeness = self._likeness is not None
        self._views = next((number for number, known in enumerate(names) if number and VIEWS in known), None)
        # An inference request holds the buffers of one call: each thread needs its own.
        self._own = threading.local()

    def predict(self, pictures: Pixels) -> Probabilities:
        """Probabilities as the network gives them, uncalibrated.

        Raises:
            InputError: the pictures are not what the network takes.
        """
        return self.look(pictures)[0]

    def look(self, pictures: Pixels) -> tuple[Probabilities, Likeness | None]:
        """Probabilities as `predict` gives them, and the likeness (n,), None where the network does not say it.

        Raises:
            InputError: the pictures are not what the network takes.
        """
        chunks = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
        try:
            found = [self._infer(chunk) for chunk in chunks]
            likeness = np.concatenate([one for _, one in found]) if self.has_likeness else None
            return np.concatenate([p for p, _ in found]), likeness
        except (RuntimeError, ValueError) as error:
            raise InputError(f"The network takes no pictures of shape {pictures.shape}: {error}") from None

    def look_round(self, pictures: Pixels) -> tuple[Probabilities, Probabilities | None]:
        """Probabilities as `predict` gives them, and of each view (n, views), None where the network tells none.

        Raises:
            InputError: the pictures are not what the network takes.
        """
        if self._views is None:
            return self.predict(pictures), None
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = []
        try:
            for start in range(0, len(pictures), BATCH):
                answers = self._own.request.infer([pictures[start : start + BATCH]])
                # Copied: the request gives its buffers to the next chunk.
                found.append([np.array(answers[output], dtype=np.float32) for output in (0, self._views)])
            p, views = (np.concatenate(parts) for parts in zip(*found, strict=True))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"The network takes no pictures of shape {pictures.shape}: {error}") from None
        return p, views

    def _infer(self, chunk: Pixels) -> tuple[Probabilities, Likeness]:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer([chunk])
        likeness = found[self._likeness].reshape(len(chunk)) if self._likeness is not None else ()
        return np.array(found[0], dtype=np.float32), np.array(likeness, dtype=np.float32)


def replay(network: Network, golden: bytes, *, classes: int, side: int, likeness: bool = False) -> float:
    """Feed the published pictures; return how far the worst probability or likeness is off, at most `TOLERANCE`.

    Args:
        golden: the file `golden.npz`.
        classes: how many the labels name.
        side: pixels, that pictures are stretched to.
        likeness: whether the model says it: then the network must give it, and the pictures must have it.

    Raises:
        InputError: the answers are others than those published, or not of that many classes; or the pictures are not of
            that side.
    """
    pictures, published, alike = _read_golden(golden, likeness=likeness)
    if pictures.shape[1:] != (side, side, 3):
        raise InputError(
            f"golden.npz holds pictures of {pictures.shape[1:]}, expected ({side}, {side}, 3), as preprocessing.json "
            "says; the model was put together wrong."
        )
    answers, likenesses = network.look(pictures)
    if not len(answers) or answers.shape != published.shape or answers.shape[1] != classes:
        raise InputError(
            f"The model answers {answers.shape} on its golden pictures, published are {published.shape} and "
            f"{classes} labels; it was put together wrong."
        )
    deviation = float(np.abs(answers - published).max())
    if likeness:
        if likenesses is None or alike is None or likenesses.shape != alike.shape:
            raise InputError(
                "The model has a known.json, but its network or its golden pictures do not say a likeness for each; "
                "it was put together wrong."
            )
        deviation = float(np.max([deviation, np.abs(likenesses - alike).max()]))  # what is no number stays so
    if not deviation <= TOLERANCE:
        raise InputError(
            f"The model's answers on its golden pictures are off by {deviation:.2g}, allowed are {TOLERANCE:g}; "
            "do not trust it on this machine."
        )
    return deviation


def replay_views(network: Network, golden: bytes, *, views: int) -> float:
    """As `replay`, of the views that a car filter tells: how far the worst probability is off, at most `TOLERANCE`.

    Args:
        views: how many views.json names.

    Raises:
        InputError: the answers are others than those published, or not of that many views.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(golden)) as file:
            pictures, published = (_read_array(file, f"{name}.npy") for name in ("pictures", VIEWS))
    except _UNREADABLE as error:
        raise InputError(f"golden.npz holds no pictures and views: {error}.") from None
    _, answers = network.look_round(pictures)
    if answers is None or published.dtype.kind != "f" or not answers.shape == published.shape == (len(answers), views):
        raise InputError(
            f"The model has a views.json of {views} views, but its network or its golden pictures do not say so many "
            "for each; it was put together wrong."
        )
    deviation = float(np.abs(answers - published).max())
    if not deviation <= TOLERANCE:
        raise InputError(
            f"The views that the model tells on its golden pictures are off by {deviation:.2g}, allowed are "
            f"{TOLERANCE:g}; do not trust it on this machine."
        )
    return deviation


def _read_golden(golden: bytes, *, likeness: bool = False) -> tuple[Pixels, Probabilities, Likeness | None]:
    """What `golden.npz` holds. Little data can unpack to very much: what its headers say is looked at first."""
    try:
        with zipfile.ZipFile(io.BytesIO(golden)) as file:
            pictures, published = (_read_array(file, f"{name}.npy") for name in ("pictures", "probabilities"))
            has = likeness and f"{LIKENESS}.npy" in file.namelist()
            alike = _read_array(file, f"{LIKENESS}.npy") if has else None
    except _UNREADABLE as error:
        raise InputError(f"golden.npz holds no pictures and probabilities: {error}.") from None
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or published.dtype.kind != "f" or published.ndim != 2:
        raise InputError(
            f"golden.npz holds pictures of {pictures.dtype} {pictures.shape} and probabilities of {published.dtype} "
            f"{published.shape}, expected uint8 (n, side, side, 3) and floats (n, classes)."
        )
    if alike is not None and (alike.dtype.kind != "f" or alike.ndim != 1):
        raise InputError(f"golden.npz holds a likeness of {alike.dtype} {alike.shape}, expected floats (n,).")
    return pictures, published, alike


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
