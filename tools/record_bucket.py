"""Record a small bucket for tests/recorded: three nights of a drawn world, in which all kinds of objects are made.

    python tools/record_bucket.py tests/recorded/settings.toml bucket.tar.xz

Later versions are tested on it: they must read all of it and take over what they need not make anew. So recordings
are kept, one for each version whose buckets differ; this only writes a new one. Pictures are a third of their size,
networks as narrow as Keras makes them, and the detector is named, not stored: the archive shall stay below 2 MB.
"""

import argparse
import hashlib
import io
import lzma
import os
import tarfile
import tempfile
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from carpipe.config import load_config
from carpipe.local.s3server import s3server
from carpipe.sample import DETECTOR, World, draw_world
from carpipe.steps import chain
from carpipe.steps.data.upload import upload
from carpipe.steps.labels.store import import_labels
from carpipe.steps.session import Session, open_session
from carpipe.steps.upkeep.forget import forget
from carpipe.storage import ObjectInfo

LISTINGS = 22
LATE = 3  # listings that come on the second night
SMALLER = 3  # times
MAX_ODD_FILE_BYTES = 60_000  # of a broken or odd file
SAMPLE = "carpipe.sample"  # as in tests/recorded


def main() -> None:
    """Record the bucket."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("settings", type=Path)
    parser.add_argument("archive", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, s3server(Path(folder) / "s3") as s3:
        os.environ.update(s3.env())
        session = open_session(load_config(options.settings, {"store.url": f"s3://{s3.bucket}/recorded"}))
        live_through(session, draw_world(Path(folder) / "world", seed=5, listings=LISTINGS), Path(folder))
        options.archive.write_bytes(pack(session))
    print(f"{options.archive}: {options.archive.stat().st_size:,} bytes")


def live_through(session: Session, world: World, folder: Path) -> None:
    """A first night, a listing that is forgotten, a second night with new listings, a third with nothing new."""
    listings = sorted({photo.key.split("_")[-2] for photo in world.photos})
    late = listings[-LATE:]
    for photo in world.photos:
        night = "second" if photo.key.split("_")[-2] in late else "first"
        path = folder / night / photo.key
        path.parent.mkdir(parents=True, exist_ok=True)
        if data := shrunk((world.raw / photo.key).read_bytes()):
            path.write_bytes(data)
    labels = [line for line in world.labels.read_text().splitlines() if not any(one in line for one in late)]
    upload(session, folder / "first")
    import_labels(session, "\n".join(labels).encode(), at="20260101T000000Z", by="ann")
    run(session, 1)
    unlabelled = (one for one in listings if one not in late and not any(one in line for line in labels))
    forget(session, next(unlabelled), at="2026-01-01T12:00:00Z")
    upload(session, folder / "second")
    run(session, 2)
    run(session, 3)


def run(session: Session, night: int) -> None:
    """One night, whole."""
    chain.run(
        session, run_id=f"night-{night}", now=lambda: f"2026-01-0{night}T01:00:00Z", progress=lambda stage, done: None
    )


def shrunk(data: bytes) -> bytes:
    """A plain photo at a third of its size; others as they are, unless they are large: then nothing."""
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        image.load()
    except (UnidentifiedImageError, OSError):
        return data if len(data) <= MAX_ODD_FILE_BYTES else b""
    if image.mode != "RGB" or image.getexif() or not data.endswith(b"\xff\xd9"):
        return data if len(data) <= MAX_ODD_FILE_BYTES else b""
    sink = io.BytesIO()
    small = image.resize((image.width // SMALLER, image.height // SMALLER), Image.Resampling.LANCZOS)
    small.save(sink, "JPEG", quality=75)
    return sink.getvalue()


def pack(session: Session) -> bytes:
    """Every object, oldest first, as a tar file; equal contents once."""
    tar = io.BytesIO()
    seen: dict[str, str] = {}
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for info in sorted(session.store.list_objects(""), key=lambda info: (info.modified, info.key)):
            archive.addfile(*member_of(session, info, seen))
    return lzma.compress(tar.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def member_of(session: Session, info: ObjectInfo, seen: dict[str, str]) -> tuple[tarfile.TarInfo, io.BytesIO]:
    """The object's entry, and what is stored of it."""
    data = session.store.get(info.key)
    sha256 = hashlib.sha256(data).hexdigest()
    member = tarfile.TarInfo(info.key)
    if sha256 in seen:
        member.type, member.linkname, data = tarfile.LNKTYPE, seen[sha256], b""
    elif data == DETECTOR.read_bytes():
        member.pax_headers, data = {SAMPLE: DETECTOR.name}, b""
    member.size = len(data)
    seen.setdefault(sha256, info.key)
    return member, io.BytesIO(data)


if __name__ == "__main__":
    main()
