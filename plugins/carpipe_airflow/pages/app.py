"""The app that Airflow mounts at /carpipe: routes and headers."""

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

from airflow.api_fastapi.common.dagbag import create_dag_bag
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from carpipe.html_page import LOOK
from carpipe_airflow.pages import classes, data, filter_training, labels, overview, photos, review, weights
from carpipe_airflow.pages.access import READ
from carpipe_airflow.pages.bodies import LimitBody
from carpipe_airflow.pages.bucket import Bucket
from carpipe_airflow.pages.errors import explain_errors
from carpipe_airflow.pages.threads import PageRoute

ROOMS = (overview, data, photos, labels, filter_training, review, classes, weights)
STATIC = Path(__file__).parent / "static"
# Nothing but our own style sheets, scripts, photos and documents; framed by Airflow's own pages only.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # no-referrer would make a form's Origin `null`
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(route_class=PageRoute)


@cache
def shared_app() -> FastAPI:
    """The app of this process."""
    return make_app()


def make_app() -> FastAPI:
    """A new app. Every route names who may use it; FastAPI's own routes, which would be open to all, are off."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.bucket = Bucket()
    app.state.dag_bag = create_dag_bag()
    for part in (router, *(room.router for room in ROOMS)):
        app.include_router(part)
    explain_errors(app)
    app.add_middleware(LimitBody)
    app.middleware("http")(_with_headers)
    return app


@router.get("/", dependencies=READ)
def start(request: Request) -> Response:
    """The first page."""
    return RedirectResponse(f"{request.scope['root_path']}/overview")


@router.get("/static/{name}", dependencies=READ)
def static(name: str) -> Response:
    """Style sheet and scripts."""
    files = {"look.css": LOOK, **{path.name: path for path in STATIC.iterdir()}}
    if name not in files:
        raise HTTPException(404, f"There is no {name}.")
    return FileResponse(files[name], headers={"Cache-Control": "private, max-age=60"})


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
