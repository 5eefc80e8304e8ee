"""Photos that people name by their keys: which of them lie under `raw/`, and which do not."""

from collections.abc import Collection
from dataclasses import replace

from carpipe.names import is_odd, match_key, normalise_key
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo


def photos_named(session: Session, keys: Collection[str]) -> list[ObjectInfo]:
    """The photos of these keys, sorted, as they lie in the bucket, without `raw/`. Lists the folders they name alone.

    Args:
        keys: in composed Unicode (NFC); some uploader may have named the photos in decomposed Unicode.
    """
    wanted = {key.partition("/")[0] for key in keys}
    # As they are really written: in one name, some letters may be composed and others not.
    folders = [one for one in session.store.list_folders("raw") if _top(one) in wanted]
    listed = (info for folder in folders for info in session.store.list_objects(folder) if not is_odd(info.key))
    there = (replace(info, key=info.key.removeprefix("raw/")) for info in listed)
    return sorted((info for info in there if match_key(info.key) in keys), key=lambda info: info.key)


def count_unknown(session: Session, keys: Collection[str]) -> int:
    """How many of the keys are of no photo under `raw/`."""
    return len({*keys} - {match_key(info.key) for info in photos_named(session, keys)})


def describe_unknown(session: Session, keys: Collection[str]) -> list[str]:
    """How many of these labelled photos are not under `raw/`, as a line of text; no line where all are there."""
    missing = count_unknown(session, keys)
    if not missing:
        return []
    if missing == 1:
        return ["1 of them is not under raw/; its label counts once it is there"]
    return [f"{missing:,} of them are not under raw/; their labels count once they are there"]


def _top(folder: str) -> str:
    """A folder right under `raw/` as the keys of labels begin with it."""
    return normalise_key(folder.removeprefix("raw/").lstrip())
