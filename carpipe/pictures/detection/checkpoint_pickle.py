"""What a checkpoint's pickle would do, found out by running it with nothing behind the names.

PyTorch and ultralytics refuse by themselves, in their safe mode, what is not on their lists. This comes before: a
pickle that names anything but layers, tensors and plain data is refused unread by them, and so is one that calls a
layer's constructor (a checkpoint never does, and some constructors read files or download) or hangs hooks on a layer.
"""

import io
import pickle
import re
from typing import Any, NoReturn

from carpipe.errors import InputError

# What checkpoints of ultralytics name: layers, whose constructors are never called, and what tensors, arrays and plain
# data are put together with.
_LAYERS = ("ultralytics.", "torch.nn.", "torchvision.")
# What a training's settings are kept in as long as it runs: pickle makes an empty one, and fills it.
_SETTINGS = {"ultralytics.utils.IterableSimpleNamespace", "ultralytics.yolo.utils.IterableSimpleNamespace"}
_BUILTINS = "set|frozenset|getattr|slice|complex|bytearray|dict|list|tuple|int|float"
_KNOWN = re.compile(
    rf"(?:builtins|__builtin__)\.(?:{_BUILTINS})"
    r"|torch\.(?:Size|device|\w+Storage|storage\.\w+Storage|_utils\._rebuild_\w+|_tensor\._rebuild_from_type_v2)"
    r"|torch\.(?:serialization\._get_layout|torch_version\.TorchVersion|b?float\w*|u?int\w*|half|double|long|bool)"
    r"|numpy\.(?:dtype|ndarray|_?core\.multiarray\.(?:_reconstruct|scalar)|dtypes\.\w+DType)"
    r"|collections\.(?:OrderedDict|defaultdict|Counter)|_codecs\.encode"
    r"|pathlib(?:\._local)?\.(?:Pure)?(?:Posix|Windows)?Path|datetime\.(?:datetime|date|time|timedelta|timezone)"
)


def check(data: bytes) -> None:
    """Raise where the pickle does more than put layers, tensors and plain data together.

    Raises:
        InputError: it names or calls something else, or is broken; the message is the part after "... is not taken: ".
    """
    try:
        _DryRun(io.BytesIO(data)).load()
    except InputError:
        raise
    except Exception as error:  # whatever a broken pickle makes of the machine
        raise InputError(f"its pickle is broken ({type(error).__name__}: {error})") from error


def _is_layer(module: str) -> bool:
    return f"{module}.".startswith(_LAYERS)


class _Called(type):
    """Calls of a class; `where` is module and name of what it stands in for."""

    where: tuple[str, str]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        module, name = cls.where
        # An object of a layer is made without its constructor, as pickle makes all objects.
        if _is_layer(module) and (f"{module}.{name}" not in _SETTINGS or args or kwargs):
            raise InputError(f"its pickle calls {module}.{name}, which a checkpoint never does")
        return object.__new__(cls)  # type: ignore[arg-type]  # mypy takes the class for its metaclass


class _StandIn(metaclass=_Called):
    """Takes everything that a pickle does to an object, and does nothing."""

    where = ("", "")

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            held = part if isinstance(part, dict) else {}
            if hooks := [key for key, value in held.items() if str(key).endswith("_hooks") and value not in ({}, None)]:
                raise InputError(f"its pickle hangs hooks on {'.'.join(self.where)} ({hooks[0]})")

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...

    def update(self, values: Any) -> None: ...

    def add(self, value: Any) -> None: ...


class _Dict(dict[Any, Any]):
    """An OrderedDict: those of layers are asked whether they are empty."""


# In Python and not in C: there, one byte of a number makes a table of 32 GB.
class _DryRun(pickle._Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        if "." in name or not (_is_layer(module) or _KNOWN.fullmatch(f"{module}.{name}")):
            raise InputError(f"its pickle names {module}.{name}, which is no part of a detector")
        if (module, name) == ("collections", "OrderedDict"):
            return _Dict
        return _Called(name, (_StandIn,), {"where": (module, name)})

    stack: list[Any]

    def _flatten(self) -> None:
        """Tuples in tuples cost a dictionary, whose key they are, twice as much with each level."""
        self.stack[-1] = tuple(None if isinstance(part, tuple) else part for part in self.stack[-1])

    def persistent_load(self, pid: Any) -> Any:
        return object()

    def get_extension(self, code: int) -> NoReturn:
        raise InputError("its pickle uses extension codes, which a checkpoint never does")


def _flat(load: Any) -> Any:
    """An opcode's function that makes a tuple, with the tuples in it left out."""

    def load_flat(unpickler: _DryRun) -> None:
        load(unpickler)
        unpickler._flatten()

    return load_flat


_TUPLES = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
_DryRun.dispatch = _DryRun.dispatch | {code[0]: _flat(_DryRun.dispatch[code[0]]) for code in _TUPLES}
