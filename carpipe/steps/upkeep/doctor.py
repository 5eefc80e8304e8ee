"""Doctor: whether a bucket holds what its manifests say, and what to do where it does not.

A manifest is no proof of its files. Rules of a bucket, half a copy or an accident may take any object whose manifest
stays. Of a night's results a run finds that out itself; this looks at all there are, also at their bytes.
"""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import CarpipeError, InputError, MissingError, UnavailableError
from carpipe.manifest import Manifest
from carpipe.names import brief, counted, shown
from carpipe.steps import results
from carpipe.steps.data.inventory import LOG, latest_inventory
from carpipe.steps.data.ledger import LEDGER, read_ledger
from carpipe.steps.session import Session
from carpipe.steps.upkeep.garbage import KNOWN, MANIFEST
from carpipe.storage import ObjectInfo
from carpipe.weights import channel

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

AGAIN = "The step that made it makes it again, in the next run that needs it."
RESTORE = "Restore it from a version of the bucket or from a backup."
# Where results lie.
HOMES = ("stages", "datasets", "models")
# Stages that do not make again what is lost.
NOT_AGAIN = ("inventory", *manifest.MADE_ONCE)
# What people have said: a name, and what reads all of it.
People = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: of which object, what, and what to do; `mended` says what was done about it."""

    key: str
    wrong: str
    then: str
    mended: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What was looked at, and what is wrong."""

    results: int
    files: int
    bytes: int
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        return all(one.mended for one in self.findings)


def examine(session: Session, *, sha256: bool = False, mend: bool = False, people: People | None = None) -> Diagnosis:
    """Hold all results of a bucket against their manifests, and the rest against what it says of itself.

    Args:
        sha256: read every file, and compare its content. Else sizes count, by listings.
        mend: put back what is lost or was changed, where its content can be had: from another object that holds it, or
            of the photo table of a partition, from what `clean` made of it. What was changed and cannot be put back
            is deleted, where its step makes it again.
        people: what reads their labels and corrections.
    """
    sizes = {info.key: info.size for home in HOMES for info in session.store.list_usable(home)}
    readable, findings = _read_all(session, [key for key in sizes if MANIFEST.fullmatch(key)])
    files = {entry["key"]: entry for done in readable for entry in done.files.values()}
    wrong = _lost(readable, sizes)
    if sha256:
        wrong |= _changed(session, [entry for key, entry in files.items() if sizes.get(key) == entry["bytes"]])
    named = [(entry["key"], (done, name)) for done in readable for name, entry in manifest.parts_of(done).items()]
    owners = dict(sorted(named, key=lambda one: _is_own(one[1][0], one[0])))  # its own manifest speaks for an object
    mender = _Mender(session, files, sizes, wrong) if mend else None
    for key, what in wrong.items():
        done, name = owners[key]
        mended = mender.mend(done, name, key) if mender else ""
        findings.append(Finding(key, f"{what} {done.key} names it.", _then(done, name), mended))
    findings += _of_the_rest(session, {done.key for done in readable}, people or {})
    return Diagnosis(len(readable), len(files), sum(entry["bytes"] for entry in files.values()), findings)


def render(found: Diagnosis) -> str:
    """For a terminal: what is wrong, then how much was looked at."""
    lines = []
    for one in found.findings:
        lines += [shown(one.key), f"  {one.wrong}", f"  {one.mended or one.then}"]
    looked_at = f"{counted(found.results, 'result')} with {counted(found.files, 'file')}, {found.bytes / 1e6:,.1f} MB"
    mended = sum(bool(one.mended) for one in found.findings)
    said = "all is well"
    if found.findings:
        said = f"{counted(len(found.findings), 'fault')}{f', {mended} mended' if mended else ''}"
    return "\n".join([*lines, f"{looked_at}: {said}."])


def _read_all(session: Session, keys: Sequence[str]) -> tuple[list[Manifest], list[Finding]]:
    """The manifests that can be read, and what is wrong with others."""
    readable, findings = [], []
    for key, data in session.store.get_many(keys):
        if data is None:  # deleted since it was listed
            continue
        try:
            readable.append(manifest.from_json(data, key=key))
        except InputError as error:
            stage = key.split("/")[1]
            then = f"{AGAIN} Delete it first." if stage in KNOWN and stage not in NOT_AGAIN else RESTORE
            findings.append(Finding(key, str(error), then))
    return readable, findings


def _lost(found: Iterable[Manifest], sizes: Mapping[str, int]) -> dict[str, str]:
    wrong = {}
    for done in found:
        for entry in manifest.parts_of(done).values():
            key, size = entry["key"], sizes.get(entry["key"])
            if size is None:
                wrong[key] = "It has gone."
            elif entry.get("bytes", size) != size:
                wrong[key] = f"It has {size:,} bytes, expected {entry['bytes']:,}."
    return wrong


def _changed(session: Session, entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of files that are there, those with another content."""
    objects = (ObjectInfo(entry["key"], "", entry["bytes"]) for entry in entries)
    largest = max((entry["bytes"] for entry in entries), default=0)
    wrong = {}
    for entry, found in zip(entries, session.store.fetch(objects, max_bytes=largest), strict=True):
        if found.data is None or hashlib.sha256(found.data).hexdigest() != entry["sha256"]:
            try:
                manifest.verified(session.store, entry)  # once more: what is between may have spoilt it
            except (InputError, MissingError):
                wrong[entry["key"]] = "Its sha256 is not that of its manifest."
            except UnavailableError as error:
                wrong[entry["key"]] = f"Whether it is whole was not found out: {error}"
    return wrong


def _then(done: Manifest, name: str) -> str:
    if done.stage == "inventory":
        return (
            f"{RESTORE} Or mend it: `clean` knows the photos of the partition too. Without it, no inventory can be "
            "taken."
        )
    if done.key.startswith("models/"):
        return f"{RESTORE} Or mend it. Apps go on with the model that they have."
    if done.stage in manifest.MADE_ONCE:
        return f"{RESTORE} Or set another `seed`. Its step does not make it again: models were made of it."
    if name.startswith("shard "):
        return f"{RESTORE} Or run `prepare_dataset`, if this is the newest dataset: its shards are packed again."
    return f"{AGAIN} One that no run makes any more stays as it is." if done.key.startswith("datasets/") else AGAIN


class _Mender:
    """Puts back what has gone or was changed."""

    def __init__(self, session: Session, files: Mapping[str, Any], sizes: Mapping[str, int], wrong: Mapping[str, str]):
        self._session = session
        self._entries = files
        self._same: dict[str, list[str]] = {}
        for key, entry in files.items():
            if key not in wrong and sizes.get(key) == entry["bytes"]:
                self._same.setdefault(entry["sha256"], []).append(key)

    def mend(self, done: Manifest, name: str, key: str) -> str:
        """What was done about it, empty where nothing can be."""
        entry, store = self._entries.get(key), self._session.store
        if entry is None:  # a page, or a shard whose own manifest has gone
            return ""
        for other in self._same.get(entry["sha256"], []):
            with contextlib.suppress(MissingError):
                if self._put(entry, store.get(other)):
                    return f"Put back from {other}."
        if done.stage == "inventory" and name == results.PHOTOS:
            return self._put_partition_back(done, entry)
        is_remade = _is_own(done, key) and key.startswith("stages/") and done.stage not in NOT_AGAIN
        if is_remade and self._is_other(entry):
            store.delete([key])
            return f"It was deleted. {AGAIN}"
        return ""

    def _put_partition_back(self, done: Manifest, entry: Mapping[str, Any]) -> str:
        """From what `clean` has made of it. Another version of pyarrow writes the same rows in other bytes."""
        from carpipe.photos import to_parquet
        from carpipe.stages.inventory import VERSION, name_partition

        photos = _from_clean(self._session, done)
        if photos is None:
            return ""
        said = "Put back from what `clean` made of the partition."
        data = to_parquet(photos)
        if self._put(entry, data):
            return said
        if name_partition(int(done.partition[1:6]), photos) != done.partition:
            return ""
        work = manifest.Work("inventory", VERSION, done.partition, {}, ())
        if work.key != done.key:
            return ""
        manifest.commit(self._session.store, work, {results.PHOTOS: data}, counts=done.counts)
        return said

    def _is_other(self, entry: Mapping[str, Any]) -> bool:
        """Whether something lies there that is not what its own manifest says, read twice."""
        try:
            manifest.verified(self._session.store, entry)
        except InputError:
            return True
        except (MissingError, UnavailableError):
            return False
        return False

    def _put(self, entry: Mapping[str, Any], data: bytes | None) -> bool:
        if data is None or hashlib.sha256(data).hexdigest() != entry["sha256"]:
            return False
        self._session.store.put(entry["key"], data)
        return True


def _is_own(done: Manifest, key: str) -> bool:
    return key.startswith(done.key.removesuffix("manifest.json"))


def _from_clean(session: Session, done: Manifest) -> "pd.DataFrame | None":
    """The photo table of a partition as the inventory wrote it: no stage adds rows or changes their order."""
    from carpipe.stages.inventory import COLUMNS

    for cleaned in manifest.commits(session.store, "clean", done.partition):
        try:
            photos = results.read_photos(session.store, cleaned, columns=list(COLUMNS))
        except (InputError, MissingError):
            continue
        return _before(photos, "inventory")
    return None


def _before(photos: "pd.DataFrame", stage: str) -> "pd.DataFrame":
    """The table without what later stages have dropped."""
    later = photos["dropped_by"].notna() & (photos["dropped_by"] != stage)
    return photos.assign(**{name: photos[name].mask(later) for name in ("dropped", "dropped_by")})


def _of_the_rest(session: Session, there: set[str], people: People) -> Iterator[Finding]:
    """What has no manifest: the inventory's state, the ledger, channels, labels."""
    try:
        state = latest_inventory(session)
        parts = state.partitions if state else []
    except CarpipeError as error:
        yield Finding(LOG, str(error), RESTORE)
        parts = []
    for part in parts:
        if part["manifest"] not in there:
            yield Finding(part["manifest"], f"The partition {part['partition']} has lost its manifest.", RESTORE)
    checks: dict[str, Callable[[], object]] = {LEDGER: partial(read_ledger, session)}
    for folder in session.store.list_folders("channels"):
        checks[f"{folder}/production.json"] = partial(_check_channel, session, folder.split("/")[1])
    for place, check in {**checks, **people}.items():
        try:
            check()
        except (InputError, MissingError) as error:
            yield Finding(place, brief(str(error), max_characters=400), RESTORE)


def _check_channel(session: Session, name: str) -> None:
    if release := channel.read_channel(session.store, name):
        channel.read_released(session.store, release)
