"""Folders for what may be thrown away: nobody else can read them, and nobody else can have put them there.

Most scratch is a `tempfile.TemporaryDirectory`: a new name, and closed to others from the start. What needs a name that
stays lies in `private_folder`. docs/operating.md lists all places that carpipe writes to.
"""

import os
import stat
import tempfile
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


def seaweedfs_sockets(port: int) -> list[Path]:
    """What SeaweedFS leaves for a gRPC port; no option changes where."""
    return list(_OF_SEAWEEDFS.glob(f"seaweedfs-*-grpc-{port}.sock"))


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
    found = folder.lstat()  # of a link, the link's own
    wrong = ""
    if not stat.S_ISDIR(found.st_mode):
        wrong = "is a link or a file"
    elif found.st_uid != os.geteuid():
        wrong = f"belongs to the user {found.st_uid}"
    elif found.st_mode & 0o077:
        wrong = f"is open to others (mode {stat.S_IMODE(found.st_mode):o})"
    if wrong:
        raise InputError(
            f"{folder} should be a folder of the user {os.geteuid()} alone, but {wrong}. "
            "Somebody else may have made it. Remove it, or set TMPDIR to a folder that is yours."
        )
