"""One byte many times over: what is left where something has written over a part of a file."""

import re
from collections.abc import Iterator

import numpy as np

# Bytes. Compressed data of photos hardly repeat one byte ten times, and an overwritten sector has 512.
SHORTEST = 64
_RUN = re.compile(rb"(.)\1{63}", re.DOTALL)
_WORD = 8
_EVERY_BYTE = np.uint64(0x0101010101010101)


def find_runs(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """(start, stop) of each stretch of at least `SHORTEST` equal bytes in data[begin:end]; it may reach beyond."""
    last = len(data) if end is None else end
    words = np.frombuffer(data, "<u8", max(last - begin, 0) // _WORD, begin)
    apart = SHORTEST // _WORD - 2  # such a stretch holds seven whole words, all the same
    if len(words) <= apart:
        return
    places = np.flatnonzero(words[apart:] == words[:-apart])
    if not len(places):
        return
    position = begin
    for place in places[words[places] == (words[places] & np.uint64(255)) * _EVERY_BYTE].tolist():
        word = begin + place * _WORD
        if word >= position and (found := _RUN.search(data, max(position, word - _WORD), word + 2 * SHORTEST)):
            position = _end_of_run(data, found.end())
            yield found.start(), position


def _end_of_run(data: bytes, position: int) -> int:
    """Where the byte that is before `position` no longer repeats."""
    byte, step = data[position - 1 : position], 4096
    while data[position : position + step] == byte * step:
        position += step
    tail = data[position : position + step]
    return position + len(tail) - len(tail.lstrip(byte))
