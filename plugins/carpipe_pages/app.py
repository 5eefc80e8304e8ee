"""The app that Airflow mounts at /carpipe: routes, headers, and errors as sentences."""

from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from pathlib import Path

from airflow.api_fastapi.common.dagbag import create_dag_bag
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from carpipe.errors import CarpipeError, InputError, MissingError, StoreError
from carpipe_pages import data, labels, weights
from carpipe_pages.access import READ
from carpipe_pages.desk import Desk
from carpipe_pages.render import render

STATIC = Path(__file__).parent / "static"
# Nothing but our own style sheet, scripts and photos; framed by Airflow's own pages only.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # no-referrer would make a form's Origin `null`
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter()


@cache
def shared_app() -> FastAPI:
    """The app of this process."""
    return make_app()


def make_app() -> FastAPI:
    """A new app. Every route names who may use it; FastAPI's own routes, which would be open to all, are off."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.desk = Desk()
    app.state.dag_bag = create_dag_bag()
    for part in (router, data.router, labels.router, weights.router):
        app.include_router(part)
    app.add_exception_handler(CarpipeError, _sentence)  # type: ignore[arg-type]  # Starlette's type is wider
    app.middleware("http")(_with_headers)
    return app


@router.get("/", dependencies=READ)
def start(request: Request) -> Response:
    """The first page."""
    return RedirectResponse(f"{request.scope['root_path']}/data")


@router.get("/static/{name}", dependencies=READ)
def static(name: str) -> Response:
    """Style sheet and scripts."""
    if name not in {path.name for path in STATIC.iterdir()}:
        raise HTTPException(404, f"There is no {name}.")
    return FileResponse(STATIC / name, headers={"Cache-Control": "private, max-age=60"})


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _sentence(request: Request, error: CarpipeError) -> Response:
    """What carpipe raises on purpose is one sentence for the user."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, InputError | MissingError):
        status = HTTPStatus.NOT_FOUND
    elif isinstance(error, StoreError):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    if "text/html" not in request.headers.get("accept", ""):
        return Response(str(error), status, media_type="text/plain")
    return render(request, "error", status=status, message=str(error))
