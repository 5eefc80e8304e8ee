"""Errors as JSON: `{"success": false, "error": a sentence, "reason": a word for programs}`, and headers of all answers.

The app's errors are answered here, and those of requests that no app gets to see.
"""

import json
import logging

from flask import Flask, Response, jsonify, request
from waitress.task import ErrorTask  # type: ignore[import-untyped]  # it comes without types
from waitress.utilities import Error  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from carpipe.config import ServingConfig
from carpipe.errors import InputError
from carpipe.pictures.decode import PhotoError
from carpipe.pictures.format_names import TAKEN, called
from carpipe.serving.live import NotReadyError
from carpipe.serving.replies import facts_of
from carpipe.serving.service import ForgottenError
from carpipe.serving.workers import BusyError

log = logging.getLogger(__name__)

# Seconds after which a client that was refused may come again.
RETRY_AFTER = 2
# Where a connection leaves what makes it rest.
REST = "carpipe.rest"

SAYS = {
    "empty": "The file is empty.",
    "not_an_image": f"This is no picture of a kind that is known. Send {TAKEN}.",
    "unsupported_format": f"Send {TAKEN}.",
    "bomb": "The picture has more pixels than are taken, or its file costs more to read than a photo does.",
    "too_expensive": "Reading the picture takes too long. Send it smaller, or saved as a plain JPEG.",
    "poison": "The picture could not be read: its file breaks the program that reads it, or takes too much memory.",
    "truncated": "The file ends early: a part of the picture is missing.",
    "damaged": "The picture is damaged.",
    "too_small": "The picture is too small.",
    "no_vehicle": "No car was found in the photo.",
    "box_too_small": "The car is too small in the photo; take a closer one.",
}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_refusals(app: Flask, config: ServingConfig) -> None:
    """Have whatever goes wrong answered, and headers added to all answers."""
    too_large = too_large_says(config)
    app.register_error_handler(RequestEntityTooLarge, lambda _: (_refusal(too_large, "too_large"), 413))
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(PhotoError, _unusable)
    app.register_error_handler(InputError, lambda error: (_refusal(str(error), "bad_request"), 400))
    app.register_error_handler(ForgottenError, lambda error: (_refusal(str(error), "not_found"), 404))
    app.register_error_handler(BusyError, _busy)
    app.register_error_handler(NotReadyError, lambda error: _later(str(error), "not_ready"))
    app.register_error_handler(Exception, _broken)
    app.after_request(_with_headers)


def says(reason: str, name: str | None) -> str:
    """The sentence for a photo that cannot be used, of a format of that name if it is known."""
    sentence = SAYS.get(reason, "The photo cannot be used.")
    return f"This is {called(name)}. {sentence}" if name else sentence


def too_large_says(config: ServingConfig) -> str:
    """The sentence for who sends too much."""
    return f"Too large: a photo may have {config.max_photo_mb} MB, all of a request {config.max_request_mb} MB."


class RefusalError(Error):  # type: ignore[misc]  # it comes without types
    """An answer to a request that no app gets to see."""

    def __init__(self, code: int, reason: str, says: str):
        super().__init__(says)
        self.code, self.reason = code, reason


class RefusalTask(ErrorTask):  # type: ignore[misc]
    """What waitress answers by itself, in the form of the other errors."""

    def execute(self) -> None:
        """Write the answer; the connection ends with it."""
        error = self.request.error
        reason = "too_large" if error.code == 413 else _reason(error.reason)
        sentence = str(error.body).partition(' "')[0]  # behind that, waitress repeats what was sent
        answer = {"success": False, "error": sentence, "reason": reason}
        body = json.dumps(answer).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.extend([*HEADERS.items(), ("Content-Type", "application/json")])
        if error.code == 503:
            self.response_headers.append(("Retry-After", str(RETRY_AFTER)))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if getattr(self.request, "command", "") == "HEAD" else body)


def _refusal(sentence: str, reason: str) -> Response:
    return jsonify(success=False, error=sentence, reason=reason)


def _later(sentence: str, reason: str) -> tuple[Response, int, dict[str, str]]:
    return _refusal(sentence, reason), 503, {"Retry-After": str(RETRY_AFTER)}


def _busy(error: BusyError) -> tuple[Response, int, dict[str, str]]:
    if rest := request.environ.get(REST):  # another server has none
        rest(RETRY_AFTER)
    return _later(str(error), "busy")


def _refused(error: HTTPException) -> Response:
    response = _refusal(error.description or error.name, _reason(error.name))
    for name in ("Allow", "Retry-After"):
        if value := error.get_response().headers.get(name):
            response.headers[name] = value
    response.status_code = error.code or 500
    return response


def _unusable(error: PhotoError) -> tuple[Response, int]:
    status = 415 if error.reason in ("not_an_image", "unsupported_format") else 422
    return jsonify(success=False, error=says(error.reason, error.format), **facts_of(error)), status


def _broken(error: Exception) -> tuple[Response, int]:
    log.exception("%s %s", request.method, request.path, exc_info=error)
    return _refusal("Something went wrong here; the server's log says what.", "internal_error"), 500


def _reason(name: str) -> str:
    """The name of an HTTP status for programs: "Method Not Allowed" is method_not_allowed."""
    return name.lower().replace(" ", "_")


def _with_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    if response.is_json:
        response.headers["Cache-Control"] = "no-store"
    return response
