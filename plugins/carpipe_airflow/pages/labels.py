"""The page Labels: photos to label by key press, saved in batches. It asks for cars, or for views."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from carpipe.steps.labels.questions import Name
from carpipe.steps.labels.sampling import How
from carpipe.viewpoints import WORDS
from carpipe.weights.contract import CAR, NOT_CAR
from carpipe_airflow.pages.access import LABEL, LABEL_DAG, READ, may
from carpipe_airflow.pages.json_answer import AsciiJson
from carpipe_airflow.pages.render import photo, render
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/labels", default_response_class=AsciiJson)

# Rows in a request at most; the page sends a hundred.
MAX_LABELS = 500
Segment = Annotated[str, Path(pattern=r"^[\w-]+$")]
# By question, what the page shows of each answer: its key, the word that is saved, and plain English.
ANSWERS = {
    "cars": (("a", CAR, CAR), ("n", NOT_CAR, NOT_CAR)),
    "views": tuple((str(number % 10), view, WORDS[view]) for number, view in enumerate(WORDS, start=1)),
}


class GivenLabel(BaseModel):
    """A label as the page sends it; `at` is when the key was pressed, ISO 8601."""

    key: str = Field(max_length=1024)
    label: str = Field(max_length=20)
    at: str = Field(max_length=40)


class GivenLabels(BaseModel):
    """What the page sends."""

    labels: list[GivenLabel] = Field(max_length=MAX_LABELS)


@router.get("", dependencies=READ)
def page(request: Request, user: GetUserDep, ask: Name = "cars") -> Response:
    """The page; the photos come by `batch`."""
    return render(
        request,
        "labels",
        ask=ask,
        answers=ANSWERS[ask],
        user=user.get_name(),
        now=datetime.now(UTC).isoformat(),
        may_label=may(user, "POST", LABEL_DAG),
    )


@router.get("/batch", dependencies=READ)
def batch(
    request: Request,
    user: GetUserDep,
    ask: Name = "cars",
    how: How = "random",
    after: Annotated[int, Query(ge=0)] = 0,
    count: Annotated[int, Query(ge=1, le=100)] = 24,
) -> dict[str, Any]:
    """The next photos to label, and where to get their pictures."""
    desk = request.app.state.bucket.label_desk(ask)
    found = desk.next_batch(by=user.get_name(), how=how, after=after, count=count)
    photos = [{"key": one.key, "url": f"{_url(request, one.manifest, one.row)}?ask={ask}"} for one in found.photos]
    return {"photos": photos, "after": found.after, "left": found.left, "progress": asdict(found.progress)}


@router.get("/photos/{stage}/{partition}/{fingerprint}/{row}", dependencies=READ)
def picture(
    request: Request,
    stage: Literal["inventory", "filter"],
    partition: Segment,
    fingerprint: Segment,
    row: int,
    ask: Name = "cars",
) -> Response:
    """A photo, by its row of a committed photo table; the desk that has handed it out knows its key."""
    bucket = request.app.state.bucket
    key = bucket.label_desk(ask).photo_of(f"stages/{stage}/{partition}/{fingerprint}/manifest.json", row)
    return photo(bucket.previews, key)


@router.post("", dependencies=LABEL)
def save(request: Request, user: GetUserDep, given: GivenLabels, ask: Name = "cars") -> dict[str, Any]:
    """Add labels to those that there are; answers which of them cannot be, and why."""
    rows = [label.model_dump() for label in given.labels]
    desk = request.app.state.bucket.label_desk(ask)
    return asdict(desk.save(rows, by=user.get_name(), now=datetime.now(UTC)))


def _url(request: Request, manifest_key: str, row: int) -> str:
    return f"{request.scope['root_path']}/labels/photos/{manifest_key.split('/', 1)[1].rpartition('/')[0]}/{row}"
