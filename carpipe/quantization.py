"""Networks in 8-bit numbers: post-training quantization (arXiv 1712.05877), by nncf.

Weights and what flows between layers are rounded to 256 steps. The ranges come from what the network is shown.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from carpipe.errors import InputError
from carpipe.machine import looking_at
from carpipe.names import brief


def quantize(
    model: Any,
    inputs: Sequence[Any],
    *,
    keep: Sequence[str] = (),
    in_numbers: Callable[[Any], Any] | None = None,
) -> Any:
    """An OpenVINO model in 8-bit numbers.

    Args:
        model: an `openvino.Model` with one input.
        inputs: what it takes, some hundred; all of them are looked at.
        keep: names of operations that stay as they are.
        in_numbers: makes of one of the inputs the array that the model takes, when it is looked at; None: it is one.

    Raises:
        InputError: the package nncf is missing, or it cannot do that with this network.
        UnavailableError: memory has run out.
    """
    nncf = _import_nncf()
    try:
        with looking_at("The network"):
            made = nncf.quantize(
                model, nncf.Dataset(inputs, in_numbers), preset=nncf.QuantizationPreset.MIXED, subset_size=len(inputs),
                ignored_scope=nncf.IgnoredScope(names=list(keep), validate=False),
            )  # fmt: skip
    except (RuntimeError, nncf.ValidationError) as error:
        told = brief(str(error).strip().rpartition("\n")[2])
        raise InputError(f"nncf cannot put this network into 8-bit numbers: {told}.") from None
    if not any(operation.get_type_name() == "FakeQuantize" for operation in made.get_ops()):
        raise InputError("nncf has put nothing of this network into 8-bit numbers.")
    return made


def _import_nncf() -> Any:
    try:
        import nncf
    except ModuleNotFoundError:
        raise InputError("8-bit numbers take nncf, which is not installed; install the extra `pipeline`.") from None
    # Not by `nncf.set_log_level`: that sets the level of whatever handlers others have added to this logger, too.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf
