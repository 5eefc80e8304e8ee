"""What a browser gets instead of a page: the login, or one sentence. Whoever asks for data gets JSON or plain text."""

from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from carpipe.errors import AccessError, CarpipeError, InputError, MissingError, StoreError
from carpipe_airflow.pages.json_answer import AsciiJson
from carpipe_airflow.pages.render import airflow_root, render

# What the frameworks say in a word.
SENTENCES = {
    "Not Found": "There is no such page.",
    "Method Not Allowed": "There is no such page.",
    "Forbidden": "You may not do this; who runs Airflow can give you the right.",
}


def explain_errors(app: FastAPI) -> None:
    """Have the app answer with pages where a browser asks for one."""
    app.add_exception_handler(CarpipeError, _carpipe)  # type: ignore[arg-type]  # Starlette's type is wider
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]


async def _carpipe(request: Request, error: CarpipeError) -> Response:
    """What carpipe raises on purpose is one sentence for the user. Where keys have ended, others are asked for."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, AccessError):
        request.app.state.bucket.reopen()
    if isinstance(error, InputError | MissingError):
        status = HTTPStatus.NOT_FOUND
    elif isinstance(error, StoreError):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    if not _wants_page(request):
        return Response(str(error), status, media_type="text/plain")
    return render(request, "error", status=status, message=str(error))


async def _http(request: Request, error: HTTPException) -> Response:
    if not _wants_page(request):
        return await http_exception_handler(request, error)
    # A cookie from before the server drew new secrets is as good as none.
    if error.status_code == HTTPStatus.UNAUTHORIZED or error.detail == "Invalid JWT token":
        return _login(request)
    message = SENTENCES.get(error.detail, error.detail)
    return render(request, "error", status=error.status_code, message=message)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    if not _wants_page(request):
        return AsciiJson({"detail": jsonable_encoder(error.errors())}, 422)
    if request.method == "GET":
        return render(request, "error", status=404, message="There is no such page.")
    wrong = ", ".join(str(one["loc"][-1]) for one in error.errors())
    return render(request, "error", status=422, message=f"This cannot be done with what was sent as {wrong}.")


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _login(request: Request) -> Response:
    """Airflow's login, and back. What a form sent is not sent again: the first page then."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = here if request.method == "GET" else f"{request.scope['root_path']}/"
    return RedirectResponse(f"{airflow_root(request)}/api/v2/auth/login?next={quote(back, safe='')}", 303)
