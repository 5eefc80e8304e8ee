"""A small bucket as carpipe 0.1.0 left it after three nights: what later versions must read and take over.

`tools/record_bucket.py` says what happened in those nights, and records such a bucket with the code of today.
"""

import lzma
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from carpipe.config import load_config
from carpipe.local.s3server import S3Settings
from carpipe.sample import DETECTOR
from carpipe.steps.session import Session, open_session

FOLDER = Path(__file__).parent
SETTINGS = FOLDER / "settings.toml"
BUCKET = FOLDER / "bucket-0.1.0.tar.xz"
# In a tar member's headers: the object is this file of the sample world, and not stored again.
SAMPLE = "carpipe.sample"


def objects() -> Iterator[tuple[str, bytes]]:
    """Key and content of every object, in the order in which they were written."""
    with lzma.open(BUCKET) as packed, tarfile.open(fileobj=packed) as archive:
        known: dict[str, bytes] = {}
        for member in archive:
            if SAMPLE in member.pax_headers:
                known[member.name] = DETECTOR.read_bytes()
            elif member.islnk():
                known[member.name] = known[member.linkname]
            else:
                file = archive.extractfile(member)
                assert file is not None, member.name
                known[member.name] = file.read()
            yield member.name, known[member.name]


def restore(session: Session) -> None:
    """Put every object into the session's bucket, as fast as it takes them: datasets say themselves which came last."""
    for key, data in objects():
        session.store.put(key, data)


def restored(s3: S3Settings) -> Session:
    """The bucket below a prefix of its own, and a session of its settings."""
    session = open_session(load_config(SETTINGS, {"store.url": f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"}))
    restore(session)
    return session
