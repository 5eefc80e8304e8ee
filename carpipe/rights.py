"""Rights as small as the work: who needs which actions of S3 on which prefixes, as policies of AWS.

Whoever may list a prefix is told 404 of what is not there, else 403: so who reads a prefix may list it.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from carpipe.errors import InputError

ALL = ("",)
PROBE = "runs/probe/"  # conditional writes are proven there
BUNDLES = "runs/bundles/"  # copies of many small objects


@dataclass(frozen=True)
class Role:
    """Prefixes below `store.url` that somebody reads (and lists), writes, and deletes from; `*` is any text."""

    says: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()


_WRITER = (PROBE,)
ROLES = {
    "app": Role("an app that pulls weights", ("channels/", "models/")),
    "api": Role(
        "`carpipe serve`", ("channels/", "models/", "labels/*/candidates/"), ("labels/*/candidates/",),
        ("labels/*/candidates/",),
    ),
    "reader": Role("a reader, with the command line or the pages", ALL),
    "uploader": Role(
        "`carpipe upload`", ("raw/", "channels/", "stages/inventory/forgotten/", PROBE), ("raw/", *_WRITER), _WRITER
    ),
    "labeller": Role(
        "who labels with the command line",
        ("raw/", "stages/", "datasets/", "channels/", "models/", "labels/", BUNDLES, PROBE),
        ("labels/car-filter/", "labels/views/", *_WRITER), _WRITER,
    ),
    "corrector": Role(
        "who corrects listings with the command line", ("stages/", "datasets/", "channels/", "labels/", BUNDLES, PROBE),
        ("labels/classes/", *_WRITER), _WRITER,
    ),
    "mover": Role(
        "who moves models with the command line", ("stages/", "datasets/", "channels/", "labels/", BUNDLES, PROBE),
        ("labels/taxonomy/", "stages/advice/", *_WRITER), _WRITER,
    ),
    "pages": Role("the pages of Airflow", ALL, ("labels/", *_WRITER), _WRITER),
    "tasks": Role(
        "the tasks of Airflow", ALL, ("stages/", "datasets/", "models/", "channels/", "runs/"), ("runs/",)
    ),
    "reviewer": Role("who publishes, goes back and signs", ALL, ("channels/", "models/", *_WRITER), _WRITER),
    "doctor": Role(
        "`carpipe doctor --mend`", ALL, ("stages/", "datasets/", "models/", *_WRITER), ("stages/", *_WRITER),
    ),
    "keeper": Role("`carpipe forget` and `carpipe gc`", ALL, ALL, ALL),
}  # fmt: skip


def policy(role: str, url: str) -> dict[str, Any]:
    """A policy document of AWS for a role.

    Args:
        role: of `ROLES`.
        url: `s3://bucket/prefix`.

    Raises:
        InputError: there is no such role.
    """
    if role not in ROLES:
        raise InputError(f"There is no role {role!r}; there are {', '.join(ROLES)}.")
    found = ROLES[role]
    bucket, _, prefix = url.removeprefix("s3://").rstrip("/").partition("/")
    home = f"{prefix}/" if prefix else ""

    def resources(prefixes: tuple[str, ...]) -> list[str]:
        return [f"arn:aws:s3:::{bucket}/{home}{one}*" for one in prefixes]

    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {"StringLike": {"s3:prefix": [f"{home}{one}*" for one in found.reads]}},
        }
    ]
    for action, prefixes in (("Get", found.reads), ("Put", found.writes), ("Delete", found.deletes)):
        if prefixes:
            statements.append({"Effect": "Allow", "Action": f"s3:{action}Object", "Resource": resources(prefixes)})
    return {"Version": "2012-10-17", "Statement": statements}


def may(role: str, action: str, key: str) -> bool:
    """Whether a role may `read`, `write` or `delete` an object."""
    found = ROLES[role]
    prefixes = {"read": found.reads, "write": found.writes, "delete": found.deletes}[action]
    return any(fnmatchcase(key, f"{one}*") for one in prefixes)
