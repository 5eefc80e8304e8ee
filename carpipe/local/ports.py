"""Which TCP ports of loopback are free.

Only the S3 port and the port of the Airflow page are the user's choice; all others are picked here.
"""

import os
import socket
import time
from collections.abc import Callable

from carpipe.errors import InputError

LOOPBACK = "127.0.0.1"

# A server that was killed a moment ago can hold its port a little longer than it can be seen.
PATIENCE_S = 1.0

# SeaweedFS opens port + 10000 beside most of its ports. Both stay under 32768, where Linux starts to hand
# out ports to outgoing connections, so that none of those can take a port between our look and its use.
GRPC_OFFSET = 10_000
_LOWEST, _HIGHEST = 12_000, 32_767 - GRPC_OFFSET


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set this too; without it a port whose last connection just closed looks busy for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError):
            return False
    return True


def require_free(port: int, *, purpose: str, setting: str) -> None:
    """Raise `InputError` with a way out where the port cannot be had.

    Args:
        port: the port that somebody chose.
        purpose: what it is for, as in "the S3 server".
        setting: what to type to get another one, as in "make run S3_PORT=8444".
    """
    if not 1 <= port <= 65_535:
        raise InputError(f"Port {port} for {purpose} is not between 1 and 65535: choose another, e.g. `{setting}`.")
    deadline = time.monotonic() + PATIENCE_S
    while not is_free(port) and time.monotonic() < deadline:
        time.sleep(0.1)
    if not is_free(port):
        raise InputError(f"Port {port} for {purpose} is in use: choose another, e.g. `{setting}`.")


def free_ports(count: int, *, usable: Callable[[int], bool] = lambda port: True) -> list[int]:
    """That many different ports that are free, and whose companions at +10000 are free too.

    Args:
        usable: what else a port must fulfil.

    Raises:
        InputError: there are not so many.
    """
    # Processes started one after another, such as test workers, begin at different ports: else they would
    # find the same ones free at the same moment.
    begin, span = 16 * os.getpid(), _HIGHEST - _LOWEST
    found: list[int] = []
    for step in range(span):
        port = _LOWEST + (begin + step) % span
        both = {port, port + GRPC_OFFSET}
        # Where few are free, one may be the companion of another.
        apart = not both & {number for other in found for number in (other, other + GRPC_OFFSET)}
        if apart and usable(port) and all(map(is_free, both)):
            found.append(port)
        if len(found) == count:
            return found
    raise InputError(
        f"{count} free ports are needed between {_LOWEST} and {_HIGHEST} whose companions at +{GRPC_OFFSET} are free "
        f"too, but there are {len(found)}. Other processes listen on them, or seaweedfs-*-grpc-*.sock of other "
        "accounts lie in /tmp: end those processes, or have the files removed."
    )
