"""The page Classes: each class with its figures, advice on classes that look alike, and what people have moved."""

from datetime import UTC, datetime
from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from carpipe.steps.models.accept import accept, take_back
from carpipe.steps.verdicts.store import Word, keep_verdict
from carpipe.steps.views import class_figures, classes, datasets
from carpipe_airflow.pages.access import CLASSES, CLASSES_DAG, READ, may
from carpipe_airflow.pages.render import render
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/classes")

Name = Annotated[str, Form(max_length=200)]


@router.get("", dependencies=READ)
def page(request: Request, user: GetUserDep, sort: class_figures.Sort = "photos") -> Response:
    """The newest advice, all classes, and all moves."""
    bucket = request.app.state.bucket
    done = datasets.find_or_newest(bucket.cache, "")
    index = bucket.photo_index(done) if done else None
    if done and index is None:
        return render(request, "reading", photos=done.counts["in"])
    return render(
        request,
        "classes",
        shown=classes.show_classes(bucket.cache),
        lines=class_figures.list_classes(bucket.cache, index, sort=sort) if index else [],
        dataset=datasets.call_dataset(done) if done else None,
        sort=sort,
        may_move=may(user, "POST", CLASSES_DAG),
    )


@router.get("/one", dependencies=READ)
def one(request: Request, name: Annotated[str, Query(max_length=200)]) -> Response:
    """A class in full."""
    bucket = request.app.state.bucket
    done = datasets.find_or_newest(bucket.cache, "")
    index = bucket.photo_index(done) if done else None
    if done is None or index is None:
        return render(request, "reading", photos=done.counts["in"] if done else 0)
    return render(
        request,
        "class",
        view=class_figures.show_class(bucket.cache, index, name),
        dataset=datasets.call_dataset(done),
        proposals=[one for one in classes.show_classes(bucket.cache).proposals if name in one.what.split()],
    )


@router.post("/verdict", dependencies=CLASSES)
def give_verdict(
    request: Request,
    user: GetUserDep,
    proposal: Annotated[str, Form(pattern="^[0-9a-f]{20}$")],
    to: Annotated[Word, Form()],
    why: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Refuse a proposal, put it off, or open it again."""
    cache = request.app.state.bucket.cache
    read = classes.verdict_parsings(cache)
    keep_verdict(cache.session, proposal, to, at=_now(), by=user.get_name(), why=why, read=read)
    return _back(request)


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
