"""Progress bars on standard error, where that is a terminal, `--quiet` was not said and `rich` is installed."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from carpipe.names import shown
from carpipe.progress import UNSEEN, Bar, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Shown
    from rich.progress import TaskID


def bars() -> Progress:
    """Bars where somebody sees them; else nothing is shown."""
    if not sys.stderr.isatty() or not logging.getLogger("carpipe").isEnabledFor(logging.WARNING):
        return UNSEEN
    try:
        return Bars(_shown())
    except ModuleNotFoundError:  # it comes with the extra `local`, and nothing depends on it
        return UNSEEN


class Bars(Progress):
    """Bars below the log, as long as there is work; then they are gone."""

    def __init__(self, shown: "Shown"):
        self._shown = shown
        self._open = 0

    @contextlib.contextmanager
    def bar(self, what: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        """As `Progress` says."""
        with self._live():
            task = self._shown.add_task(shown(what), total=total, unit=unit)
            try:
                yield _Line(self._shown, task)
            finally:
                self._shown.remove_task(task)

    @contextlib.contextmanager
    def _live(self) -> Iterator[None]:
        """Shown while any bar is. The log goes through it meanwhile: it would be written into the bars."""
        self._open += 1
        try:
            if self._open > 1:
                yield
                return
            with self._shown, _log_to_stderr():
                yield
        finally:
            self._open -= 1


class _Line(Bar):
    def __init__(self, progress: "Shown", task: "TaskID"):
        self._progress, self._task = progress, task

    def at(self, done: float, *, total: float | None = None, what: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, description=shown(what) if what else None)

    def advance(self) -> None:
        self._progress.advance(self._task)


@contextlib.contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Have the log written to what `sys.stderr` is now."""
    handlers = [one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler]
    before = [(one, one.setStream(sys.stderr)) for one in handlers]
    try:
        yield
    finally:
        for handler, stream in before:
            if stream is not None:
                handler.setStream(stream)


def _shown() -> "Shown":
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    class Count(progress.ProgressColumn):
        """`12 of 30 photos`, or `12 photos` where nobody knows of how many."""

        def render(self, task: progress.Task) -> Text:
            total = f" of {task.total:,.0f}" if task.total is not None else ""
            return Text(f"{task.completed:,.0f}{total} {task.fields['unit']}".rstrip())

    return progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        Count(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        # Lines of the log are not broken: keys in them are copied.
        console=Console(stderr=True, soft_wrap=True),
        transient=True,
        redirect_stdout=False,
    )
