"""Which datasets there are: found by key or id, or the first digits of it; the newest first."""

import logging
from collections.abc import Iterator
from datetime import datetime

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.names import meant
from carpipe.steps import dataset_order
from carpipe.steps.session import Session
from carpipe.steps.short_ids import whole_key
from carpipe.storage import ObjectInfo

log = logging.getLogger(__name__)


def find_dataset(session: Session, key: str | None) -> Manifest:
    """A dataset by its key, its id or the first digits of that, or the newest. A label set is found by its key, too.

    Raises:
        InputError: there is none, or more than one; says which there are.
    """
    if key is None:
        newest = next(newest_datasets(session), None)
        if newest is None:
            raise InputError(
                f"There is no dataset in {session.store.url} yet; run `prepare_dataset`, or `carpipe run`."
            )
        return newest
    key = whole_key(session.store, key, dataset_order.HOME, what="dataset")
    try:
        return manifest.read(session.store, key)
    except MissingError:
        raise InputError(f"There is no dataset {key} in {session.store.url}.{_others(session, key)}") from None


def _others(session: Session, key: str) -> str:
    """Which dataset may have been meant, or which there are."""
    ids = [one.split("/")[1] for one in dataset_order.newest_first(session.store)]
    newest = f" The newest: {', '.join(ids[:3])}." if ids else ""
    return meant(key.removeprefix("datasets/").partition("/")[0], ids) or newest


def has_dataset(session: Session) -> bool:
    """Whether there is any."""
    return next(newest_datasets(session), None) is not None


def newest_datasets(session: Session) -> Iterator[Manifest]:
    """All datasets, the newest first; those of other versions of carpipe are passed over."""
    return (done for _, done in dated_datasets(session))


def dated_datasets(session: Session) -> Iterator[tuple[datetime, Manifest]]:
    """The same, with the times at which they were committed."""
    for key in dataset_order.newest_first(session.store):
        try:
            done = manifest.read(session.store, key)
        except MissingError:  # deleted, or not committed
            continue
        except InputError as error:
            log.warning("%s", error)
            continue
        info = session.store.head(key) if manifest.COMMITTED not in done.extra else None
        yield manifest.committed_at(done, info), done


def list_manifests(session: Session, home: str) -> list[ObjectInfo]:
    """Where the manifests right below `<home>/<id>/` lie, in no order; none of them is read."""
    depth = home.count("/") + 2
    objects = session.store.list_usable(home)
    return [info for info in objects if info.key.count("/") == depth and info.key.endswith("/manifest.json")]
