"""What a `.keras` file holds, looked at before Keras opens it: an archive of JSON and numbers.

A backbone of one's own comes from elsewhere. Keras' safe mode refuses code; this refuses what could be code before any
of it is made, and files that unpack to more than a backbone has. What is made of it are Keras' own layers alone.
"""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carpipe import forms
from carpipe.errors import InputError
from carpipe.machine import looking_at
from carpipe.names import brief

_METADATA, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
# Of the archive, and of what its weights say they are. Of keras.applications, ConvNeXtXLarge alone has more (1.4 GB).
MAX_UNPACKED_BYTES = 2**30
# The modules whose classes describe layers and how they compute. What Keras can read or fetch files with is elsewhere.
_PUBLIC = {
    "keras": {"DTypePolicy", "Functional", "Model", "Sequential"},
    "keras.constraints": None, "keras.initializers": None, "keras.layers": None, "keras.models": None,
    "keras.regularizers": None,
}  # fmt: skip
_INNER = ("keras.src.applications.", "keras.src.layers.", "keras.src.models.", "keras.src.ops.")
# Values, not classes.
_VALUES = {"__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__", "__tuple__"}
# Layers that run what they are given, or open files. None has to do with pictures but the first.
_CODE = {
    "Lambda", "FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper", "IntegerLookup", "StringLookup",
    "TextVectorization", "HashedCrossing", "Hashing",
}  # fmt: skip
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, RuntimeError, NotImplementedError, EOFError, KeyError,
    ValueError,
)  # fmt: skip


def check(path: Path) -> None:
    """Look at a `.keras` file as bytes and JSON; nothing of it is made.

    Raises:
        InputError: it is none, unpacks to more than `MAX_UNPACKED_BYTES`, or names anything but layers of Keras that
            hold no code.
    """
    try:
        with looking_at(path.name, path), zipfile.ZipFile(path) as archive:
            _check_members(archive)
            config = archive.read(_CONFIG)
            weights = _unpacked(archive.read(_WEIGHTS))
    except _UNREADABLE as error:
        raise InputError(
            f"{path.name} is no .keras file: {brief(str(error), max_characters=200)}. {_WAY_OUT}"
        ) from None
    if weights > MAX_UNPACKED_BYTES:
        raise InputError(f"{path.name} holds {weights:,} bytes of weights, expected at most {MAX_UNPACKED_BYTES:,}.")
    parsed = forms.parse(config, key=f"{_CONFIG} of {path.name}", what="a Keras model", figures=(forms.ALL,))
    if not isinstance(parsed, dict):
        raise InputError(f"{_CONFIG} of {path.name} is no Keras model. {_WAY_OUT}")
    # How it was trained before may name anything, and is never read.
    for found in _classes({name: value for name, value in parsed.items() if name != "compile_config"}):
        _check_class(path, found)


_WAY_OUT = "Make one with `model.save(<name>.keras)` of Keras 3."


def _check_members(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    names = sorted(entry.filename for entry in entries)
    if names != sorted({_METADATA, _CONFIG, _WEIGHTS}):
        shown = ", ".join(brief(name) for name in names[:5]) or "nothing"
        raise ValueError(f"it holds {shown}, expected {_METADATA}, {_CONFIG} and {_WEIGHTS}")
    if (size := sum(entry.file_size for entry in entries)) > MAX_UNPACKED_BYTES:
        raise ValueError(f"it unpacks to {size:,} bytes, expected at most {MAX_UNPACKED_BYTES:,}")
    if (size := archive.getinfo(_CONFIG).file_size) > forms.MAX_JSON_BYTES:
        raise ValueError(f"{_CONFIG} has {size:,} bytes, expected at most {forms.MAX_JSON_BYTES:,}")


def _unpacked(data: bytes) -> int:
    """Bytes that all tables of an HDF5 file say they have. A compressed one can say very much in few bytes."""
    import h5py  # Keras brings it along

    sizes: list[int] = []

    def add(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(math.prod(item.shape or ()) * item.dtype.itemsize)

    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(add)
    return sum(sizes)


def _classes(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in a configuration that names a class."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for part in value.values():
            yield from _classes(part)
    elif isinstance(value, list):
        for part in value:
            yield from _classes(part)


def _check_class(path: Path, found: dict[str, Any]) -> None:
    name, module = str(found["class_name"]), found.get("module")
    what = f"{path.name} holds {brief(name)}" + (f" of {brief(str(module))}" if module else "")
    if name in _CODE or name in ("function", "__lambda__"):
        raise InputError(
            f"{what}: code, or a layer that opens files, and neither is loaded. Save it with layers of Keras in its "
            "place: Rescaling or Normalization do what a Lambda does most often."
        )
    if module is None and name in _VALUES:
        return
    public = _PUBLIC.get(str(module), set())
    inner = str(module).startswith(_INNER) and found.get("registered_name") in (None, name)
    if not inner and public is not None and name not in public:
        raise InputError(
            f"{what}: no class of Keras for layers. Only those are loaded, for others are code. Save it with layers of "
            "Keras alone."
        )
