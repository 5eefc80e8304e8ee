"""An OpenVINO model looked at before OpenVINO: plain XML, weights inside its .bin, operators of OpenVINO alone.

OpenVINO refuses most of what is odd, but an operator with a state that nothing describes ends the process.
Form: https://docs.openvino.ai/2025/documentation/openvino-ir-format.html
"""

import re
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from carpipe.errors import InputError

_MAX_DEPTH = 64  # a layer in the body of a loop lies 8 deep
_OPERATORS = re.compile(r"opset[0-9]{1,3}")
# They keep something from one picture to the next, which no detector does.
_STATE = {"ReadValue", "Assign"}
_NUMBER = re.compile(r"[0-9]{1,18}")


def check(xml: Path, weights: Path) -> None:
    """Raise where the .xml is no OpenVINO model that stands by itself, with its weights in the .bin.

    Raises:
        InputError: the message is the part after "... is not taken: ".
    """
    try:
        text = xml.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("its .xml is no text in UTF-8") from error
    reader = _Reader(weights.stat().st_size)
    try:
        reader.parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise InputError(f"its .xml is broken ({error})") from error


class _Reader:
    """Raises as soon as something is wrong, so that no entity is ever declared."""

    def __init__(self, weights: int):
        self._weights = weights
        self._depth = 0
        self._layers: list[str] = []  # types of those that are open: a loop has others in its body
        self.parser = expat.ParserCreate("UTF-8")
        self.parser.StartDoctypeDeclHandler = _refuse_declarations
        self.parser.EntityDeclHandler = _refuse_declarations
        self.parser.StartCdataSectionHandler = _refuse_cdata
        self.parser.ProcessingInstructionHandler = _refuse_instructions
        self.parser.StartElementHandler = self._begin
        self.parser.EndElementHandler = self._end

    def _begin(self, name: str, said: dict[str, str]) -> None:
        if not self._depth and name != "net":
            raise InputError("its .xml is no OpenVINO model: that begins with <net")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise InputError("its .xml is nested too deep")
        if name == "layer":
            _check_layer(said)
            self._layers.append(said.get("type", ""))
        elif name == "data" and said.keys() & {"offset", "size"} and self._layers[-1:] in ([], ["Const"]):
            # Of a Const these are a place in the .bin; PriorBox and LRN have settings of such a name.
            self._check_place(said.get("offset", ""), said.get("size", ""))

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "layer":
            self._layers.pop()

    def _check_place(self, offset: str, size: str) -> None:
        numbers = _NUMBER.fullmatch(offset) and _NUMBER.fullmatch(size)
        if not numbers or int(offset) + int(size) > self._weights:
            raise InputError(f"its .xml has weights outside of its .bin of {self._weights:,} bytes")


def _check_layer(said: dict[str, str]) -> None:
    kind, operators = said.get("type", ""), said.get("version", "")
    if not _OPERATORS.fullmatch(operators):
        raise InputError(f"its .xml uses operators of {operators[:40]!r}, which are not OpenVINO's own")
    if kind in _STATE:
        raise InputError(f"its .xml has the operator {kind}, which keeps a state between pictures")


def _refuse_declarations(*_: object) -> NoReturn:
    raise InputError("its .xml declares a document type or entities, which OpenVINO's never does")


def _refuse_cdata(*_: object) -> NoReturn:
    raise InputError("its .xml has a CDATA section, which OpenVINO's never has")


def _refuse_instructions(*_: object) -> NoReturn:
    raise InputError("its .xml gives instructions to its readers, which OpenVINO's never does")
