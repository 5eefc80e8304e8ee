"""Candidates for labelling that the classification API left in the bucket: listed, and downloaded for labellers."""

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from carpipe import forms
from carpipe.errors import InputError
from carpipe.names import brief, shown
from carpipe.spreadsheet import inert
from carpipe.steps.session import Session
from carpipe.storage import Fetched, ObjectInfo
from carpipe.weights.contract import candidates_folder

log = logging.getLogger(__name__)

# Of a record, at most; some kB as a rule.
MAX_RECORD_BYTES = 1_000_000


@dataclass(frozen=True)
class Saying:
    """What somebody said of an answer, and when (UTC, ISO 8601). `class_name` is empty where they did not say."""

    right: bool
    class_name: str
    at: str


@dataclass(frozen=True)
class Candidate:
    """A photo that a label would help with.

    Attributes:
        key: of its JPEG.
        at: when it was answered, UTC, ISO 8601.
        unsure: whether the model was.
        answer: `prediction`, `score`, `top5`, `box`, `model`, ... as the API gave it. Where it found no car, the first
            is empty, the second 0, and `reason` says why.
        feedback: in the order it was given.
    """

    key: str
    at: str
    unsure: bool
    answer: dict[str, Any]
    feedback: tuple[Saying, ...] = field(default=())

    @property
    def reason(self) -> str:
        """Why it is a candidate: `wrong` before `right` before `unsure`."""
        if any(not saying.right for saying in self.feedback):
            return "wrong"
        return "right" if self.feedback else "unsure"


def list_candidates(session: Session, *, channel: str | None = None) -> list[Candidate]:
    """Every candidate of a channel, the oldest first. Records that cannot be read are logged and left out.

    Args:
        channel: None: the one that the settings serve.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    objects = list(session.store.list_usable(candidates_folder(channel or session.config.serving.channel)))
    photos = {info.key for info in objects if info.key.endswith(".jpg")}
    records = (info for info in objects if info.key.endswith(".json"))
    for one in session.store.fetch(records, max_bytes=MAX_RECORD_BYTES):
        name, record = one.key, _parse(one)
        photo = str(PurePosixPath(name).with_name(f"{record.get('id')}.jpg"))
        if photo in photos:
            found.setdefault(photo, []).append(record)
    candidates = [_candidate(photo, records) for photo, records in found.items()]
    return sorted(candidates, key=lambda candidate: (candidate.at, candidate.key))


def download_candidates(session: Session, folder: Path, *, channel: str | None = None) -> int:
    """Write the photos and `candidates.csv` into a folder; returns how many. Photos that are there are kept."""
    candidates = list_candidates(session, channel=channel)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [candidate.key for candidate in candidates if not (folder / _file(candidate)).exists()]
    photos = (ObjectInfo(key, "", 0) for key in missing)
    for one in session.store.fetch(photos, max_bytes=session.config.serving.max_photo_mb * 1_000_000):
        if one.data is not None:
            (folder / PurePosixPath(one.key).name).write_bytes(one.data)
        elif one.size is not None:
            log.warning("%s has %d bytes and is no photo that the API wrote; it is left out", shown(one.key), one.size)
    with (folder / "candidates.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "reason", "prediction", "score", "said", "said_at", "at", "model", "key", "refused"))
        writer.writerows(map(inert, _row(candidate)) for candidate in candidates)
    return len(candidates)


def _row(candidate: Candidate) -> Iterator[str]:
    answer, last = candidate.answer, candidate.feedback[-1] if candidate.feedback else None
    said = "" if last is None else str(answer["prediction"]) if last.right else last.class_name
    yield from (_file(candidate), candidate.reason, str(answer["prediction"]), f"{answer['score']:.4f}", said)
    yield from (last.at if last else "", candidate.at, str(answer["model"]["id"]), candidate.key)
    yield str(answer.get("reason", ""))


def _file(candidate: Candidate) -> str:
    return PurePosixPath(candidate.key).name


def _candidate(photo: str, records: list[dict[str, Any]]) -> Candidate:
    sayings = [
        Saying(record["reason"] == "right", record.get("class_name") or "", record["said_at"])
        for record in records
        if record["reason"] != "unsure"
    ]
    return Candidate(
        key=photo,
        at=records[0]["at"],
        unsure=any(record["reason"] == "unsure" for record in records),
        answer=records[0]["answer"],
        feedback=tuple(sorted(sayings, key=lambda saying: saying.at)),
    )


def _parse(found: Fetched) -> dict[str, Any]:
    try:
        record = forms.parse(found.data or b"", key=found.key, what="a candidate")
        answer = record["answer"]
        # All that is read later.
        (record["id"], record["at"], answer["prediction"], float(answer["score"]), answer["model"]["id"])
        if record["reason"] != "unsure":
            record["said_at"]
    except (InputError, ValueError, TypeError, KeyError) as error:
        log.warning("%s is no candidate: %s", shown(found.key), brief(repr(error), max_characters=300))
        return {}
    return dict(record)
