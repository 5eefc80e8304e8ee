"""What people have said since something was last made of it: what the next run will count that the last one did not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from carpipe import manifest
from carpipe.backports import UTC
from carpipe.errors import InputError, MissingError
from carpipe.names import counted
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.data.inventory import forgotten_listings
from carpipe.steps.labels.questions import Name
from carpipe.steps.listings import store as listings
from carpipe.steps.moves import store as moves
from carpipe.steps.people.store import Kind, T, current, read_if_free
from carpipe.steps.session import Session
from carpipe.steps.viewpoints import store as viewpoints
from carpipe.steps.viewpoints.rows import ViewLabel

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """How many things count that did not. What was said and taken back meanwhile is not among them.

    Attributes:
        corrections: listings whose class people say, or say no longer, since the newest dataset.
        moves: models that people have moved, or moved back, since then.
        views: photos with another view label since the car filter was last judged.
    """

    corrections: int
    moves: int
    views: int

    def sentences(self) -> Iterator[str]:
        """Them in sentences; none where nothing is new."""
        said = [counted(self.corrections, "correction of a listing", "corrections of listings")] * bool(
            self.corrections
        )
        said += [counted(self.moves, "move of a model", "moves of models")] * bool(self.moves)
        if said:
            yield f"New since the newest dataset, and counted in the next one: {' and '.join(said)}."
        if self.views:
            labels = counted(self.views, "view label")
            yield f"New since the car filter was last trained, and counted when `train_filter` runs next: {labels}."


def said_since(session: Session, *, new_dataset: bool) -> Said:
    """What people have said since the newest dataset, and since the newest car filter.

    Args:
        new_dataset: another dataset than the newest is to be made: else no correction and no move is new.

    Raises:
        InputError: an object among what people say cannot be read; names it.
    """
    corrections, moved = set[str](), set[str]()
    if new_dataset:
        since = _dataset_from(session)
        corrections = _changed(session, listings.KIND, since, listings.effective) - {*forgotten_listings(session)}
        moved = _changed(session, moves.KIND, since, moves.effective)
    return Said(
        len(corrections), len(moved), len(_changed(session, viewpoints.KIND, labels_read_at(session, "views"), _views))
    )


def _changed(
    session: Session, kind: Kind[T], since: datetime, effective: Callable[[Mapping[str, T]], Mapping[str, str]]
) -> set[str]:
    """The things of which something else counts than at a time."""
    before, now = (effective(current(read_if_free(session, kind, until=until))) for until in (since, None))
    return {about for about in before.keys() | now.keys() if before.get(about) != now.get(about)}


def _views(labels: Mapping[str, ViewLabel]) -> dict[str, str]:
    return {key: label.view for key, label in labels.items()}


def _dataset_from(session: Session) -> datetime:
    """When the newest dataset's classes were begun; long ago where there is none, or nobody can tell."""
    try:
        splitted = manifest.read(session.store, find_dataset(session, None).inputs[0])
        return _begun(session, splitted.inputs[0])
    except (InputError, MissingError, IndexError):
        return _NEVER


def labels_read_at(session: Session, question: Name) -> datetime:
    """When the labels of a question were read that the newest car filter has learnt; long ago where there is none."""
    newest = results.newest_result(session.store, "evaluate", "car_filter")
    try:
        if not newest:
            return _NEVER
        # Views are learnt when the filter is judged, cars from the label set.
        return _begun(session, newest if question == "views" else manifest.read(session.store, newest).extra["dataset"])
    except (InputError, MissingError, KeyError):
        return _NEVER


def _begun(session: Session, key: str) -> datetime:
    """When a result was begun: what is said while it is made is not in it."""
    done, info = manifest.read(session.store, key), session.store.head(key)
    at = manifest.committed_at(done, info)
    return at - timedelta(seconds=done.seconds) if at > _NEVER else _NEVER
