"""Photos as they lie under `raw/`, read while a stage works on the ones before."""

from collections.abc import Iterable, Iterator, Mapping

from carpipe.steps.session import Session


class Raw:
    """(photo key, bytes) of photos under `raw/`, fetched ahead; counts the bytes that went through.

    Args:
        instead: repaired copies, by photo key, that take the place of the originals.
    """

    def __init__(self, session: Session, keys: Iterable[str], *, instead: Mapping[str, bytes] | None = None):
        self.bytes = 0
        self._instead = instead or {}
        self._files = session.store.get_many(f"raw/{key}" for key in keys)

    def __iter__(self) -> Iterator[tuple[str, bytes | None]]:
        for name, data in self._files:
            self.bytes += len(data or b"")
            key = name.removeprefix("raw/")
            yield key, data and self._instead.get(key, data)
