"""Weights that users provide, detectors and backbones: files, folders, or keys in the bucket."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from carpipe.backports import file_sha256
from carpipe.errors import InputError, MissingError, TooLargeError, explain_unreadable
from carpipe.storage import Store

MAX_WEIGHTS_BYTES = 2**30  # bytes of a detector or a backbone; the largest have 0.3 GB


@contextlib.contextmanager
def local_weights(store: Store, source: str) -> Iterator[tuple[Path, str]]:
    """Weights a user provides, as a local file or folder, and the sha256 of their content.

    Args:
        source: `s3:<key in the bucket>`, a path, or `sample:<file>` for what comes with the sample world.

    Raises:
        InputError: there are none; says where they were looked for. Or they are larger than weights are, or a folder
            with links that lead out of it.
    """
    if source.startswith("sample:"):
        # Every file of the package is a plain file: carpipe is never installed zipped.
        source = str(Path(__file__).parents[1] / "sample" / source.removeprefix("sample:"))
    if not source.startswith("s3:"):
        path = Path(source).expanduser()
        yield path, _found_here(path)
        return
    key = source.removeprefix("s3:").lstrip("/")
    try:
        data = store.get(key, max_bytes=MAX_WEIGHTS_BYTES)
    except TooLargeError:
        raise _too_large(f"{key} in {store.url}") from None
    except MissingError:
        raise InputError(
            f"There are no weights {key} in {store.url}; upload them, or name another key or a path."
        ) from None
    with tempfile.TemporaryDirectory(prefix="carpipe-weights-") as folder:
        path = Path(folder) / (Path(key).name or "weights")
        path.write_bytes(data)
        yield path, sha256_of(path)


def _found_here(path: Path) -> str:
    """The sha256 of what is there."""
    try:
        if not path.exists():
            raise InputError(
                f"There are no weights at {path.absolute()}; put them there, or name another path or `s3:<key>`."
            )
        _check(path)
        return sha256_of(path)
    except PermissionError as error:
        raise InputError(f"The weights cannot be read. {explain_unreadable(error)}") from None


def _too_large(what: str) -> InputError:
    return InputError(
        f"{what} has more than the {MAX_WEIGHTS_BYTES:,} bytes that weights have. Is it another file than you meant?"
    )


def _files(path: Path) -> list[Path]:
    """A file, or all of a folder. Raises OSError where one of its folders cannot be read: what is in there counts."""
    if path.is_file():
        return [path]

    def refuse(error: OSError) -> None:
        raise error

    inside = (Path(folder) / name for folder, _, names in os.walk(path, onerror=refuse) for name in names)
    return [item for item in inside if item.is_file()]


def _check(path: Path) -> None:
    files = _files(path)
    if sum(file.stat().st_size for file in files) > MAX_WEIGHTS_BYTES:
        raise _too_large(str(path))
    # What a folder holds is published with the model; a link could publish any file of this machine.
    if path.is_dir() and (out := [file for file in files if not file.resolve().is_relative_to(path.resolve())]):
        raise InputError(f"{out[0]} is a link that leads out of its folder; put the file itself there.")


def sha256_of(path: Path) -> str:
    """Of a file, or of all files of a folder (an OpenVINO model) with their names."""
    if path.is_file():
        with path.open("rb") as content:
            return file_sha256(content)
    whole = hashlib.sha256()
    for file in sorted(_files(path)):
        whole.update(file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()
