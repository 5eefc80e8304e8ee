"""Labelling on a page: which photos come next, and what people said, batch by batch into the label set.

Everybody draws in an order of their own, so that two people rarely see the same photo. Of photos that show the same
picture one is handed out.
"""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from carpipe.errors import InputError
from carpipe.names import match_key
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.inventory import latest_inventory
from carpipe.steps.labels.drawing import Drawn, How, Sample, draw_pictures
from carpipe.steps.labels.own import Given, after, examples, own_labels
from carpipe.steps.labels.pool import Pool, read_pool
from carpipe.steps.labels.questions import CARS, Question
from carpipe.steps.people.photos import photos_named
from carpipe.steps.people.store import Said, current

# Photos drawn at a time: a day's work and more. Drawing sorts all photos.
DRAWN = 20_000
# Photos whose keys are at hand when their pictures are asked for: some 50 pages of 96.
HANDED_OUT = 5_000
# A label by a clock that was fast was saved as of an earlier time than the page knows: by so much at most.
MAX_FAST = timedelta(minutes=1)
# Of each label, beside the guidelines.
EXAMPLES = 6


@dataclass(frozen=True)
class Progress:
    """Photos labelled so far: in all, by label, and by who asks."""

    labelled: int
    by_label: dict[str, int]
    mine: int


@dataclass(frozen=True)
class Batch:
    """Photos to label now. `after` is where the next batch begins; `left` is how many are drawn but not shown yet."""

    photos: list[Drawn]
    after: int
    left: int
    progress: Progress


@dataclass(frozen=True)
class Own:
    """Labels of one's own. `past` is where the next of them begin; `left` is how many these are."""

    given: list[Given]
    past: str
    left: int
    progress: Progress


@dataclass(frozen=True)
class Saved:
    """What became of labels: how many are in the label set, and those that cannot be, with the reason by key."""

    saved: int
    refused: dict[str, str]
    progress: Progress


class LabelDesk:
    """Hands out photos to label and takes labels in, for many people at once. Safe to share between threads."""

    def __init__(self, cache: ResultCache, question: Question = CARS):
        self._cache, self._question = cache, question
        self._session = cache.session
        # What was read of the labels, and the keys of the photos that were handed out last, by manifest and row.
        self._read: dict[tuple[str, str], list[Any]] = {}
        self._places: dict[tuple[str, int], str] = {}
        # By person, the sample that they were last handed photos of: what the filter says of them stands there.
        self._last: dict[str, Sample] = {}

    def next_batch(self, *, by: str, how: How, after: int, count: int) -> Batch:
        """The next photos of a person's sample that nobody has labelled.

        Args:
            by: the person.
            after: 0, or what the last batch said.

        Raises:
            InputError: there is no inventory, nothing was filtered as it must be, or all is labelled.
        """
        labels = current(self._said())
        drawn = self._sample(by, how)
        todo = [(place, photo) for place, photo in enumerate(drawn) if match_key(photo.key) not in labels]
        if not todo:  # all of it has been labelled: draw from what is left
            drawn = self._sample(by, how, used=drawn)
            todo = list(enumerate(drawn))
        ahead = [(place, photo) for place, photo in todo if place >= after]
        photos = [photo for _, photo in ahead[:count]]
        after = ahead[len(photos) - 1][0] + 1 if photos else after
        self._hand_out(photos)
        return Batch(photos, after, len(ahead) - len(photos), self._progress(labels, by))

    def own_labels(self, *, by: str, word: str = "", past: str = "", count: int) -> Own:
        """What a person has labelled, the newest first.

        Args:
            word: only this label; empty: all.
            past: empty, or what the last answer said.

        Raises:
            InputError: there is no such place.
        """
        said = self._said()
        ahead = after(own_labels(said, by, known=self._known(by), word=word), past)
        given = ahead[:count]
        self._hand_out([one.photo for one in given if one.photo])
        past = given[-1].place if given else past
        return Own(given, past, len(ahead) - len(given), self._progress(current(said), by))

    def examples(self, by: str) -> dict[str, list[Drawn]]:
        """By answer, labelled photos of which the filter says the same; none where no sample has seen any."""
        found = examples(self._said(), known=self._known(by), words=self._question.words, most=EXAMPLES)
        self._hand_out([photo for photos in found.values() for photo in photos])
        return found

    def new_since(self, at: datetime) -> int:
        """Of how many photos another label counts than at a time, UTC, by when labels were handed in."""
        before = current(self._question.read(self._session, known=self._read, until=at))
        now = current(self._said())
        words = ({key: one.word for key, one in labels.items()} for labels in (before, now))
        earlier, later = words
        return sum(earlier.get(key) != later.get(key) for key in earlier.keys() | later.keys())

    def save(self, rows: Sequence[dict[str, str]], *, by: str, now: datetime) -> Saved:
        """Add labels (`key`, `label`, `at`) to the label set. Those that were saved before do not come twice.

        A row without a label takes back the person's own label of the time `taken_back`.

        Args:
            by: who gave them.
            now: UTC; a label from later, by a clock that is fast, is taken for one of now.
        """
        labels, refused = self._checked(rows, by, now)
        if labels:
            self._question.add(self._session, labels, at=now, by=by, known=self._read)
        return Saved(len(labels), refused, self._progress(current(self._said()), by))

    def photo_of(self, source: str, row: int) -> str:
        """The key of a photo by its row of a committed photo table.

        Args:
            source: manifest key.

        Raises:
            InputError: there is no such row.
        """
        if found := self._places.get((source, row)):
            return found
        photos = results.read_photos(self._session.store, self._cache.manifest(source), columns=["key"])
        keys = photos["key"]
        if not 0 <= row < len(keys):
            raise InputError(f"{source} has {len(keys):,} photos, and none with the number {row}.")
        return str(keys.iloc[row])

    def photo_named(self, name: str) -> str:
        """The key of a labelled photo as it lies in the bucket, by its key as labels have it.

        Raises:
            InputError: nobody has labelled it.
        """
        if name not in current(self._said()):
            raise InputError("Nobody has labelled a photo of that name.")
        found = photos_named(self._session, {name})
        return found[0].key if found else name

    def _sample(self, by: str, how: How, *, used: list[Drawn] | None = None) -> list[Drawn]:
        """The person's sample of the newest inventory; drawn anew where it is the one used up. One is kept."""
        stock = latest_inventory(self._session)
        inventory = stock.key if stock else ""
        seed = int(hashlib.sha256(by.encode()).hexdigest()[:8], 16)

        def make() -> tuple[str, Sample]:
            pool = self._pool()
            return pool.stock.key, draw_pictures(
                self._session, DRAWN, how=how, seed=seed, question=self._question, pool=pool
            )

        name = ("sample", self._question.column, by, how)
        kept = self._cache.get(name, make)
        if kept[0] != inventory or kept[1].drawn is used:
            self._cache.drop(name, kept)
            kept = self._cache.get(name, make)
        sample: Sample = kept[1]
        self._last[by] = sample
        return sample.drawn

    def _pool(self) -> Pool:
        """What is drawn from, as it is now. One is kept, for all people, orders and questions."""
        name = ("label pool",)
        kept: Pool = self._cache.get(name, lambda: read_pool(self._session))
        pool = read_pool(self._session, known=kept)
        if pool is not kept:
            self._cache.drop(name, kept)
            self._cache.get(name, lambda: pool)
        return pool

    def _known(self, by: str) -> Mapping[str, Drawn]:
        """The photos that a person may ask about, by the key that labels have; none where nothing can be drawn."""
        if by not in self._last:
            with contextlib.suppress(InputError):
                self._sample(by, "random")
        return self._last[by].by_name if by in self._last else {}

    def _hand_out(self, photos: Sequence[Drawn]) -> None:
        """Remember where the photos stand: their pictures are asked for next."""
        new = {(photo.manifest, photo.row): photo.key for photo in photos}
        # A new dict, so that no thread sees it change; one that gets lost costs a reading.
        self._places = dict(islice({**new, **self._places}.items(), HANDED_OUT))

    def _said(self) -> list[Said]:
        """Every label, in the order in which they count; also where there are none."""
        return self._question.read(self._session, known=self._read)

    def _checked(self, rows: Sequence[dict[str, str]], by: str, now: datetime) -> tuple[list[Said], dict[str, str]]:
        labels, refused = [], {}
        for row in rows:
            try:
                label = self._question.check({**row, "by": by})
                if label is None:
                    raise InputError(f"There is no label; known are {', '.join(self._question.words)}.")
            except InputError as error:
                refused[row["key"]] = str(error)
                continue
            labels.append(replace(label, by=by, at=min(label.at or now, now)))
        if any(label.taken_back for label in labels):
            own = [one for one in self._said() if one.by == by]
            labels = [_aimed(label, own) if label.taken_back else label for label in labels]
        return labels, refused

    def _progress(self, labels: dict[str, Said], by: str) -> Progress:
        counts = {word: sum(label.word == word for label in labels.values()) for word in self._question.words}
        return Progress(len(labels), counts, sum(label.by == by for label in labels.values()))


def _aimed(back: Any, own: Sequence[Said]) -> Any:
    """A taking back, with the time of the label that it means: of its own time, or by a fast clock the one before."""
    times = [one.at for one in own if one.about == back.about and one.at]
    near = [at for at in times if timedelta(0) <= back.taken_back - at < MAX_FAST]
    return replace(back, taken_back=max(near)) if near else back
