"""Whose fault an error is: that of the bytes that are looked at, or of the machine that looks at them.

A check that could not be carried out is no verdict. Libraries say in the same words that a file is broken and that they
had no memory, no handle or no room for it.
"""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from carpipe.errors import CarpipeError, UnavailableError, explain_os_error, out_of_memory

# What the operating system refuses for reasons of the machine; other errors of files are of their content.
_OF_THE_MACHINE = frozenset({
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
    errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT, errno.EPIPE, errno.ECONNRESET,
})  # fmt: skip

# What C++ makes of the same, in the system's own words.
_SAID = [
    os.strerror(number) for number in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EIO)
]


@contextlib.contextmanager
def looking_at(what: str, *files: Path) -> Iterator[None]:
    """For all that looks at foreign bytes: what the machine lacks meanwhile says nothing of them, so it is no verdict.

    Other errors pass, for the caller to say what is wrong with the bytes.

    Args:
        what: is looked at, as a message begins: "The model m.keras".
        files: that are read, where a library says alike of those that are broken and those that it could not open.

    Raises:
        UnavailableError: memory, room on a disk, handles or rights are missing, or a library cannot be loaded.
    """
    try:
        yield
    except CarpipeError:
        raise
    except Exception as error:
        if lacks := _lacking(error) or _closed(files):
            raise UnavailableError(f"{what} could not be looked at on this machine: {lacks}") from error
        raise


def _closed(files: Iterable[Path]) -> str:
    """Why one of them cannot be opened, a sentence; empty where all can, or are not there."""
    for file in files:
        try:
            file.open("rb").close()
        except OSError as error:
            if lacks := _lacking(error):
                return lacks
    return ""


def _lacking(error: BaseException | None) -> str:
    """What of the machine has failed, a sentence; empty where the fault is elsewhere. Libraries wrap errors."""
    if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):  # files may name what nobody has
        return f"{error}."
    while error is not None:
        if out_of_memory(error):
            return "memory has run out."
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            return explain_os_error(error)
        if said := next((words for words in _SAID if words in str(error)), ""):
            return f"{said}."
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return ""
