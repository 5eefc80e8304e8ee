"""The child process of `isolation`: python -m carpipe.pictures.isolation_child FUNCTION SETTINGS SECONDS MEBIBYTES.

It reads chunks of items from its standard input and writes an answer per item to what was its standard output.
"""

import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence

from carpipe.pictures.isolation import receive, send


def main(function: str, settings: str, timeout_s: float, memory_mb: int) -> None:
    """Answer until the input ends. An item over its time ends the process, by SIGALRM's default action."""
    source = os.fdopen(os.dup(0), "rb")
    # What libraries print goes to the log, not between the answers.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit(memory_mb)
    module, _, name = function.partition(":")
    answer: Callable[[bytes, str], Sequence[bytes]] = getattr(importlib.import_module(module), name)
    send(sink, [])
    while True:
        try:
            items = receive(source)
        except EOFError:
            return
        items.reverse()
        while items:
            signal.setitimer(signal.ITIMER_REAL, timeout_s)
            reply = answer(items.pop(), settings)
            signal.setitimer(signal.ITIMER_REAL, 0)
            send(sink, reply)


def _limit(memory_mb: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the parent's: its end closes our input
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Allocations, not address space: libraries reserve much that they never use.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    except BrokenPipeError:  # the parent was killed
        os._exit(1)
