"""A partition without some photos: copies of its results, and the folders that they take the place of.

A result is copied where all of it is understood: it is made of tables with a text column `key`, nothing else of it
names the listing, and what it was made of was copied too. It does not matter whether the stage is known.
"""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from carpipe import forms, manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.results import STAGES
from carpipe.steps.session import Session

log = logging.getLogger(__name__)

# Results of these can be made anew, so they may go where they cannot be copied.
OURS = ("inventory", *STAGES, results.SCORE)
# Shards are a dataset's, and stay with it.
SHARDS = "pack"


@dataclass
class Copy:
    """What takes a partition's place.

    Attributes:
        entry: of the inventory; None where no photo is left.
        folders: of results that may be deleted, once the inventory has the entry.
    """

    entry: dict[str, Any] | None
    folders: list[str] = field(default_factory=list)


def copy_without(session: Session, part: dict[str, Any], keys: Collection[str], *, listing: str) -> Copy:
    """Commit all results of a partition anew, rid of the photos of a listing.

    Args:
        part: the partition's entry of the inventory.
        keys: photos of the listing.
    """
    from carpipe.stages.inventory import name_partition

    old = part["partition"]
    photos = results.read_photos(session.store, manifest.read(session.store, part["manifest"]))
    photos = photos[~photos["key"].isin(keys)]
    name = "" if photos.empty else name_partition(int(old[1:6]), photos.reset_index(drop=True))
    copier = _Copier(session, old, name, keys, listing)
    copier.copy_all(part["manifest"])
    entry = {**part, "partition": name, "manifest": copier.copies[part["manifest"]], "photos": len(photos)}
    return Copy(entry if name else None, sorted(copier.folders()))


def folders_of(session: Session, partition: str) -> Iterator[tuple[str, str]]:
    """(stage, folder) of every result of a partition, whatever its stage."""
    for stage in sorted(folder.rpartition("/")[2] for folder in session.store.list_folders("stages")):
        for folder in session.store.list_folders(f"stages/{stage}/{partition}"):
            yield stage, folder


class _Copier:
    """Copies the results of one partition into another one; with no name of another, it only finds out what it could.

    `copies` maps the manifest of each result that was copied to its copy's.
    """

    def __init__(self, session: Session, old: str, new: str, keys: Collection[str], listing: str):
        self._session = session
        self._old, self._new = old, new
        self._keys, self._listing = set(keys), listing
        self.copies: dict[str, str] = {}
        self._kept: set[str] = set()  # folders of what is not understood

    def copy_all(self, source: str) -> None:
        """Copy the partition's photo table, then whatever was made of it, inputs first."""
        waiting = {}
        for _, folder in folders_of(self._session, self._old):
            key = f"{folder}/manifest.json"
            try:
                waiting[key] = manifest.read(self._session.store, key)
            except MissingError:
                continue
            except InputError as error:
                log.warning("%s", error)
                self._kept.add(folder)
        self._copy(waiting.pop(source), must=True)
        while ready := [done for done in waiting.values() if self._is_next(done)]:
            for done in ready:
                self._copy(waiting.pop(done.key))

    def folders(self) -> Iterator[str]:
        """What may be deleted: results that were copied, and those of our stages that can be made anew."""
        copied = {key.rpartition("/")[0] for key in self.copies}
        for stage, folder in folders_of(self._session, self._old):
            if folder in copied or (stage in OURS and folder not in self._kept):
                yield folder

    def _is_next(self, done: Manifest) -> bool:
        inside = [source for source in done.inputs if source.split("/")[2:3] == [self._old]]
        return bool(inside) and all(source in self.copies for source in inside)

    def _copy(self, done: Manifest, *, must: bool = False) -> None:
        """Commit the result for the other partition, if it is understood.

        Args:
            must: commit what there is of it in any case; the rest stays where it is.
        """
        folder = done.key.rpartition("/")[0]
        try:
            files = self._files_without(done)
        except (MissingError, InputError) as error:  # it has lost a file, or somebody has changed one
            if must:
                raise
            log.warning("%s", error)
            if done.stage not in OURS:
                self._kept.add(folder)
            return
        if len(files) < len(done.files) or self._is_named(done):
            log.warning("%s is left as it is: it is more than tables of photos", done.key)
            self._kept.add(folder)
            if not must:
                return
        self.copies[done.key] = self._commit(done, files) if self._new else ""

    def _files_without(self, done: Manifest) -> dict[str, bytes]:
        """The tables of a result, without the photos; other files are left out."""
        from carpipe import photos as table

        contents = ((name, manifest.read_file(self._session.store, done, name)) for name in done.files)
        return {name: table.without(data, self._keys) for name, data in contents if table.has_keys(data)}

    def _is_named(self, done: Manifest) -> bool:
        """Whether the listing is named beside the tables."""
        said = forms.texts([done.config, done.counts, done.extra, done.unknown])
        return any(self._listing in text.lower() for text in said)

    def _commit(self, done: Manifest, files: dict[str, bytes]) -> str:
        from carpipe import photos as table

        inputs = tuple(self.copies.get(source, source) for source in done.inputs)
        work = Work(done.stage, done.version, self._new, done.config, inputs, weights=done.weights)
        counts = done.counts
        if results.PHOTOS in files:
            counts = counts | table.count(table.from_parquet(files[results.PHOTOS]), stage=done.stage)
        log.info("%s %s: copied without %d photos", done.stage, self._new, len(self._keys))
        return manifest.commit(
            self._session.store,
            work,
            files,
            counts=counts,
            seconds=done.seconds,
            bytes_read=done.bytes_read,
            reused=done.reused,
            reused_from=done.reused_from,
            extra=done.extra,
            unknown=done.unknown,
        ).key
