"""The routes. Whatever goes wrong is answered as `{"success": false, "error": ...}` with a status that fits."""

import logging
from functools import partial
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    RequestEntityTooLarge,
    TooManyRequests,
    UnsupportedMediaType,
)

from carpipe.config import ServingConfig
from carpipe.errors import InputError
from carpipe.pictures.decode import FORMATS, PhotoError
from carpipe.serving.connections import client_of, is_local
from carpipe.serving.live import NotReadyError
from carpipe.serving.service import ForgottenError, Service
from carpipe.serving.workers import BusyError

log = logging.getLogger(__name__)

MB = 1_000_000
# Multipart headers and boundaries, beside the photos.
OVERHEAD = 100_000
# Seconds after which a client that was refused may come again.
RETRY_AFTER = 2

SAYS = {
    "empty": "The file is empty.",
    "not_an_image": f"The file is no picture of a kind that is taken: {', '.join(FORMATS)}.",
    "unsupported_format": f"Files of this format are not read; send one of {', '.join(FORMATS)}.",
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


def create_app(service: Service, config: ServingConfig) -> Flask:
    """The WSGI application."""
    app = Flask(__name__, template_folder="pages", static_folder="pages/static", static_url_path="/static")
    app.url_map.merge_slashes = False  # else it redirects, to whatever host the request names
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    app.config.update(
        MAX_CONTENT_LENGTH=config.max_request_mb * MB + OVERHEAD,
        MAX_FORM_MEMORY_SIZE=OVERHEAD,
        MAX_FORM_PARTS=config.max_listing_photos + 4,
    )
    _guard_names(app, config)
    app.before_request(partial(_refuse_other_sites, behind_a_proxy=bool(config.trusted_proxy)))
    _add_answers(app, service, config)
    _add_rest(app, service, config)
    _add_health(app, service)
    _add_errors(app, config)
    app.after_request(_with_headers)
    return app


def create_health_app(service: Service, config: ServingConfig) -> Flask:
    """The WSGI application that says how the other one is, and nothing else."""
    app = Flask(__name__, static_folder=None)
    _guard_names(app, config)
    _add_health(app, service)
    _add_errors(app, config)
    app.after_request(_with_headers)
    return app


def _guard_names(app: Flask, config: ServingConfig) -> None:
    if is_local(config.host) and not config.trusted_proxy:
        app.before_request(_refuse_foreign_names)


def _refuse_foreign_names() -> None:
    """A page of another site may give its name this machine's address, and then ask us in its visitor's browser."""
    try:
        name = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        name = ""
    if not is_local(name):
        raise BadRequest(
            f"This server listens on this machine only, and {request.host[:100]} is no name of it; ask "
            "http://127.0.0.1. If that is the name of a proxy before it, set serving.trusted_proxy."
        )


def _refuse_other_sites(*, behind_a_proxy: bool) -> None:
    """What another site makes a browser send. Programs send neither header.

    Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    """
    if request.method != "POST":
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    # A proxy may ask for us by another name than browsers do.
    ours = origin is None or behind_a_proxy or urlsplit(origin).netloc == request.host
    if site not in (None, "same-origin", "none") or origin == "null" or not ours:
        raise Forbidden("This was sent from another site; use the page of this server.")


def _add_answers(app: Flask, service: Service, config: ServingConfig) -> None:
    @app.post("/predict")
    def predict() -> Response:
        request.max_content_length = config.max_photo_mb * MB + OVERHEAD
        [photo] = _photos(1, "one photo; send several to /predict/listing")
        return jsonify(service.predict(photo, client=_client()))

    @app.post("/predict/listing")
    def predict_listing() -> tuple[Response, int]:
        limit = config.max_listing_photos
        photos = _photos(limit, f"at most {limit} photos")
        if any(len(photo) > config.max_photo_mb * MB for photo in photos):
            raise RequestEntityTooLarge
        reply = service.predict_listing(photos, client=_client())
        for photo in reply["photos"]:
            if not photo["success"]:
                photo["error"] = _says(photo["reason"], photo.get("format"))
        if not reply["success"]:
            reply |= {"error": "None of the photos can be used.", "reason": "no_usable_photo"}
        return jsonify(reply), 200 if reply["success"] else 422


def _add_rest(app: Flask, service: Service, config: ServingConfig) -> None:
    @app.post("/feedback")
    def feedback() -> tuple[Response, int]:
        request.max_content_length = 10_000
        name, right, class_name = _feedback()
        if not service.feedback(name, right=right, class_name=class_name, client=_client()):
            raise TooManyRequests("There is a lot of feedback just now; try again later.", retry_after=600)
        return jsonify(success=True), 202

    @app.get("/classes")
    def classes() -> Response:
        return jsonify(service.classes())

    @app.get("/")
    def page() -> str:
        return render_template("index.html", feedback=config.feedback, ready=service.health()[0])


def _add_health(app: Flask, service: Service) -> None:
    @app.get("/healthz")
    def healthz() -> tuple[Response, int]:
        ready, facts = service.health()
        return jsonify(facts), 200 if ready else 503


def _photos(limit: int, what: str) -> list[bytes]:
    """The uploaded files. What they call themselves, name and type, is not looked at."""
    files = [file for file in request.files.getlist("file") if file.filename or file.content_length]
    if not files:
        raise BadRequest("There is no photo: send it as multipart/form-data in a part named `file`.")
    if len(files) > limit:
        raise BadRequest(f"There are {len(files)} photos; this takes {what}.")
    return [file.read() for file in files]


def _client() -> str:
    """Whose request it is; behind a proxy, whom `serving.trusted_proxy` says it comes from."""
    return client_of(request.remote_addr or "")


def _feedback() -> tuple[str, bool, str | None]:
    if not request.is_json:
        raise UnsupportedMediaType("Feedback is JSON: send it with Content-Type: application/json.")
    try:
        value = request.get_json(silent=True)
    except RecursionError:
        raise BadRequest("The JSON is nested too deep.") from None
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not isinstance(value.get("right"), bool):
        raise BadRequest('Feedback is {"id": "...", "right": true or false, "class_name": optional}.')
    class_name = value.get("class_name") or None
    if class_name is not None and not isinstance(class_name, str):
        raise BadRequest("class_name must be text.")
    return value["id"], value["right"], class_name


def _add_errors(app: Flask, config: ServingConfig) -> None:
    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> tuple[Response, int]:
        says = f"Too large: a photo may have {config.max_photo_mb} MB, all of a request {config.max_request_mb} MB."
        return jsonify(success=False, error=says, reason="too_large"), 413

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        response = jsonify(success=False, error=error.description, reason=_reason(error.name))
        for name in ("Allow", "Retry-After"):
            if value := error.get_response().headers.get(name):
                response.headers[name] = value
        response.status_code = error.code or 500
        return response

    @app.errorhandler(PhotoError)
    def unusable(error: PhotoError) -> tuple[Response, int]:
        status = 415 if error.reason in ("not_an_image", "unsupported_format") else 422
        known = {"format": error.format} if error.format else {}
        return jsonify(success=False, error=_says(error.reason, error.format), reason=error.reason, **known), status

    @app.errorhandler(InputError)
    def wrong(error: InputError) -> tuple[Response, int]:
        return jsonify(success=False, error=str(error), reason="bad_request"), 400

    @app.errorhandler(ForgottenError)
    def forgotten(error: ForgottenError) -> tuple[Response, int]:
        return jsonify(success=False, error=str(error), reason="not_found"), 404

    @app.errorhandler(BusyError)
    @app.errorhandler(NotReadyError)
    def later(error: BusyError | NotReadyError) -> tuple[Response, int, dict[str, str]]:
        reason = "busy" if isinstance(error, BusyError) else "not_ready"
        return jsonify(success=False, error=str(error), reason=reason), 503, {"Retry-After": str(RETRY_AFTER)}

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[Response, int]:
        log.exception("%s %s", request.method, request.path, exc_info=error)
        says = "Something went wrong here; the server's log says what."
        return jsonify(success=False, error=says, reason="internal_error"), 500


def _says(reason: str, name: str | None) -> str:
    says = SAYS.get(reason, "The photo cannot be used.")
    return f"The file is {name}. {says}" if name else says


def _reason(name: str) -> str:
    """The name of an HTTP status for programs: "Method Not Allowed" is method_not_allowed."""
    return name.lower().replace(" ", "_")


def _with_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    if response.is_json:
        response.headers["Cache-Control"] = "no-store"
    return response
