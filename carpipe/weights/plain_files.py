"""Files of a folder that others may write too, such as a cache: what is there is looked at before it is read.

A link, a device, a pipe or a folder in a file's place is not read: that might never end, or read what lies elsewhere.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from carpipe.backports import file_sha256
from carpipe.errors import InputError, UnavailableError, explain_os_error

# A pipe without a writer would be waited for, and a link leads elsewhere. Windows knows neither.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
# What an open says of a link.
_LINKED = (errno.ELOOP, errno.EMLINK)
# And of what stays as it is: another account's, or below something that is no folder.
_CLOSED = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENXIO, errno.EISDIR)


def read(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of a file.

    Args:
        max_bytes: that it may have.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is no plain file, a longer one, or one that this account cannot read.
        UnavailableError: handles or memory are missing, or the disk does not answer.
    """
    with _opened(path, max_bytes) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:  # it grows
        raise _too_long(path, len(data), max_bytes)
    return data


def holds(path: Path, *, sha256: str, max_bytes: int) -> bool:
    """Whether there is a plain file with that content.

    Args:
        max_bytes: that it may have.

    Raises:
        UnavailableError: that cannot be found out now.
    """
    try:
        with _opened(path, max_bytes) as file:
            return file_sha256(file) == sha256
    except (OSError, InputError):
        return False


def write(path: Path, data: bytes, *, below: Path) -> None:
    """Put a file there, whole or not at all, and make its folders; what is no folder in its place is replaced.

    Args:
        below: folder in which it lies. No link leads out of it.

    Raises:
        InputError: a folder lies in its place, or something else in a folder's.
        OSError: it cannot be written.
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
    """Refuse a folder that a link below another folder leads to, or in whose place a file lies. Raises InputError."""
    for part in [folder, *folder.parents]:
        if part == below:
            return
        mode = _mode(part)
        if mode is not None and stat.S_ISLNK(mode):
            raise InputError(f"{part} is to be a folder, and is a link; remove it.")
        if mode is not None and not (stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            raise InputError(f"{part} is to be a folder, and is a file, a pipe or a device; remove it.")


def _mode(path: Path) -> int | None:
    """What lies there; None where nothing does, or what is above it is at fault."""
    try:
        return path.lstat().st_mode
    except OSError:
        return None


@contextmanager
def _opened(path: Path, max_bytes: int) -> Iterator[BufferedReader]:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # before it is opened: of some devices that alone does something
            raise _no_file(path)
        number = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _LINKED:
            raise _no_file(path) from None
        if error.errno not in _CLOSED:
            raise UnavailableError(f"{path} cannot be read now: {explain_os_error(error)}") from None
        raise InputError(f"{path} cannot be read: {error.strerror}. Remove it, or let this account read it.") from None
    with os.fdopen(number, "rb") as file:
        found = os.fstat(file.fileno())  # it may have changed since
        if not stat.S_ISREG(found.st_mode):
            raise _no_file(path)
        if found.st_size > max_bytes:
            raise _too_long(path, found.st_size, max_bytes)
        yield file


def _no_file(path: Path) -> InputError:
    return InputError(f"{path} is to be a file, and is a folder, a link, a pipe or a device; remove it.")


def _too_long(path: Path, size: int, max_bytes: int) -> InputError:
    return InputError(f"{path} has {size:,} bytes, expected at most {max_bytes:,}; remove it.")
