"""Every error that carpipe raises on purpose.

    CarpipeError
    ├── ConfigError      a setting is unknown, of the wrong type or out of range
    ├── InputError       the user's photos, labels or weights are not what a step needs
    │   └── TooLargeError    an object is larger than its reader takes; it was not read
    ├── ValidationError  the data broke an expectation; the report says which
    ├── ConflictError    somebody else committed first; the caller decides whether to start over
    └── StoreError       the S3 server did not do what was asked
        ├── AccessError      wrong credentials, bucket or endpoint
        ├── MissingError     no object under that key
        └── UnavailableError the network, an overloaded server, a machine without memory or room: trying again may help

A message names the thing, what was expected and what came, and what to do about it. What is none of
these is unforeseen, and worth a retry as well.
"""

import errno
import os
import shlex

# How libraries say that memory has run out: threads, the loader, C++, TensorFlow, CUDA, the C library.
_NO_MEMORY = (
    "can't start new thread", "map segment", "bad_alloc", "OOM when allocating", "out of memory",
    "Cannot allocate memory", "could not allocate", "failed to allocate",
)  # fmt: skip


class CarpipeError(Exception):
    """Base of all errors raised on purpose; its message is one sentence for the user."""


class ConfigError(CarpipeError):
    """A configuration key is unknown, has the wrong type or an impossible value."""


class InputError(CarpipeError):
    """Photos, labels, weights or other input cannot be used as they are."""


class TooLargeError(InputError):
    """An object has more bytes than its reader takes; it was not read."""


class ValidationError(CarpipeError):
    """The data broke an expectation of its validation suite."""


class ConflictError(CarpipeError):
    """A conditional write lost: the object changed, or exists already."""


class StoreError(CarpipeError):
    """The object store did not do what was asked."""


class AccessError(StoreError):
    """The store refuses the credentials, or the bucket or endpoint is wrong."""


class MissingError(StoreError):
    """There is no object under the key."""


class UnavailableError(StoreError):
    """The store could not be reached or answered with a server error; or this machine lacks memory, room or rights."""


def explain_os_error(error: OSError) -> str:
    """One sentence for what the operating system refuses: a full disk, a missing file, a folder without rights."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"The disk is full{where}; free some space and run it again, what was committed is kept."
    return f"{error.strerror or error}{where}."


def explain_unreadable(error: OSError) -> str:
    """As `explain_os_error`, for what people have put there to be read: of what may not be, the command that helps."""
    if not isinstance(error, PermissionError) or not error.filename:
        return explain_os_error(error)
    account = f" (uid {os.geteuid()})" if hasattr(os, "geteuid") else ""
    return (
        f"The account that runs this{account} may not read {error.filename}. Where it lies, say "
        f"`chmod -R a+rX {shlex.quote(str(error.filename))}`; the folders above it need `a+x`."
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: libraries that cannot be loaded and threads that cannot be started say it their way."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)
