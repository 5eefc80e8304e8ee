"""Labels looked back at: a person's own, the newest first, and examples of what people and the filter agree on."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carpipe.steps.labels.drawing import Drawn
from carpipe.steps.people.rows import parse_time, write_time
from carpipe.steps.people.store import Said, current, disputed

# Photos by the key that labels have, which is in NFC.
Known = Mapping[str, Drawn]


@dataclass(frozen=True)
class Given:
    """A label that a person has given, and the photo where a sample of theirs knows it.

    `at` is UTC, ISO 8601. `copies` are keys of photos of the same picture that were given the same label with it.
    """

    key: str
    label: str
    at: str
    photo: Drawn | None
    copies: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it stands among one's own labels: what comes after it is asked for by this."""
        return f"{self.at} {self.key}"


def own_labels(said: Iterable[Said], by: str, *, known: Known, word: str = "") -> list[Given]:
    """A person's last word on each photo, the newest first; one for all copies that were labelled at once.

    Args:
        said: in the order in which it counts.
        word: only this label; empty: all.
    """
    last = {one.about: one for one in said if one.by == by}
    mine = sorted((one for one in last.values() if word in ("", one.word)), key=_newest_first)
    groups: dict[Any, list[Said]] = {}
    for one in mine:
        photo = known.get(one.about)
        groups.setdefault((photo.picture if photo else one.about, one.word, one.at), []).append(one)
    return [
        Given(first.about, first.word, write_time(first.at), known.get(first.about), tuple(one.about for one in others))
        for first, *others in groups.values()
    ]


def after(given: Sequence[Given], place: str) -> list[Given]:
    """Those that come after a place; all where it is empty. A label that is given meanwhile moves none of them.

    Raises:
        InputError: it is no place.
    """
    if not place:
        return list(given)
    at, _, key = place.partition(" ")
    wanted = (-parse_time(at, "The place among the labels").timestamp(), key)
    return [one for one in given if (-parse_time(one.at, "A label").timestamp(), one.key) > wanted]


def examples(said: Sequence[Said], *, known: Known, words: Iterable[str], most: int) -> dict[str, list[Drawn]]:
    """Labelled photos of each word, of which the filter says the same and nobody another thing; equal for equal labels.

    Args:
        most: of a word.
    """
    in_dispute, found = disputed(said), {word: dict[int, Drawn]() for word in words}
    for key, one in sorted(current(said).items(), key=lambda item: hashlib.sha256(item[0].encode()).digest()):
        photo = known.get(key)
        if photo and photo.word == one.word and key not in in_dispute and len(found[one.word]) < most:
            found[one.word].setdefault(photo.picture, photo)
    return {word: list(photos.values()) for word, photos in found.items()}


def _newest_first(one: Said) -> tuple[float, str]:
    at: datetime = one.at  # type: ignore[assignment]  # what was read has a time
    return -at.timestamp(), one.about
