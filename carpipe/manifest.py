"""The commit protocol: work has one key, and its manifest, written last, makes it visible.

`stages/<stage>/<partition>/<fingerprint>/manifest.json` is created with put-if-absent after all other
files. So a crash leaves nothing visible, the same work done twice is found and not repeated, and of
two racing attempts one wins and the other adopts its result. Files carry a digest in their name: an
attempt that wakes up late cannot change a file that a manifest refers to.

Readers follow manifests. Nothing here lists a prefix for data; `earlier` lists manifests only.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from carpipe import __version__, forms
from carpipe.backports import UTC, from_iso
from carpipe.errors import ConflictError, InputError, MissingError, TooLargeError, UnavailableError
from carpipe.names import brief
from carpipe.spent import Spent
from carpipe.storage import ObjectInfo, Store

log = logging.getLogger(__name__)

# Where manifests lie. What is named as an input may also be labels.
_PLACE = re.compile(
    r"(stages/(?P<stage>[^/]+)/(?P<partition>[^/]+)|datasets|models/[^/]+)/[^/]+/manifest\.json", re.DOTALL
)
# Name in `extra` of the time of a commit, ISO 8601.
COMMITTED = "committed"
# The same of what another attempt had made, and lost: the sha256 of its manifest, and what was missing.
REPLACED = "replaced"
# Stages whose results others are made of that would not fit another one.
MADE_ONCE = ("train", "evaluate", "export")
# A release names the sha256 of a model's manifest: that is for ever.
_REPLACEABLE = ("stages/", "datasets/")
# So many results of a stage are asked about one by one.
FEW = 20
# Where the shards of a dataset are made: all that a manifest may name beside its own files.
_SHARDS = "stages/pack/"


@dataclass(frozen=True)
class Work:
    """What a step is about to do; everything that decides its result.

    Attributes:
        stage: name of the stage.
        version: of the stage's code; raise it when the code's results change.
        partition: id of the partition, or `all` for stages over a whole dataset.
        config: the settings the stage reads, and no others.
        weights: sha256 of each weights file used, by role.
        inputs: manifest keys of the input.
        home: folder of results that people look up by hand (`datasets`, `models/<name>`). Their files have
            plain names, so they must be copies or depend on nothing but the inputs.
    """

    stage: str
    version: int
    partition: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    weights: Mapping[str, str] = field(default_factory=dict)
    home: str = ""

    @property
    def fingerprint(self) -> str:
        """20 hex digits; equal for equal work, on any machine."""
        return digest(asdict(self))

    @property
    def settings(self) -> str:
        """As `fingerprint`, but blind to the input: equal settings may share results photo by photo."""
        return digest({**asdict(self), "inputs": ()})

    @property
    def prefix(self) -> str:
        return f"{self.home or f'stages/{self.stage}/{self.partition}'}/{self.fingerprint}"

    @property
    def key(self) -> str:
        """Where its manifest lies, or will."""
        return f"{self.prefix}/manifest.json"

    def key_of(self, filename: str, sha256: str) -> str:
        """Where a file of this result lies."""
        if self.home:
            return f"{self.prefix}/{filename}"
        name, dot, suffix = filename.rpartition(".")
        return f"{self.prefix}/{name}-{sha256[:12]}{dot}{suffix}"


@with_config(ConfigDict(extra="allow"))  # what a later version has added
class File(TypedDict):
    """Where a file of a result lies, and what it is."""

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A committed result. `files` maps a name (`photos.parquet`, ...) to its place.

    `counts` is what the stage did (`in`, `kept`, `dropped` by reason); `seconds` is wall time and
    `bytes_read` what came out of the store. `reused` counts photos taken over from `reused_from`. `unknown` holds
    what a later version of carpipe has added.
    """

    key: str
    stage: str
    version: int
    partition: str
    config: dict[str, Any]
    weights: dict[str, str]
    inputs: list[str]
    settings: str
    files: dict[str, File]
    counts: dict[str, Any]
    seconds: float = 0.0
    bytes_read: int = 0
    reused: int = 0
    reused_from: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    carpipe: str = __version__
    # True when this process made the result, False when it was there already. Not stored.
    fresh: bool = False
    unknown: dict[str, Any] = field(default_factory=dict)


def digest(value: object) -> str:
    """20 hex digits of the sha256 of a JSON value, written canonically."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=list)
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]


def find(store: Store, work: Work, *, whole: bool = True) -> Manifest | None:
    """The committed result of this work, if there is one.

    Args:
        whole: and nothing of it has gone. A manifest is no proof of its files: rules of a bucket, a half copy or an
            accident may take one. Its step then makes them again.
    """
    try:
        done = read(store, work.key)
    except MissingError:
        return None
    if whole and (missing := lost(store, done)):
        _check_may_be_made_again(done, missing)
        return None
    return done


def _check_may_be_made_again(done: Manifest, missing: Sequence[str]) -> None:
    """Log what is lost. Raises InputError where what was made of the result would not fit what is made anew."""
    said = f"{done.key} has lost {brief(', '.join(missing))}"
    if done.stage in MADE_ONCE:
        raise InputError(
            f"{said}. It is not made again: models were made of it, and another one would not fit them. "
            "`carpipe doctor --mend` puts it back where another object holds it. Else restore it from a backup, or set "
            "another `seed`: then all is made anew."
        )
    log.warning("%s: it is made again", said)


def find_many(
    store: Store, works: Iterable[Work], *, needed: Callable[[str], Collection[str]] | None = None
) -> list[Manifest | None]:
    """As `find`, of many; in their order, read ahead by threads.

    Args:
        needed: names of files that must be there, of results of a stage; None: all.
    """
    found = [None if data is None else from_json(data, key=key) for key, data in store.get_many(w.key for w in works)]
    there = _sizes(store, [done for done in found if done])
    missing = {done.key: _lost(done, there, needed) for done in found if done}
    for done in found:
        if done and missing[done.key]:
            _check_may_be_made_again(done, missing[done.key])
    return [None if done is None or missing[done.key] else done for done in found]


def lost(store: Store, done: Manifest) -> list[str]:
    """Names of what a manifest refers to and is not there, or has another size: its files, shards and pages."""
    keys = list(parts_of(done).values())
    found = dict(zip((entry["key"] for entry in keys), store.heads(entry["key"] for entry in keys), strict=True))
    return _lost(done, {key: info.size for key, info in found.items() if info})


def _lost(
    done: Manifest, there: Mapping[str, int], needed: Callable[[str], Collection[str]] | None = None
) -> list[str]:
    named = parts_of(done)
    if needed:
        named = {name: entry for name, entry in named.items() if name in needed(done.stage)}
    return [
        name
        for name, entry in named.items()
        if entry["key"] not in there or entry.get("bytes", there[entry["key"]]) != there[entry["key"]]
    ]


def parts_of(done: Manifest) -> dict[str, Mapping[str, Any]]:
    """Each object that belongs to a result, by a name: `key`, and `bytes` where the manifest says how many."""
    named: dict[str, Mapping[str, Any]] = dict(done.files)
    shards = done.extra.get("shards", [])
    for shard in shards if isinstance(shards, list) else []:
        entry = shard if isinstance(shard, dict) else {"key": shard}
        named[f"shard {entry['key']}"] = entry
    for key in forms.texts(done.extra.get("docs")):
        named[f"page {key}"] = {"key": key}
    return named


def _sizes(store: Store, found: Sequence[Manifest]) -> dict[str, int]:
    """Size by key of what belongs to some results. Of many of a stage, one listing says it with fewer questions."""
    by_stage: dict[str, list[Manifest]] = {}
    for done in found:
        by_stage.setdefault("/".join(done.key.split("/")[:2]), []).append(done)
    sizes: dict[str, int] = {}
    for prefix, some in by_stage.items():
        if len(some) > FEW:
            sizes |= {info.key: info.size for info in store.list_usable(prefix)}
            continue
        keys = [entry["key"] for done in some for entry in parts_of(done).values()]
        heads = zip(keys, store.heads(keys), strict=True)
        sizes |= {key: info.size for key, info in heads if info}
    return sizes


def read_many(store: Store, keys: Iterable[str]) -> list[Manifest]:
    """As `read`, of many; in their order, read ahead by threads."""
    found = []
    for key, data in store.get_many(keys):
        if data is None:
            raise MissingError(f"There is no {key} in {store.url}.")
        found.append(from_json(data, key=key))
    return found


def read(store: Store, key: str) -> Manifest:
    """A manifest by its key.

    Raises:
        MissingError: there is none.
        InputError: it is no manifest, one of a later form, one of another place, or it names what is not its own.
    """
    return from_json(store.get(key), key=key)


def from_json(data: bytes, *, key: str) -> Manifest:
    """A manifest from what lies under its key. Raises InputError as `read` does."""
    # Figures of a model that a training has ruined are not numbers, and the gate must be able to read them.
    found = forms.read(
        Manifest, data, key=key, what="a manifest", given={"key": key, "fresh": False}, figures=("extra", "counts")
    )
    _check_keys(found)
    return found


def read_file(store: Store, manifest: Manifest, name: str) -> bytes:
    """A file that the manifest refers to, checked. Raises InputError where it has no such file."""
    return verified(store, _entry(manifest, name))


def read_json(store: Store, manifest: Manifest, name: str) -> Any:
    """What a JSON file of the manifest holds, checked. Raises InputError as `read_file`, or where it is no JSON."""
    what = f"the file {name} of a result"
    return forms.parse(
        read_file(store, manifest, name), key=manifest.files[name]["key"], what=what, figures=(forms.ALL,)
    )


def verified(store: Store, entry: Mapping[str, Any]) -> bytes:
    """The object that an entry (`key`, `sha256`) of a manifest refers to.

    Raises:
        InputError: the bytes are not those that were committed.
        UnavailableError: other bytes come each time.
    """
    return _as_committed(store, entry, _get(store, entry))


def _get(store: Store, entry: Mapping[str, Any]) -> bytes:
    try:
        return store.get(entry["key"], max_bytes=entry.get("bytes"))
    except TooLargeError:
        raise _grown(entry) from None


def read_files(store: Store, manifests: Iterable[Manifest], name: str) -> Iterator[bytes]:
    """As `read_file`, of many; in their order, read ahead by threads.

    Raises:
        MissingError: there is no such object any more.
    """
    entries = [_entry(done, name) for done in manifests]
    objects = (ObjectInfo(entry["key"], "", entry["bytes"]) for entry in entries)
    largest = max((entry["bytes"] for entry in entries), default=0)
    for entry, found in zip(entries, store.fetch(objects, max_bytes=largest), strict=True):
        if found.data is None and found.size is None:
            raise MissingError(
                f"{entry['key']} has gone from {store.url}, though a manifest names it; `carpipe doctor` says what to "
                "do."
            )
        if found.data is None or len(found.data) > entry["bytes"]:
            raise _grown(entry)
        yield _as_committed(store, entry, found.data)


def _entry(manifest: Manifest, name: str) -> File:
    if name not in manifest.files:
        names = brief(", ".join(manifest.files)) or "none"
        raise InputError(f"{manifest.key} has no file '{brief(name)}'; it has {names}.")
    return manifest.files[name]


def _as_committed(store: Store, entry: Mapping[str, Any], data: bytes) -> bytes:
    """The data; asked for once more where it is other: what is between may have spoilt it."""
    if _sha256(data) == entry["sha256"]:
        return data
    again = _get(store, entry)
    if _sha256(again) == entry["sha256"]:
        log.warning("%s came otherwise than it lies in the storage, and well when it was asked for again", entry["key"])
        return again
    if again != data:
        raise UnavailableError(
            f"{entry['key']} comes otherwise each time it is read. The storage, or what is between, is in trouble."
        )
    raise InputError(f"{entry['key']} is not what was committed: its sha256 differs from the manifest's.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _grown(entry: Mapping[str, Any]) -> InputError:
    return InputError(f"{entry['key']} is not what was committed: it is larger than the manifest says.")


def commit(
    store: Store, work: Work, files: Mapping[str, bytes], *, spent: Spent | None = None, **facts: Any
) -> Manifest:
    """Write files, then the manifest; return whichever manifest won.

    Args:
        files: contents by file name, such as `{"photos.parquet": ...}`.
        spent: where the time went, which the manifest then says as `spent` of its `extra`.
        facts: the other fields of Manifest (`counts`, `seconds`, ...). What writing takes is added to the seconds,
            and the time (UTC) to `extra`, as `committed`.

    Raises:
        ConflictError: two attempts were about to replace a result that had lost files, and the other was faster.
    """
    started = time.monotonic()
    with (spent or Spent()).on("writing"):
        entries = _write(store, work, files)
    if "seconds" in facts:
        facts["seconds"] = round(facts["seconds"] + time.monotonic() - started, 3)
    facts["extra"] = {**facts.get("extra", {}), COMMITTED: datetime.now(UTC).isoformat(timespec="milliseconds")}
    if spent:
        facts["extra"]["spent"] = spent.seconds
    manifest = Manifest(
        key=work.key,
        stage=work.stage,
        version=work.version,
        partition=work.partition,
        config=_plain(work.config),
        weights=dict(work.weights),
        inputs=list(work.inputs),
        settings=work.settings,
        files=entries,
        fresh=True,
        **facts,
    )
    try:
        store.create(manifest.key, to_json(manifest))
    except ConflictError:
        return _other_than(store, manifest)
    return manifest


def _other_than(store: Store, made: Manifest) -> Manifest:
    """What lies under the key of a result already. Where that has lost files, the new one takes their place.

    Raises:
        ConflictError: another attempt has just done the same.
    """
    info = store.head(made.key)
    if info is None:
        raise UnavailableError(f"{made.key} is being written by another attempt; try again.")
    there = read(store, made.key)
    if not made.key.startswith(_REPLACEABLE) or there.stage in MADE_ONCE:
        return there
    # Ours have just been written: where they are equal and their keys too, nothing is lost any more. Where their keys
    # are those of others, these are overwritten.
    over = [name for name, entry in made.files.items() if _is_overwritten(there.files.get(name), entry)]
    missing = [*lost(store, there), *over]
    if not missing:
        return there
    extra = {**made.extra, REPLACED: {"sha256": _sha256(to_json(there)), "lost": missing}}
    log.warning("%s has lost %s and comes out otherwise: it is replaced", made.key, brief(", ".join(missing)))
    made = replace(made, extra=extra)
    store.replace(made.key, to_json(made), etag=info.etag)
    return made


def _is_overwritten(there: File | None, ours: File) -> bool:
    return there is not None and there["key"] == ours["key"] and there["sha256"] != ours["sha256"]


def _write(store: Store, work: Work, files: Mapping[str, bytes]) -> dict[str, File]:
    entries: dict[str, File] = {}
    for filename, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        key = work.key_of(filename, sha256)
        store.put(key, data)
        entries[filename] = {"key": key, "bytes": len(data), "sha256": sha256}
    return entries


def committed_at(done: Manifest | None, info: ObjectInfo | None) -> datetime:
    """When it was committed, as it says itself. Earlier versions did not; then what the storage says.

    Where a bucket was copied, the storage says when.

    Args:
        done: None where nobody can read it.
        info: what the listing says of the manifest.
    """
    try:
        said = from_iso(done.extra[COMMITTED] if done else "")
        return said if said.tzinfo else said.replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError):  # of an earlier version
        return (info.modified if info else None) or datetime.min.replace(tzinfo=UTC)


def newest_first(store: Store, infos: Iterable[ObjectInfo]) -> list[tuple[str, Manifest | None]]:
    """Keys of manifests and what they hold, the newest first. None, and a line in the log, where nobody can read it."""
    found = {info.key: info for info in infos}
    dated = []
    for key, data in store.get_many(found):
        if data is not None:
            done = _readable(data, key)
            dated.append((committed_at(done, found[key]), key, done))
    return [(key, done) for _, key, done in sorted(dated, key=lambda one: one[:2], reverse=True)]


def _readable(data: bytes, key: str) -> Manifest | None:
    try:
        return from_json(data, key=key)
    except InputError as error:
        log.warning("%s It is passed over.", error)
        return None


def to_json(manifest: Manifest) -> bytes:
    """What lies under a manifest's key."""
    return forms.write(manifest, without=("key", "fresh"))


def commits(store: Store, stage: str, partition: str) -> Iterator[Manifest]:
    """All committed results of a stage for a partition, but for those of other versions of carpipe."""
    for folder in store.list_folders(f"stages/{stage}/{partition}"):
        try:
            yield read(store, f"{folder}/manifest.json")
        except (MissingError, InputError):
            continue


def earlier(store: Store, work: Work, *, but: Collection[str] = ()) -> Iterator[Manifest]:
    """Other committed results of the same stage and partition under the same settings and weights, that are whole.

    Args:
        but: settings that may differ.
    """

    def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in config.items() if name not in but}

    same = (work.version, dict(work.weights), decisive(_plain(work.config)))
    for done in commits(store, work.stage, work.partition):
        if (done.version, done.weights, decisive(done.config)) == same and not lost(store, done):
            yield done


def _check_keys(done: Manifest) -> None:
    """Who may write one folder of the bucket must not be able to make others read, copy or publish another one."""
    place = _PLACE.fullmatch(done.key)
    if place and place["stage"] and (place["stage"], place["partition"]) != (done.stage, done.partition):
        raise _tampered(
            done,
            f"it says that it is of stage '{brief(done.stage)}' and partition '{brief(done.partition)}', and "
            "lies elsewhere",
        )
    own = done.key.removesuffix("manifest.json")
    for name, entry in done.files.items():
        if not _lies_below("", name) or "\\" in name or "\0" in name:
            raise _tampered(done, f"the name '{brief(name)}' is no place inside its folder")
        if not _lies_below(own, entry["key"]):
            raise _tampered(done, f"its file '{brief(name)}' is '{brief(entry['key'])}', expected a key below {own}")
    _check_elsewhere(done, own)


def _check_elsewhere(done: Manifest, own: str) -> None:
    """What is named beside the files: shards, pages, inputs."""
    shards = done.extra.get("shards", [])
    for shard in shards if isinstance(shards, list) else [shards]:
        key = shard.get("key") if isinstance(shard, dict) else shard
        if not isinstance(key, str) or not _lies_below(_SHARDS, key):
            raise _tampered(done, f"it names the shard {brief(repr(key))}, expected a key below {_SHARDS}")
    for key in forms.texts(done.extra.get("docs")):  # of a validation, which a dataset copies
        if not _lies_below(own, key):
            raise _tampered(done, f"it names the page '{brief(key)}', expected a key below {own}")
    for source in done.inputs:
        home = "labels/" if source.startswith("labels/") else ""
        if "/" in source and not (_lies_below(home, source) and (home or _PLACE.fullmatch(source))):
            raise _tampered(done, f"it names the input '{brief(source)}', expected the key of a manifest")


def _lies_below(prefix: str, key: str) -> bool:
    return key.startswith(prefix) and not {"", ".", ".."} & set(key.split("/"))


def _tampered(done: Manifest, reason: str) -> InputError:
    return InputError(f"{done.key} is no manifest to be trusted: {reason}. Somebody has tampered with the bucket.")


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(config), default=list))
    return plain
