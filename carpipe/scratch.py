"""Folders for what may be thrown away: nobody else can read them, and nobody else can have put them there.

Most scratch is a `tempfile.TemporaryDirectory`: a new name, and closed to others from the start. What needs a name that
stays lies in `private_folder`. docs/operating.md lists all places that carpipe writes to.
"""

import contextlib
import os
import pwd
import re
import shutil
import stat
import tempfile
from collections.abc import Collection
from pathlib import Path

from carpipe.errors import InputError

# Whatever TMPDIR says: where another user, whom our folders are closed to, finds what we made for it.
FOR_OTHER_USERS = Path("/var/tmp")  # noqa: S108
_OF_SEAWEEDFS = Path("/tmp")  # noqa: S108


def private_folder(name: str) -> Path:
    """The folder `<temporary files>/carpipe-<user id>/<name>`, made where it is missing, open to its owner alone.

    Raises:
        InputError: it is there and is a link or a file, belongs to somebody else, or others may look into it.
    """
    home = Path(tempfile.gettempdir()) / f"carpipe-{os.geteuid()}"
    _claim(home)
    _claim(home / name)
    return home / name


def folder_for(user: str, folder: Path) -> None:
    """An empty folder of another user alone, in a place that everybody may write to. Only root can make one.

    Raises:
        InputError: there is one that can be none of an earlier call; see `remove_folder_of`. Nothing is touched then.
    """
    remove_folder_of(user, folder)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise InputError(f"There can be no folder {folder} for the user {user} ({error.strerror}).") from error
    account = pwd.getpwnam(user)
    os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)


def remove_folder_of(user: str, folder: Path) -> None:
    """Remove what `folder_for` has made, with all that is in it, where it is there.

    Raises:
        InputError: it is a link or a file, belongs to a third user, or others may look into it: somebody else has put
            it there.
    """
    if not os.path.lexists(folder):
        return
    if wrong := _not_private(folder, {os.geteuid(), pwd.getpwnam(user).pw_uid}):
        raise InputError(
            f"{folder} should be a folder of the user {user} alone, but {wrong}. Somebody else may have made it. "
            "Look at it, and remove it."
        )
    shutil.rmtree(folder, ignore_errors=True)


def seaweedfs_sockets(port: int) -> list[Path]:
    """What SeaweedFS leaves for a gRPC port; no option changes where."""
    return list(_OF_SEAWEEDFS.glob(f"seaweedfs-*-grpc-{port}.sock"))


def blocked_seaweedfs_ports() -> set[int]:
    """The gRPC ports whose place is taken by what SeaweedFS could not replace: files of others, and folders."""
    found: set[int] = set()
    for path in _OF_SEAWEEDFS.glob("seaweedfs-*-grpc-*.sock"):
        number = re.search(r"-([0-9]{1,5})\.sock$", path.name)
        with contextlib.suppress(FileNotFoundError):  # its server has just ended
            status = path.lstat()
            if number and (status.st_uid != os.geteuid() or stat.S_ISDIR(status.st_mode)):
                found.add(int(number[1]))
    return found


def remove_seaweedfs_sockets(port: int) -> None:
    """Remove what SeaweedFS has left for a gRPC port; what is not ours stays."""
    for path in seaweedfs_sockets(port):
        with contextlib.suppress(OSError):  # another account's, or a folder
            path.unlink()


def _claim(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise InputError(
            f"There can be no folder {folder} for temporary files ({error.strerror}); "
            "set TMPDIR to a folder that is yours."
        ) from error
    if wrong := _not_private(folder, {os.geteuid()}):
        raise InputError(
            f"{folder} should be a folder of the user {os.geteuid()} alone, but {wrong}. "
            "Somebody else may have made it. Remove it, or set TMPDIR to a folder that is yours."
        )


def _not_private(folder: Path, owners: Collection[int]) -> str:
    """What is wrong with a folder that should be open to one of these users alone; empty: nothing."""
    found = folder.lstat()  # of a link, the link's own
    if not stat.S_ISDIR(found.st_mode):
        return "is a link or a file"
    if found.st_uid not in owners:
        return f"belongs to the user {found.st_uid}"
    if found.st_mode & 0o077:
        return f"is open to others (mode {stat.S_IMODE(found.st_mode):o})"
    return ""
