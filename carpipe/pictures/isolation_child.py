"""The child process of `isolation`: python -m carpipe.pictures.isolation_child FUNCTION CPU_SECONDS SECONDS MIB NICE.

It reads chunks from its standard input, settings and then items, and writes an answer per item to what was its
standard output.
"""

import gc
import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence

from carpipe.pictures.isolation import IDLE, OUT_OF_TIME, receive, send


def main(function: str, timeout_s: float, wall_s: float, memory_mb: int, niceness: int) -> None:
    """Answer until the input ends. An item over its time ends the process, by the default action of a signal.

    The time of a photo is what its decoder spends of a processor, all threads together: that of a busy machine is not
    its fault. The other clock is for a decoder that waits for something that does not come.
    """
    source = os.fdopen(os.dup(0), "rb")
    # What libraries print goes to the log, not between the answers.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit(memory_mb, niceness)
    module, _, name = function.partition(":")
    answer: Callable[[bytes, str], Sequence[bytes]] = getattr(importlib.import_module(module), name)
    gc.freeze()  # what was imported stays, and need not be looked at again
    send(sink, [])
    while True:
        try:
            settings, *items = receive(source)
        except EOFError:
            return
        items.reverse()
        while items:
            _set_timers(timeout_s, wall_s)
            reply = answer(items.pop(), settings.decode())
            _set_timers(0, 0)
            send(sink, reply)


def _set_timers(timeout_s: float, wall_s: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, timeout_s)
    signal.setitimer(signal.ITIMER_REAL, wall_s)


def _limit(memory_mb: int, niceness: int) -> None:
    for one in (OUT_OF_TIME, signal.SIGALRM):
        signal.signal(one, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {OUT_OF_TIME, signal.SIGALRM})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the parent's: its end closes our input
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Allocations, not address space: libraries reserve much that they never use.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    os.nice(niceness)
    if niceness >= IDLE:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    try:
        main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    except BrokenPipeError:  # the parent was killed
        os._exit(1)
