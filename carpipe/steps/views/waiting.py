"""What waits for a person: suspects, people who disagree, advice, photos without a label."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from carpipe.errors import InputError
from carpipe.names import counted, match_key
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.inventory import latest_inventory
from carpipe.steps.labels.rows import Label
from carpipe.steps.labels.store import read_labels
from carpipe.steps.listings.store import conflicts, read_corrections
from carpipe.steps.people import store
from carpipe.steps.views.classes import show_classes
from carpipe.steps.views.suspects import suspected

# Labels below which a page asks for more.
ENOUGH_LABELS = 2_000


@dataclass(frozen=True)
class Task:
    """Something for a person: what it is, in a sentence, and the page where it is done, below the mount.

    `urgent` is what holds something up.
    """

    said: str
    path: str
    urgent: bool = False


def waiting(cache: ResultCache) -> list[Task]:
    """What waits for somebody, what is most urgent first."""
    found = [task for part in (_suspects, _disagreements, _advice, _unlabelled) for task in _of(part, cache)]
    return sorted(found, key=lambda task: not task.urgent)


def _of(part: Callable[[ResultCache], Iterator[Task]], cache: ResultCache) -> list[Task]:
    """What one part has found. What cannot be read is for a person, too."""
    try:
        return [*part(cache)]
    except InputError as error:
        return [Task(str(error), "/data", urgent=True)]


def _suspects(cache: ResultCache) -> Iterator[Task]:
    settled = store.current(read_corrections(cache.session, read=cache.get(("corrections",), dict)))
    if number := sum(listing not in settled for listing in suspected(cache)):
        said = f"{counted(number, 'listing')} may be in the wrong class."
        yield Task(said, "/review")


def _disagreements(cache: ResultCache) -> Iterator[Task]:
    labels = disputed_labels(cache)
    if labels:
        yield Task(f"People disagree about the label of {counted(len(labels), 'photo')}.", "/photos?disputed=yes")
    listings = conflicts(read_corrections(cache.session, read=cache.get(("corrections",), dict)))
    if listings:
        yield Task(f"People disagree about the class of {counted(len(listings), 'listing')}.", "/review?queue=disputed")


def disputed_labels(cache: ResultCache) -> Mapping[str, Sequence[Label]]:
    """What people have said of the photos that they gave different labels, by key."""
    return store.disputed(_labels(cache))


def labels_of(cache: ResultCache, key: str) -> list[Label]:
    """Every label of a photo that stands, in its order."""
    return [one for one in _labels(cache) if match_key(one.key) == match_key(key)]


def _labels(cache: ResultCache) -> list[Label]:
    return read_labels(cache.session, known=cache.get(("labels",), dict))


def _advice(cache: ResultCache) -> Iterator[Task]:
    if number := sum(one.open for one in show_classes(cache).proposals):
        verb = "waits" if number == 1 else "wait"
        yield Task(f"{counted(number, 'proposed change')} of the classes {verb} for a decision.", "/classes")


def _unlabelled(cache: ResultCache) -> Iterator[Task]:
    stock = latest_inventory(cache.session)
    if stock is None:
        return
    labelled = len(store.current(_labels(cache)))
    if labelled < min(ENOUGH_LABELS, stock.photos):
        yield Task(f"{labelled:,} of {stock.photos:,} photos have a label; the car filter learns from each.", "/labels")
