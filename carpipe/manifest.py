"""The commit protocol: work has one key, and its manifest, written last, makes it visible.

`stages/<stage>/<partition>/<fingerprint>/manifest.json` is created with put-if-absent after all other
files. So a crash leaves nothing visible, the same work done twice is found and not repeated, and of
two racing attempts one wins and the other adopts its result. Files carry a digest in their name: an
attempt that wakes up late cannot change a file that a manifest refers to.

Readers follow manifests. Nothing here lists a prefix for data; `earlier` lists manifests only.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from carpipe import __version__, forms
from carpipe.errors import ConflictError, InputError, MissingError, UnavailableError
from carpipe.storage import Store


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


def find(store: Store, work: Work) -> Manifest | None:
    """The committed result of this work, if there is one."""
    try:
        return read(store, work.key)
    except MissingError:
        return None


def read(store: Store, key: str) -> Manifest:
    """A manifest by its key. Raises MissingError, or InputError when it is not a manifest, or one of a later form."""
    return from_json(store.get(key), key=key)


def from_json(data: bytes, *, key: str) -> Manifest:
    """A manifest from what lies under its key. Raises InputError as `read` does."""
    return forms.read(Manifest, data, key=key, what="a manifest", given={"key": key, "fresh": False})


def read_file(store: Store, manifest: Manifest, name: str) -> bytes:
    """A file that the manifest refers to, checked. Raises InputError where it has no such file."""
    if name not in manifest.files:
        raise InputError(f"{manifest.key} has no file {name!r}; it has {', '.join(manifest.files) or 'none'}.")
    return verified(store, manifest.files[name])


def verified(store: Store, entry: Mapping[str, Any]) -> bytes:
    """The object that an entry (`key`, `sha256`) of a manifest refers to.

    Raises:
        InputError: the bytes are not those that were committed.
    """
    data = store.get(entry["key"])
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise InputError(f"{entry['key']} is not what was committed: its sha256 differs from the manifest's.")
    return data


def commit(store: Store, work: Work, files: Mapping[str, bytes], **facts: Any) -> Manifest:
    """Write files, then the manifest; return whichever manifest won.

    Args:
        files: contents by file name, such as `{"photos.parquet": ...}`.
        facts: the other fields of Manifest (`counts`, `seconds`, ...).
    """
    entries: dict[str, File] = {}
    for filename, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        key = work.key_of(filename, sha256)
        store.put(key, data)
        entries[filename] = {"key": key, "bytes": len(data), "sha256": sha256}
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
        try:
            return read(store, manifest.key)
        except MissingError:
            raise UnavailableError(f"{manifest.key} is being written by another attempt; try again.") from None
    return manifest


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
    """Other committed results of the same stage and partition under the same settings and weights.

    Args:
        but: settings that may differ.
    """

    def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in config.items() if name not in but}

    same = (work.version, dict(work.weights), decisive(_plain(work.config)))
    for done in commits(store, work.stage, work.partition):
        if (done.version, done.weights, decisive(done.config)) == same:
            yield done


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(config), default=list))
    return plain
