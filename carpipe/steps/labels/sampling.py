"""Photos that people should label next, written down for them, and the photos themselves where asked for."""

import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote

from carpipe.errors import InputError
from carpipe.names import shown
from carpipe.steps.data.raw import Raw, objects_named
from carpipe.steps.labels import label_studio
from carpipe.steps.labels.drawing import How, draw
from carpipe.steps.labels.questions import CARS, Question
from carpipe.steps.labels.store import image_url
from carpipe.steps.people.files import refuse_existing, write_new
from carpipe.steps.session import Session

log = logging.getLogger(__name__)

Format = Literal["csv", "label-studio"]

# A file system's limit is 255 bytes for a name; the rest is for a digest.
MAX_NAME_BYTES = 200
SUFFIX_CHARACTERS = 5
# No percent signs: Label Studio's local files are found by a URL.
_UNSAFE = re.compile(r"[^\w.+!@ -]")


def sample(session: Session, count: int, *, how: How, seed: int, question: Question = CARS) -> list[str]:
    """Keys of photos that nobody has labelled yet; see `carpipe.steps.labels.drawing.draw`."""
    return [photo.key for photo in draw(session, count, how=how, seed=seed, question=question)]


def write_sample(
    session: Session,
    out: Path,
    keys: Sequence[str],
    *,
    file_format: Format,
    photos: Path | None,
    question: Question = CARS,
) -> int:
    """Write the photos to a new file for people to fill in, the photos first where a folder is named; returns how many.

    Photos that have been deleted since the inventory are left out, and logged.

    Args:
        out: the file: a CSV, or tasks to import into Label Studio.
        photos: where the photos go. Label Studio's tasks then refer to them as local files, below the folder that
            holds `photos`; else to the bucket.
        question: which is asked. Tasks for Label Studio there are of `CARS` alone.

    Raises:
        InputError: the file exists, a photo would lie outside of the folder or on another file, or there are no such
            tasks.
    """
    check_format(file_format, question)
    refuse_existing(out, "labels")
    places = _download(session, keys, photos) if photos else {}
    wanted = [key for key in keys if key in places or not photos]
    if file_format == "csv":
        write_new(out, question.blank_csv(wanted))
    else:
        images = (_local_url(photos, places[key]) if photos else image_url(session, key) for key in wanted)
        tasks = [label_studio.write_task(key, image) for key, image in zip(wanted, images, strict=True)]
        write_new(out, label_studio.to_json(tasks))
    return len(wanted)


def format_of(path: Path) -> Format:
    """The format that a file's name asks for."""
    return "label-studio" if path.suffix.lower() == ".json" else "csv"


def check_format(file_format: Format, question: Question) -> None:
    """Raise InputError where there are no files of that format for the question."""
    if file_format != "csv" and question is not CARS:
        raise InputError("Label Studio's tasks ask for cars alone; name a file that ends in .csv for views.")


def local_name(key: str) -> PurePosixPath:
    """A path below a folder for a photo, equal to its key where that is harmless; different for different keys."""
    return PurePosixPath(*(_local_part(part) for part in key.split("/")))


def _download(session: Session, keys: Sequence[str], folder: Path) -> dict[str, Path]:
    """Copy photos into the folder; returns where each is."""
    places = {}
    source = Raw(session, objects_named(session, keys))
    for key, data in source:
        if data is None:
            why = (
                "is larger than clean.max_bytes" if key in source.too_large else "has been deleted since the inventory"
            )
            log.warning("%s %s; it is left out", shown(key), why)
            continue
        places[key] = _place(folder, key)
        try:
            write_new(places[key], data)
        except FileExistsError:
            if places[key].read_bytes() != data:
                raise InputError(f"{places[key]} exists and is another photo; name another folder.") from None
    return places


def _place(folder: Path, key: str) -> Path:
    """Where the photo goes, its folder made; links do not lead it out of the folder."""
    path = folder / local_name(key)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{path.parent} is a link that leads out of {folder}; name another folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _local_part(part: str) -> str:
    safe = _UNSAFE.sub("_", part).strip(". ")
    if safe == part and len(part.encode()) <= MAX_NAME_BYTES:
        return part
    stem, dot, suffix = safe.rpartition(".")
    if not dot or len(suffix) > SUFFIX_CHARACTERS:
        stem, dot, suffix = safe, "", ""
    stem = stem.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    return f"{stem}-{hashlib.sha256(part.encode()).hexdigest()[:12]}{dot}{suffix}"


def _local_url(folder: Path, path: Path) -> str:
    """As Label Studio serves local files, its document root being the folder that holds `folder`.

    Source: https://labelstud.io/guide/storage#Local-storage
    """
    return f"/data/local-files/?d={quote(f'{folder.resolve().name}/{path.relative_to(folder).as_posix()}')}"
