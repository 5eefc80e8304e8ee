"""Which datasets there are: found by key or id, the newest first."""

import logging
from collections.abc import Iterator

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

log = logging.getLogger(__name__)


def find_dataset(session: Session, key: str | None) -> Manifest:
    """A dataset by its key or its id, or the newest.

    Raises:
        InputError: there is none.
    """
    if key is None:
        newest = next(newest_datasets(session), None)
        if newest is None:
            raise InputError(
                f"There is no dataset in {session.store.url} yet; run `prepare_dataset`, or `carpipe run`."
            )
        return newest
    if "/" not in key:
        key = f"datasets/{key}/manifest.json"
    try:
        return manifest.read(session.store, key)
    except MissingError:
        raise InputError(f"There is no dataset {key} in {session.store.url}.") from None


def has_dataset(session: Session) -> bool:
    """Whether there is any."""
    return next(newest_datasets(session), None) is not None


def newest_datasets(session: Session) -> Iterator[Manifest]:
    """All datasets, the newest first; those of other versions of carpipe are passed over."""
    return (done for _, done in dated_datasets(session))


def dated_datasets(session: Session) -> Iterator[tuple[ObjectInfo, Manifest]]:
    """The same, with what the listing says of each manifest."""
    for info in newest_manifests(session, "datasets"):
        try:
            yield info, manifest.read(session.store, info.key)
        except InputError as error:
            log.warning("%s", error)


def newest_manifests(session: Session, home: str) -> list[ObjectInfo]:
    """Where the manifests right below `<home>/<id>/` lie and since when, the newest first; none of them is read."""
    depth = home.count("/") + 2
    objects = session.store.list_usable(home)
    found = [info for info in objects if info.key.count("/") == depth and info.key.endswith("/manifest.json")]
    return sorted(found, key=lambda info: (info.modified, info.key), reverse=True)
