"""What a night costs: three of them on one bucket, with counts of what is read and written.

    python benchmarks/nights.py <folder of photos> <labels.csv> <settings.toml>

Night 1: three quarters of the listings. Night 2: the others have been uploaded. Night 3: nothing new, but the filter
was trained again, with another seed: it filters everything anew and detects only what the first filter had dropped.
The alternative, all work from the start, is what night 1 costs per photo.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from carpipe.config import load_config
from carpipe.local.s3server import s3server
from carpipe.manifest import Manifest
from carpipe.steps import chain
from carpipe.steps.data.upload import upload
from carpipe.steps.labels.store import import_labels
from carpipe.steps.session import Session, open_session
from carpipe.storage import Store

AT = "2026-01-01T00:00:00Z"
LATER = 4  # one listing of so many comes on the second night


class CountingStore(Store):
    """A store that counts requests by the first part of the key."""

    reads: Counter[str]
    writes: Counter[str]

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        self.reads[key.split("/")[0]] += 1
        return super().get(key, max_bytes=max_bytes)

    def put(self, key: str, data: bytes) -> str:
        self.writes[key.split("/")[0]] += 1
        return super().put(key, data)

    def create(self, key: str, data: bytes) -> str:
        self.writes[key.split("/")[0]] += 1
        return super().create(key, data)


def main(photos: Path, truth: Path, settings: Path) -> None:
    """Run the nights; print a line per stage and night."""
    with tempfile.TemporaryDirectory() as home, s3server(Path(home) / "s3") as server:
        os.environ.update(server.env())
        url = f"s3://{server.bucket}/nights"
        early, late = split_folder(photos, Path(home))
        session = open_at(settings, url)
        upload(session, early)
        import_labels(session, truth.read_bytes(), at="20260101T000000Z")
        chain.train_filter(session, run="benchmark", now=lambda: AT, progress=quiet)
        first = night("night 1", session)
        upload(session, late)
        second = night("night 2, new photos", session)
        other = open_at(settings, url, seed=21)
        chain.train_filter(other, run="benchmark", now=lambda: AT, progress=quiet)
        third = night("night 3, new car filter", other)
        print(f"night 2 took {second / first:.2f}, night 3 {third / first:.2f} of the time of night 1")


def open_at(settings: Path, url: str, **options: int) -> Session:
    """A session on the benchmark's bucket."""
    config = load_config(settings, {"store.url": url, **{f"car_filter.{key}": value for key, value in options.items()}})
    return open_session(config)


def split_folder(photos: Path, home: Path) -> tuple[Path, Path]:
    """Links to the photos of each night's listings."""
    folders = home / "early", home / "late"
    for path in photos.rglob("*.jpg"):
        listing = path.name.split("_")[2]
        target = folders[int(hashlib.sha256(listing.encode()).hexdigest(), 16) % LATER == 0] / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folders


def night(name: str, session: Session) -> float:
    """One run of prepare_dataset; prints what each stage did, returns the seconds."""
    store = CountingStore(session.config.store)
    store.reads, store.writes = Counter(), Counter()
    stages: dict[str, list[float]] = {}

    def note(stage: str, done: Manifest) -> None:
        entry = stages.setdefault(stage, [0, 0, 0, 0])
        fresh = done.counts.get("in", 0) - done.reused if done.fresh else 0
        for i, value in enumerate((fresh, done.counts.get("in", 0) - fresh, done.bytes_read if done.fresh else 0)):
            entry[i] += value

    started = time.perf_counter()
    done = chain.prepare_dataset(Session(session.config, store), now=lambda: AT, progress=note)
    seconds = time.perf_counter() - started
    print(f"\n{name}: {seconds:.1f} s, {done.counts['in']} photos, {done.counts['kept']} kept")
    print(f"  objects read: {shown(store.reads)}; written: {shown(store.writes)}")
    for stage, (fresh, reused, size, _) in stages.items():
        print(f"  {stage:<10} {fresh:>6.0f} worked on, {reused:>6.0f} reused, {size / 1e6:>7.1f} MB read")
    return seconds


def shown(counts: Counter[str]) -> str:
    """Counts in order of prefix."""
    return ", ".join(f"{name}/ {number}" for name, number in sorted(counts.items()))


def quiet(stage: str, done: Manifest) -> None:
    """Say nothing."""


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
