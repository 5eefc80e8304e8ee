"""Weights that users provide, detectors and backbones: files, folders, or keys in the bucket."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from carpipe.errors import InputError, MissingError
from carpipe.storage import Store


@contextlib.contextmanager
def local_weights(store: Store, source: str) -> Iterator[tuple[Path, str]]:
    """Weights a user provides, as a local file or folder, and the sha256 of their content.

    Args:
        source: `s3:<key in the bucket>`, a path, or `sample:<file>` for what comes with the sample world.

    Raises:
        InputError: there are none; says where they were looked for.
    """
    if source.startswith("sample:"):
        # Every file of the package is a plain file: carpipe is never installed zipped.
        source = str(Path(__file__).parents[1] / "sample" / source.removeprefix("sample:"))
    if not source.startswith("s3:"):
        path = Path(source).expanduser()
        if not path.exists():
            raise InputError(
                f"There are no weights at {path.absolute()}; put them there, or name another path or `s3:<key>`."
            )
        yield path, _sha256(path)
        return
    key = source.removeprefix("s3:").lstrip("/")
    try:
        data = store.get(key)
    except MissingError:
        raise InputError(
            f"There are no weights {key} in {store.url}; upload them, or name another key or a path."
        ) from None
    with tempfile.TemporaryDirectory(prefix="carpipe-weights-") as folder:
        path = Path(folder) / Path(key).name
        path.write_bytes(data)
        yield path, _sha256(path)


def _sha256(path: Path) -> str:
    """Of a file, or of all files of a folder (an OpenVINO model) with their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        whole.update(file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()
