"""An ONNX file looked at as what it is, protobuf messages within messages: no weights outside of it, no odd operators.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections.abc import Iterator
from pathlib import Path

from carpipe.errors import InputError
from carpipe.pictures.varint import read_varint

_IR_VERSION, _GRAPH, _OPSETS, _METADATA, _TRAINING, _FUNCTIONS = 1, 7, 8, 14, 20, 25
_KNOWN = {_IR_VERSION, 2, 3, 4, 5, 6, _GRAPH, _OPSETS, _METADATA, _TRAINING, _FUNCTIONS, 26}
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of a graph
_ATTRIBUTE, _DOMAIN = 5, 7  # of a node
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS, _SPARSES = 5, 6, 10, 11, (22, 23)  # of an attribute
_EXTERNAL, _LOCATION = 13, 14  # of a tensor
_MAX_DEPTH = 8  # of loops and conditions within each other
_MAX_TEXT_CHARACTERS = 2**18

Field = tuple[int, int | memoryview]


def check(file: Path) -> None:
    """Raise where the file is no ONNX model that stands by itself.

    Raises:
        InputError: the message is the part after "... is not taken: ".
    """
    fields = _read(file)
    numbers = {number for number, _ in fields}
    if not {_IR_VERSION, _GRAPH, _OPSETS} <= numbers <= _KNOWN or fields[0][0] != _IR_VERSION:
        raise InputError("it is no ONNX model")
    if numbers & {_TRAINING, _FUNCTIONS}:
        raise InputError("it has functions or training steps of its own")
    for number, value in fields:
        if number == _GRAPH:
            _check_graph(value, depth=0)


def read_metadata(file: Path) -> dict[str, str]:
    """What ultralytics wrote about an exported model: names of classes, stride, size of the input."""
    found = {}
    for number, value in _read(file):
        if number == _METADATA:
            entry = dict(_fields(value))
            key, text = (bytes(_message(entry.get(part, memoryview(b"")))) for part in (1, 2))
            found[key.decode()] = text.decode()
    if sum(map(len, found.values())) > _MAX_TEXT_CHARACTERS:
        raise InputError(f"its metadata has more than {_MAX_TEXT_CHARACTERS:,} characters")
    return found


def _read(file: Path) -> list[Field]:
    try:
        return list(_fields(memoryview(file.read_bytes())))
    except (IndexError, ValueError) as error:
        raise InputError("it is no ONNX model") from error


def _check_graph(value: int | memoryview, *, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise InputError("its graphs are nested too deep")
    try:
        for number, part in _fields(value):
            if number == _NODE:
                _check_node(part, depth=depth)
            elif number == _INITIALIZER:
                _check_tensor(part)
            elif number == _SPARSE:
                _check_sparse(part)
    except (IndexError, ValueError) as error:
        raise InputError("its graph is broken") from error


def _check_node(value: int | memoryview, *, depth: int) -> None:
    for number, part in _fields(value):
        if number == _DOMAIN and bytes(_message(part)) not in (b"", b"ai.onnx"):
            raise InputError(f"it uses operators of {bytes(_message(part)).decode(errors='replace')!r}")
        if number != _ATTRIBUTE:
            continue
        for inner, held in _fields(part):
            if inner in (_TENSOR, _TENSORS):
                _check_tensor(held)
            elif inner in (_SUBGRAPH, _SUBGRAPHS):
                _check_graph(held, depth=depth + 1)
            elif inner in _SPARSES:
                _check_sparse(held)


def _check_sparse(value: int | memoryview) -> None:
    for number, part in _fields(value):
        if number in (1, 2):
            _check_tensor(part)


def _check_tensor(value: int | memoryview) -> None:
    for number, part in _fields(value):
        if number == _EXTERNAL or (number == _LOCATION and part):
            raise InputError("its weights lie in other files; export it into one")


def _fields(value: int | memoryview) -> Iterator[Field]:
    """(number, number or bytes) of each field of a message; fixed-width ones come as bytes."""
    data, at = _message(value), 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag >= 1 << 32:  # protobuf's readers would drop the bits above
            raise ValueError(f"tag {tag}")
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            plain, at = read_varint(data, at)
            yield number, plain
            continue
        if kind not in (1, 2, 5) or number == 0:
            raise ValueError(f"wire type {kind}")
        length, at = read_varint(data, at) if kind == 2 else ((8, at) if kind == 1 else (4, at))
        if at + length > len(data):
            raise ValueError("a field longer than its message")
        yield number, data[at : at + length]
        at += length


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number in place of a message")
    return value
