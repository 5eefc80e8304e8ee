"""The page Labels: photos to label by key press, saved in batches. It asks for cars, or for views."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from carpipe.errors import InputError
from carpipe.steps.labels.drawing import Drawn, How
from carpipe.steps.labels.own import Given
from carpipe.steps.labels.questions import Name
from carpipe.viewpoints import WORDS
from carpipe.weights.contract import CAR, NOT_CAR
from carpipe_airflow.pages.access import LABEL, LABEL_DAG, READ, may
from carpipe_airflow.pages.filter_training import training
from carpipe_airflow.pages.json_answer import AsciiJson
from carpipe_airflow.pages.render import airflow_root, no_photo, photo, render
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/labels", default_response_class=AsciiJson)

# Rows in a request at most; the page sends a hundred, and with copies of photos some more.
MAX_LABELS = 500
Segment = Annotated[str, Path(pattern=r"^[\w-]+$")]
Count = Annotated[int, Query(ge=1, le=100)]
Size = Literal["small", "large"]
# By question, what the page shows of each answer: its key, the word that is saved, and plain English.
ANSWERS = {
    "cars": (("a", CAR, CAR), ("n", NOT_CAR, NOT_CAR)),
    "views": tuple((str(number % 10), view, WORDS[view]) for number, view in enumerate(WORDS, start=1)),
}


class GivenLabel(BaseModel):
    """A label as the page sends it; `at` is when the key was pressed, ISO 8601.

    Without a label it takes back the one that was given at `taken_back`.
    """

    key: str = Field(max_length=1024)
    label: str = Field(max_length=20)
    at: str = Field(max_length=40)
    taken_back: str = Field(default="", max_length=40)


class GivenLabels(BaseModel):
    """What the page sends."""

    labels: list[GivenLabel] = Field(max_length=MAX_LABELS)


@router.get("", dependencies=READ)
def page(request: Request, user: GetUserDep, session: SessionDep, ask: Name = "cars") -> Response:
    """The page; the photos come by `batch`."""
    return render(
        request,
        "labels",
        ask=ask,
        answers=ANSWERS[ask],
        user=user.get_name(),
        now=datetime.now(UTC).isoformat(),
        may_label=may(user, "POST", LABEL_DAG),
        airflow=airflow_root(request),
        training=training(request, user, session, ask),
    )


@router.get("/batch", dependencies=READ)
def batch(
    request: Request,
    user: GetUserDep,
    ask: Name = "cars",
    how: How = "random",
    after: Annotated[int, Query(ge=0)] = 0,
    count: Count = 24,
) -> dict[str, Any]:
    """The next photos to label, what the filter says of them, and where to get their pictures."""
    desk = request.app.state.bucket.label_desk(ask)
    found = desk.next_batch(by=user.get_name(), how=how, after=after, count=count)
    photos = [{"key": one.key, "copies": one.copies, **_photo(request, ask, one)} for one in found.photos]
    return {"photos": photos, "after": found.after, "left": found.left, "progress": asdict(found.progress)}


@router.get("/mine", dependencies=READ)
def mine(
    request: Request,
    user: GetUserDep,
    ask: Name = "cars",
    label: Annotated[str, Query(max_length=20)] = "",
    past: Annotated[str, Query(max_length=1100)] = "",
    count: Count = 24,
) -> dict[str, Any]:
    """What one has labelled oneself, the newest first; `past` is what the last answer said."""
    desk = request.app.state.bucket.label_desk(ask)
    found = desk.own_labels(by=user.get_name(), word=label, past=past, count=count)
    photos = [_given(request, ask, one) for one in found.given]
    return {"photos": photos, "past": found.past, "left": found.left, "progress": asdict(found.progress)}


@router.get("/examples", dependencies=READ)
def examples(request: Request, user: GetUserDep, ask: Name = "cars") -> dict[str, Any]:
    """By answer, labelled photos on which people and the filter agree."""
    found = request.app.state.bucket.label_desk(ask).examples(user.get_name())
    return {word: [_photo(request, ask, one) for one in photos] for word, photos in found.items()}


@router.get("/photos/{stage}/{partition}/{fingerprint}/{row}", dependencies=READ)
def picture(
    request: Request,
    stage: Literal["inventory", "clean", "filter"],
    partition: Segment,
    fingerprint: Segment,
    row: int,
    ask: Name = "cars",
    size: Size = "small",
) -> Response:
    """A photo, by its row of a committed photo table; the desk that has handed it out knows its key."""
    bucket = request.app.state.bucket
    key = bucket.label_desk(ask).photo_of(f"stages/{stage}/{partition}/{fingerprint}/manifest.json", row)
    return photo(_previews(bucket, size), key)


@router.get("/labelled", dependencies=READ)
def labelled(
    request: Request,
    key: Annotated[str, Query(max_length=1024)] = "",
    ask: Name = "cars",
    size: Size = "small",
) -> Response:
    """A labelled photo that no sample knows, by its name; a placeholder for what nobody has labelled."""
    bucket = request.app.state.bucket
    try:
        return photo(_previews(bucket, size), bucket.label_desk(ask).photo_named(key))
    except InputError:
        return no_photo()


@router.post("", dependencies=LABEL)
def save(request: Request, user: GetUserDep, given: GivenLabels, ask: Name = "cars") -> dict[str, Any]:
    """Add labels to those that there are; answers which of them cannot be, and why."""
    rows = [label.model_dump() for label in given.labels]
    desk = request.app.state.bucket.label_desk(ask)
    return asdict(desk.save(rows, by=user.get_name(), now=datetime.now(UTC)))


def _previews(bucket: Any, size: Size) -> Any:
    return bucket.large_previews if size == "large" else bucket.previews


def _photo(request: Request, ask: Name, one: Drawn) -> dict[str, Any]:
    """Where its picture is, and what the filter says."""
    place = f"{one.manifest.split('/', 1)[1].rpartition('/')[0]}/{one.row}"
    return {"url": f"{_base(request)}/photos/{place}?ask={ask}", "word": one.word, "p": one.p}


def _given(request: Request, ask: Name, one: Given) -> dict[str, Any]:
    """A label of one's own, and its photo."""
    named = {"url": f"{_base(request)}/labelled?ask={ask}&key={quote(one.key, safe='')}", "word": "", "p": None}
    shown = _photo(request, ask, one.photo) if one.photo else named
    return {"key": one.key, "label": one.label, "at": one.at, "copies": one.copies, **shown}


def _base(request: Request) -> str:
    return f"{request.scope['root_path']}/labels"
