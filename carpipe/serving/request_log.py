"""A line for each answer, whether the app gave it or it was refused before: `serving.request_log`.

    POST /predict 200 84 ms, 120331 bytes in, 812 out, request 4bf92f35

Of what a client sends it has the method, the path and the `X-Request-ID` that a proxy may have added. Nothing of a
query, a photo, feedback or an address is in it.
"""

import logging
import re
import time
from typing import Any
from urllib.parse import quote

from waitress.task import Task  # type: ignore[import-untyped]  # it comes without types

log = logging.getLogger(__name__)

# Characters of a method or a path.
MAX_WORD_CHARACTERS = 100
# What a proxy counts requests by. Anybody may write that header, so of anything else there is no line to forge.
_REQUEST_ID = re.compile(r"[\w.:/+=@-]{1,100}", re.ASCII)


class Logged(Task):  # type: ignore[misc]
    """Mixed into a task of waitress: says what it has answered, after it has.

    An answer that has not begun is not said: waitress answers instead, by another task.
    """

    def service(self) -> None:
        """Answer."""
        try:
            super().service()
        finally:
            if self.wrote_header and self.channel.server.logs_requests:
                _say(self)


def _say(task: Any) -> None:
    """Milliseconds are from when the request was there in full until its answer was handed to the connection."""
    request = task.request
    method = getattr(request, "command", "")
    sent = request.headers.get("X_REQUEST_ID", "")
    log.info(
        "%s %s %s %d ms, %d bytes in, %d out%s",
        _word(method),
        _word(getattr(request, "path", "")),
        task.status[:3],
        1000 * (time.monotonic() - request.arrived),
        request.held,
        0 if method == "HEAD" else task.content_length or 0,
        f", request {sent}" if _REQUEST_ID.fullmatch(sent) else "",
    )


def _word(text: str) -> str:
    """What a stranger sent, percent-encoded: it can forge neither another line nor the next word."""
    return quote(text[:MAX_WORD_CHARACTERS].encode("latin-1", "replace"))[:MAX_WORD_CHARACTERS] or "-"
