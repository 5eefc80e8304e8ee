"""Running published weights: the OpenVINO network.

The only module that knows openvino at consumers' side. It is kept from calling home.
"""

import ctypes
import os
import weakref
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from carpipe.errors import InputError
from carpipe.machine import looking_at
from carpipe.no_telemetry import silence_openvino
from carpipe.pictures.model_input import Pixels
from carpipe.probabilities import Probabilities

# Pictures per forward pass: so many stay in a processor's cache, and more are slower (benchmarks/car_filter.py).
BATCH = 8
# Names of the outputs behind the first, and of what golden pictures hold of them.
LIKENESS, YEAR, VIEWS = "likeness", "year", "views"
BESIDE = (LIKENESS, YEAR, VIEWS)

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
    """A compiled network, safe to share between threads and with forks. Another process loads it anew from its file.

    Takes uint8 (n, side, side, 3) in RGB, gives float32 probabilities (n, classes). `beside` names what it says
    beside them: how like its classes a picture looks, by how many years a car looks newer, from where it is seen.
    """

    def __init__(self, xml: Path, *, streams: int = 1):
        """Load and compile for the processor.

        Args:
            streams: calls at a time. With one, all cores work on a call, and it is answered soonest. With one per core,
                more are answered in all, as threads need not wait for each other.

        Raises:
            InputError: OpenVINO cannot read it.
            UnavailableError: memory or handles are missing, see `carpipe.machine.looking_at`.
        """
        silence_openvino()
        import openvino

        self._file, self._streams = xml, streams
        # Half-precision where the processor has it would be faster, and not what was judged and published.
        hint = {"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"NUM_STREAMS": str(streams)}
        options = {"INFERENCE_PRECISION_HINT": "f32", **hint}
        try:
            with looking_at(f"The network {xml}", xml, xml.with_suffix(".bin")):
                self._compiled = openvino.Core().compile_model(str(xml), "CPU", options)
        except RuntimeError as error:
            raise InputError(f"OpenVINO cannot load {xml}: {str(error).strip().splitlines()[-1]}") from None
        names = [output.get_names() for output in self._compiled.outputs]
        self._beside = {
            name: number for name in BESIDE for number, known in enumerate(names) if number and name in known
        }
        self.beside = tuple(self._beside)
        # An inference request holds the buffers of one call: so many are made as there are calls at a time.
        self._free: deque[Any] = deque()
        _ALIVE.add(self)

    def __reduce__(self) -> "tuple[partial[Network], tuple[Path]]":
        """How it is sent to another process: by its file, which has to be there."""
        return partial(Network, streams=self._streams), (self._file,)

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
            with looking_at(f"Pictures of shape {pictures.shape}"):
                found = [self._infer(chunk) for chunk in chunks]
                beside = {name: np.concatenate([one[name] for one in found]) for name in self._beside}
                return Outputs(np.concatenate([one[""] for one in found]), *map(beside.get, BESIDE))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"The network takes no pictures of shape {pictures.shape}: {error}") from None

    def _infer(self, chunk: Pixels) -> dict[str, Numbers]:
        """By name, the probabilities under none. Copied: the request gives its buffers to the next chunk."""
        try:
            request = self._free.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            found = request.infer([chunk])
            beside = {name: np.array(found[at], np.float32) for name, at in self._beside.items()}
            flat = {name: numbers if name == VIEWS else numbers.reshape(len(chunk)) for name, numbers in beside.items()}
            return {"": np.array(found[0], dtype=np.float32), **flat}
        finally:
            self._free.append(request)

    def _keep_for_ever(self) -> None:
        """In a fork, OpenVINO waits for threads that are not there when it gives back what it holds."""
        for one in (self._compiled, *self._free):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


_ALIVE: "weakref.WeakSet[Network]" = weakref.WeakSet()


def _keep_all() -> None:
    for one in _ALIVE:
        one._keep_for_ever()


if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(after_in_child=_keep_all)
