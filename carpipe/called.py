"""What datasets and models are called where people read of them: by date and a short name, not by hash."""

from dataclasses import dataclass
from datetime import datetime

from carpipe import manifest
from carpipe.manifest import Manifest
from carpipe.names import counted
from carpipe.storage import ObjectInfo

SHORT = 8  # characters of an id that tell it from others; commands and addresses take as many


@dataclass(frozen=True)
class Called:
    """A result as people speak of it: `id`, `short`, and `name` such as `27 Nov 2026 15:39, 918 photos`."""

    id: str
    name: str

    @property
    def short(self) -> str:
        return self.id[:SHORT]


def call(key: str, at: datetime | None, photos: int | None = None) -> Called:
    """The name of a result.

    Args:
        key: its manifest key.
        at: when it was committed, UTC; None where nobody knows.
        photos: how many are in it.
    """
    said = [moment(at)] if at else []
    said += [counted(photos, "photo")] if photos is not None else []
    return Called(key.split("/")[-2], ", ".join(said) or "of unknown date")


def call_committed(done: Manifest, photos: int | None = None) -> Called:
    """The name of a result that is committed."""
    return call(done.key, made_at(done), photos)


def made_at(done: Manifest, info: ObjectInfo | None = None) -> datetime | None:
    """When a result was committed, UTC; None where nobody knows.

    Args:
        info: what the storage says of its manifest: results of earlier versions do not say when they were made.
    """
    at = manifest.committed_at(done, info)
    return at if at.year > datetime.min.year else None


def moment(at: datetime) -> str:
    """A time to the minute: `27 Nov 2026 15:39`."""
    return f"{at.day} {at:%b %Y %H:%M}"
