"""What lies under the key of a model that is to be packaged, held against what this version would put there.

The key follows from the evaluation, so whoever may write `models/` can be there first. Another version of carpipe can,
too: it has written more than this one, or less, since fields are added without a new key. So what differs is told
apart: what decides how a model answers, or is judged by, must be as it would be made today; the rest may differ.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import Any

from carpipe import forms, manifest
from carpipe.backports import from_iso
from carpipe.config import CropConfig
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest, Work
from carpipe.names import brief
from carpipe.steps import results
from carpipe.steps.models.evaluate import PAGE
from carpipe.storage import Store
from carpipe.weights import channel, contract

CARD = "README.md"
CLASS_CHANGES = "class_changes.json"
# For people: the manifest's `extra`, and the rest of it.
DESCRIPTION, MANIFEST = "its description", "its manifest"
# Files that somebody reads where they are there: nobody may put one beside a model that has none.
_READ = (
    *contract.REQUIRED, contract.CROP, contract.KNOWN, contract.YEARS, contract.VIEWS, contract.MEMBERS, "detector/*",
    results.TAXONOMY, CLASS_CHANGES, PAGE, CARD, results.MODEL, "*.h5",
)  # fmt: skip
# What tells more of a model and came later: one that is there already may be without.
_LATER = (contract.MEMBERS,)
# The same of fields, by file.
_READ_FIELDS: Mapping[str, Collection[str]] = {contract.CROP: frozenset(CropConfig.model_fields)}


@dataclass(frozen=True)
class Contents:
    """What this version would package.

    Attributes:
        files: by name.
        extra: of the manifest.
        first: fields that each version has written, by file, and of `DESCRIPTION`. Others may be missing. A file that
            is not named here must have all of them.
    """

    files: Mapping[str, bytes]
    extra: Mapping[str, Any]
    first: Mapping[str, Collection[str]]


def compare(store: Store, found: Manifest, work: Work, made: Contents) -> list[str]:
    """Hold a committed model against what this version would commit; reads those files alone that differ.

    Returns:
        What another version may have made otherwise: names of files, `DESCRIPTION`, `MANIFEST`. Empty: all is equal.

    Raises:
        InputError: something else differs. It says what, and what to do; that depends on whether the model is live.
    """
    other = [*_other_files(found, work, made)]
    wrong = [name for name in other if not _may_differ(store, found, name, made)]
    if not _is_of(found, work):
        wrong.append(MANIFEST)
    if not _agrees(found.extra, made.extra, first=made.first[DESCRIPTION]):
        wrong.append(DESCRIPTION)
    if wrong:
        raise InputError(
            f"{work.key} is not what is packaged today: {named(wrong)} would differ. Another version of carpipe has "
            f"made it, or somebody has put it there. Look at it. {_way_out(store, work)}"
        )
    said = [] if _is_equal(_timeless(found.extra), made.extra) else [DESCRIPTION]
    return [*other, *said, *([MANIFEST] if _says_more(found) else [])]


def _timeless(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Without the time of the commit, which is that of whoever was first. What is there and no time stays."""
    try:
        from_iso(extra.get(manifest.COMMITTED, ""))
    except (TypeError, ValueError):
        return dict(extra)
    return {name: value for name, value in extra.items() if name != manifest.COMMITTED}


def named(names: Collection[str]) -> str:
    """The first ten of them, for messages: somebody else may have made them up."""
    cut = [brief(name) for name in [*names][:10]]
    return ", ".join([*cut, *([f"{len(names) - 10} more"] if len(names) > 10 else [])])


def _other_files(found: Manifest, work: Work, made: Contents) -> Iterator[str]:
    """Names of files that only one of them has, or that have other bytes or another place."""
    for name in sorted({*found.files, *made.files}):
        data, entry = made.files.get(name), found.files.get(name)
        if entry is None and name in _LATER:
            continue
        if data is None or entry is None:
            yield name
            continue
        sha256 = hashlib.sha256(data).hexdigest()
        if (entry["sha256"], entry["bytes"], entry["key"]) != (sha256, len(data), work.key_of(name, sha256)):
            yield name


def _may_differ(store: Store, found: Manifest, name: str, made: Contents) -> bool:
    """Whether another version may have made the file otherwise: one more, other words on the card, fields of JSON."""
    if name not in made.files:
        return not any(fnmatch(name.lower(), known) for known in _READ)
    if name == CARD or name not in found.files or not name.endswith(".json"):
        return name == CARD and name in found.files
    if found.files[name]["bytes"] > forms.MAX_JSON_BYTES:  # so it is not fetched
        return False
    try:
        there = forms.parse(manifest.read_file(store, found, name), key=name, what="JSON", figures=(forms.ALL,))
    except (InputError, MissingError):
        return False
    ours = json.loads(made.files[name])
    more = {*there} - {*ours} if isinstance(there, dict) and isinstance(ours, dict) else set()
    return not more & {*_READ_FIELDS.get(name, ())} and _agrees(there, ours, first=made.first.get(name))


def _agrees(there: Any, ours: Any, *, first: Collection[str] | None = None) -> bool:
    """Whether it says all that ours says, and perhaps more. Of an object, fields that are not of the first may lack."""
    if not (isinstance(ours, Mapping) and isinstance(there, Mapping)):
        return _is_equal(there, ours)
    return all(
        _agrees(there[name], value) if name in there else first is not None and name not in first
        for name, value in ours.items()
    )


def _is_equal(there: Any, ours: Any) -> bool:
    """As JSON: NaN, as a training that went astray leaves it, is NaN, and true is not 1."""
    return manifest.digest(there) == manifest.digest(ours)


def _is_of(found: Manifest, work: Work) -> bool:
    did = replace(
        work, stage=found.stage, version=found.version, partition=found.partition, config=found.config,
        inputs=tuple(found.inputs), weights=found.weights,
    )  # fmt: skip
    return did.fingerprint == work.fingerprint and found.settings == work.settings


def _says_more(found: Manifest) -> bool:
    """Whether the manifest itself holds what this version does not write for a model."""
    fields = {name for entry in found.files.values() for name in entry}
    return bool(found.unknown or found.counts or fields - {"key", "bytes", "sha256"})


def _way_out(store: Store, work: Work) -> str:
    """What to do about a model that is in the way. One that apps use, or a rollback may want, is not to be deleted."""
    name = work.home.rpartition("/")[2]
    again = f"delete everything under {work.key.rpartition('/')[0]}/, and run this again"
    try:
        live, before = channel.read_channel(store, name), channel.history(store, name)
    except InputError as error:
        return f"Whether it is live cannot be told ({error}). Only if it is not: to have it made anew, {again}."
    if live and live.model == work.key:
        return (
            f"It is live in channel {name}, so delete nothing of it now. If it is not to be trusted, make another "
            f"model live with `promote_weights`. Only then, and to have it made anew, {again}."
        )
    if any(release.model == work.key for release in before):
        return f"It was live in channel {name}. If nobody is to go back to it: to have it made anew, {again}."
    return f"Where it is to be made anew, {again}."
