"""The page Classes: advice on classes that look alike, to accept by a click, and what people have moved."""

from datetime import UTC, datetime
from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from carpipe.steps.models.accept import accept, take_back
from carpipe.steps.views import classes
from carpipe_airflow.pages.access import CLASSES, CLASSES_DAG, READ, may
from carpipe_airflow.pages.render import render
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/classes")

Name = Annotated[str, Form(max_length=200)]


@router.get("", dependencies=READ)
def page(request: Request, user: GetUserDep) -> Response:
    """The newest advice and all moves."""
    shown = classes.show_classes(request.app.state.bucket.cache)
    return render(request, "classes", shown=shown, may_move=may(user, "POST", CLASSES_DAG))


@router.post("/accept", dependencies=CLASSES)
def accept_advice(
    request: Request, user: GetUserDep, advice: Annotated[str, Form(pattern="^[0-9a-f]{20}$")], name: Name
) -> Response:
    """Follow a proposal of an advice, by the class that it names."""
    cache = request.app.state.bucket.cache
    found, read = classes.find_advice(cache, advice), classes.parsings(cache)
    accept(cache.session, found, [name], at=_now(), by=user.get_name(), read=read)
    return _back(request)


@router.post("/take-back", dependencies=CLASSES)
def take_moves_back(request: Request, user: GetUserDep, model: Annotated[list[str], Form(max_length=1000)]) -> Response:
    """Let the taxonomy's file say again what becomes of some models."""
    cache = request.app.state.bucket.cache
    take_back(cache.session, model, at=_now(), by=user.get_name(), read=classes.parsings(cache))
    return _back(request)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _back(request: Request) -> Response:
    return RedirectResponse(f"{request.scope['root_path']}/classes", 303)
