"""A published network in 8-bit numbers: a processor works on them faster, and its answers are no longer the same."""

import tempfile
from pathlib import Path

from carpipe import quantization
from carpipe.no_telemetry import silence_openvino
from carpipe.pictures.model_input import Pixels
from carpipe.weights.contract import NETWORK


def quantize(xml: Path, pictures: Pixels) -> dict[str, bytes]:
    """The two files of a network like the given one, by name; its outputs keep their order and their names.

    Args:
        xml: of the published network.
        pictures: that ranges are taken from, some hundred: uint8 (n, side, side, 3) in RGB.

    Raises:
        InputError: the package nncf is missing, or it cannot do that with this network.
    """
    silence_openvino()
    import openvino

    made = quantization.quantize(openvino.Core().read_model(str(xml)), [one[None] for one in pictures])
    with tempfile.TemporaryDirectory(prefix="carpipe-int8-") as scratch:
        path = Path(scratch) / NETWORK[0]
        openvino.save_model(made, path, compress_to_fp16=False)
        return {name: (path.parent / name).read_bytes() for name in NETWORK}
