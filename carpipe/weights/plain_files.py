"""Files of a folder that others may write too, such as a cache: what is there is looked at before it is read.

A link, a device, a pipe or a folder in a file's place is none: reading it could end never, or somewhere else.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from carpipe.errors import InputError

# A pipe without a writer would be waited for, and a link leads elsewhere. Windows knows neither.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def read(path: Path, *, most: int) -> bytes:
    """The bytes of a file.

    Args:
        most: bytes that it may have.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is no plain file, or a longer one.
    """
    with _opened(path, most) as file:
        data = file.read(most + 1)
    if len(data) > most:  # it grows
        raise _too_long(path, len(data), most)
    return data


def holds(path: Path, *, sha256: str, most: int) -> bool:
    """Whether there is a plain file with that content.

    Args:
        most: bytes that it may have.
    """
    try:
        with _opened(path, most) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except (FileNotFoundError, InputError):
        return False


def write(path: Path, data: bytes, *, below: Path) -> None:
    """Put a file there, whole or not at all, and make its folders; what is no folder in its place is replaced.

    Args:
        below: folder in which it lies. No link leads out of it.

    Raises:
        InputError: a folder lies in its place, or a link in a folder's.
    """
    check_folders(path.parent, below=below)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except IsADirectoryError:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"{path} is to be a file, and is a folder; remove it.") from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_folders(folder: Path, *, below: Path) -> None:
    """Refuse a folder that a link below another folder leads to. Raises InputError."""
    for part in [folder, *folder.parents]:
        if part == below:
            return
        if part.is_symlink():
            raise InputError(f"{part} is to be a folder, and is a link; remove it.")


@contextmanager
def _opened(path: Path, most: int) -> Iterator[BufferedReader]:
    if not stat.S_ISREG(path.lstat().st_mode):  # before it is opened: of some devices that alone does something
        raise _no_file(path)
    try:
        number = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise
    except OSError:
        if not path.is_symlink():
            raise
        raise _no_file(path) from None
    with os.fdopen(number, "rb") as file:
        found = os.fstat(file.fileno())  # it may have changed since
        if not stat.S_ISREG(found.st_mode):
            raise _no_file(path)
        if found.st_size > most:
            raise _too_long(path, found.st_size, most)
        yield file


def _no_file(path: Path) -> InputError:
    return InputError(f"{path} is to be a file, and is a folder, a link, a pipe or a device; remove it.")


def _too_long(path: Path, size: int, most: int) -> InputError:
    return InputError(f"{path} has {size:,} bytes, expected at most {most:,}; remove it.")
