"""The routes, and what is refused before them. What goes wrong is answered in `refusals`."""

from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, redirect, render_template, request, send_file
from werkzeug import Response as BaseResponse
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    RequestEntityTooLarge,
    TooManyRequests,
    UnsupportedMediaType,
)

from carpipe.config import ServingConfig
from carpipe.html_page import LOOK
from carpipe.serving.api_page import operations, schema_fields
from carpipe.serving.bodies import MB, Limit
from carpipe.serving.clients import client_of, is_local
from carpipe.serving.connections import CLIENT
from carpipe.serving.openapi import base_of, openapi
from carpipe.serving.refusals import add_refusals, says, too_large_says
from carpipe.serving.service import Service
from carpipe.serving.uploads import sent_photos

# Multipart headers and boundaries, beside the photos.
MAX_OVERHEAD_BYTES = 100_000
# Bytes of a saying.
MAX_FEEDBACK_BYTES = 10_000


def body_limits(config: ServingConfig) -> dict[str, Limit]:
    """What may be posted where. Nothing else takes a body."""
    too_large = too_large_says(config)
    limits = {
        "/predict": Limit(config.max_photo_mb * MB + MAX_OVERHEAD_BYTES, too_large),
        "/predict/listing": Limit(config.max_request_mb * MB + MAX_OVERHEAD_BYTES, too_large),
        "/feedback": Limit(MAX_FEEDBACK_BYTES, f"Too large: feedback may have {MAX_FEEDBACK_BYTES:,} bytes."),
    }
    # A proxy may take the path away, or leave it there.
    return limits | {f"{config.path}{path}": limit for path, limit in limits.items()}


def create_app(service: Service, config: ServingConfig) -> Flask:
    """The WSGI application."""
    app = Flask(__name__, template_folder="pages", static_folder="pages/static", static_url_path="/static")
    app.url_map.merge_slashes = False  # else it redirects, to whatever host the request names
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider
    app.config.update(
        MAX_CONTENT_LENGTH=config.max_request_mb * MB + MAX_OVERHEAD_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_OVERHEAD_BYTES,
        MAX_FORM_PARTS=config.max_listing_photos + 4,
    )
    _guard_names(app, config)
    app.before_request(partial(_refuse_other_sites, behind_a_proxy=bool(config.trusted_proxy)))
    app.before_request(partial(_limit_body, body_limits(config)))
    app.before_request(partial(_end_in_a_slash, config.path))
    _add_answers(app, service, config)
    _add_rest(app, service)
    _add_pages(app, service, config)
    _add_health(app, service)
    add_refusals(app, config)
    return app


def create_health_app(service: Service, config: ServingConfig) -> Flask:
    """The WSGI application that says how the other one is, and nothing else."""
    app = Flask(__name__, static_folder=None)
    _guard_names(app, config)
    _add_health(app, service)
    add_refusals(app, config)
    return app


def _end_in_a_slash(path: str) -> BaseResponse | None:
    """What the page refers to lies beside it."""
    return redirect(f"{path}/", 308) if path and not request.environ["PATH_INFO"] else None


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


def _limit_body(limits: Mapping[str, Limit]) -> None:
    """The connection has refused what is longer; this is for who runs the app on another server."""
    if request.path in limits:
        request.max_content_length = limits[request.path].max_bytes
    if request.method == "POST" and request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("The body is packed; send it as it is, without Content-Encoding.")


def _add_answers(app: Flask, service: Service, config: ServingConfig) -> None:
    max_bytes = config.max_photo_mb * MB

    @app.post("/predict")
    def predict() -> Response:
        [photo] = sent_photos(1, "one photo; send several to /predict/listing", max_bytes=max_bytes)
        return jsonify(service.predict(photo, client=_client()))

    @app.post("/predict/listing")
    def predict_listing() -> tuple[Response, int]:
        limit = config.max_listing_photos
        photos = sent_photos(limit, f"at most {limit} photos", max_bytes=max_bytes)
        if any(len(photo) > max_bytes for photo in photos):
            raise RequestEntityTooLarge
        reply = service.predict_listing(photos, client=_client())
        for photo in reply["photos"]:
            if not photo["success"]:
                photo["error"] = says(photo["reason"], photo.get("format"))
        if not reply["success"]:
            reply |= {"error": "None of the photos can be used.", "reason": "no_usable_photo"}
        return jsonify(reply), 200 if reply["success"] else 422


def _add_rest(app: Flask, service: Service) -> None:
    @app.post("/feedback")
    def feedback() -> tuple[Response, int]:
        name, right, class_name = _feedback()
        if not service.feedback(name, right=right, class_name=class_name, client=_client()):
            raise TooManyRequests("There is a lot of feedback just now; try again later.", retry_after=600)
        return jsonify(success=True), 202

    @app.get("/classes")
    def classes() -> Response:
        return jsonify(service.classes())


def _add_pages(app: Flask, service: Service, config: ServingConfig) -> None:
    document = openapi(config)
    api = {"operations": operations(document), "schemas": schema_fields(document), "base": base_of(config)}

    @app.get("/")
    def page() -> str:
        return render_template("index.html", settings=config, ready=service.health()[0])

    @app.get("/api")
    def api_page() -> str:
        return render_template("api.html", about=document["info"]["description"], **api)

    @app.get("/static/look.css")
    def look() -> Response:
        return send_file(LOOK)

    @app.get("/openapi.json")
    def description() -> Response:
        return jsonify(document)


def _add_health(app: Flask, service: Service) -> None:
    @app.get("/healthz")
    def healthz() -> tuple[Response, int]:
        ready, facts = service.health()
        return jsonify(facts), 200 if ready else 503


def _client() -> str:
    """Whose request it is; behind a proxy, whom `serving.trusted_proxy` says it comes from."""
    return str(request.environ.get(CLIENT) or client_of(request.remote_addr or ""))


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
