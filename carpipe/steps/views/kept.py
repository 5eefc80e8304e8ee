"""Entries of a folder that never change, such as decisions and scores: each is read and parsed once."""

from collections.abc import Callable
from typing import TypeVar

from carpipe.errors import InputError
from carpipe.forms import LaterFormError
from carpipe.steps import bundles
from carpipe.steps.cache import ResultCache

T = TypeVar("T")


def read_all(
    cache: ResultCache,
    folder: str,
    parse: Callable[..., T],
    *,
    newest: int = 0,
    passed_over: type[InputError] = LaterFormError,
) -> list[T | None]:
    """What lies in a folder, in the order of names, None for what is passed over; the last `newest`, 0: all."""
    known: dict[str, T | None] = cache.get(("parsed", folder, passed_over), dict)

    def read(key: str, data: bytes) -> T | None:
        try:
            return parse(data, key=key)
        except passed_over:
            return None

    return bundles.parsed(cache.session, folder, known, read, newest=newest)
