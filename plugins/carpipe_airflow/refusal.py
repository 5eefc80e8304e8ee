"""A task that refuses bad data says so in its log, in sentences, and nothing comes behind them.

Of every other exception Airflow logs a traceback, some 80 lines that say nothing of the data.
"""

import contextlib
import logging
from collections.abc import Iterator

from carpipe.errors import ValidationError

log = logging.getLogger(__name__)


class RefusalError(SystemExit, ValidationError):
    """The task has failed, and said why: Airflow logs a SystemExit in one line; mails and retries see the error."""

    def __init__(self, why: str):
        super().__init__(why)
        self.code = 1


@contextlib.contextmanager
def without_traceback() -> Iterator[None]:
    """Log what a dataset breaks, line by line, and fail the task.

    Raises:
        RefusalError: within, a ValidationError was raised; with its message.
    """
    try:
        yield
    except ValidationError as error:
        for line in str(error).splitlines():
            log.error("%s", line)
        raise RefusalError(str(error)) from None
