"""What is sent to the pages is read up to a limit, whoever sends it: FastAPI parses it before it asks who that is."""

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Bytes. A batch of 500 labels with the longest keys has some 600,000.
MAX_BODY_BYTES = 1_000_000
SENTENCE = f"This is too much at once; {MAX_BODY_BYTES:,} bytes are read at most."


class LimitBody:
    """ASGI middleware: 413 for bodies that say they are larger, and for those that turn out to be."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or len(said) > len(str(MAX_BODY_BYTES)) or int(said) > MAX_BODY_BYTES:
            await PlainTextResponse(SENTENCE, 413)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise HTTPException(413, SENTENCE)
            return message

        await self._app(scope, counted, send)
