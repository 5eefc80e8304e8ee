"""The page Review: listings that may be in the wrong class, decided one by one, by key."""

from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from carpipe.steps.views import datasets, one_photo, review
from carpipe.taxonomy.words import CANNOT_TELL, NOT_A_CAR, SELLER_IS_RIGHT
from carpipe_airflow.pages.access import CLASSES, CLASSES_DAG, READ, may
from carpipe_airflow.pages.decide import decide
from carpipe_airflow.pages.render import render
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/review")

QUEUES: dict[review.Queue, str] = {
    "suspects": "May be wrong",
    "disputed": "People disagree",
    "second": "Second opinions",
    "mine": "Decided by me",
}
# Its key, the word that is kept, and plain English.
ANSWERS = (
    ("1", SELLER_IS_RIGHT, "The seller is right"),
    ("3", NOT_A_CAR, "Not a car of any class"),
    ("4", CANNOT_TELL, "Nobody can tell"),
)
LISTED = 30  # of the queue, beside the case

Uuid = Annotated[str, Query(pattern="^[0-9a-f-]{36}$")]


@router.get("", dependencies=READ)
def page(
    request: Request,
    user: GetUserDep,
    queue: review.Queue = "suspects",
    listing: Uuid | None = None,
    saved: Uuid | None = None,
) -> Response:
    """A queue, and one of its listings in full: the first, unless an address names one.

    `saved` is the listing that was decided before, so that a slip of the finger can be seen, and mended.
    """
    return _page(request, user, queue, listing, saved=saved)


def _page(
    request: Request, user: Any, queue: review.Queue, listing: str | None, *, saved: str | None = None,
    given: str = "", error: str = "",
) -> Response:  # fmt: skip
    """`error` is why what was `given` cannot be."""
    bucket, by = request.app.state.bucket, user.get_name()
    done = datasets.find_or_newest(bucket.cache, "")
    if done is None:
        return render(
            request, "review", queues=QUEUES, queue=queue, case=None, left=[], dataset=None, saved=None, judged=False
        )
    index = bucket.photo_index(done)
    if index is None:
        return render(request, "reading", photos=done.counts["in"])
    left = review.queue(bucket.cache, queue, by=by)
    chosen = listing or next(iter(left), None)
    case = review.show_case(bucket.cache, index, chosen, blind=queue == "second") if chosen else None
    return render(
        request,
        "review",
        queues=QUEUES,
        queue=queue,
        answers=ANSWERS,
        case=case,
        most=one_photo.SHOWN,
        left=left,
        listed=left[:LISTED],
        after=_after(left, chosen),
        dataset=datasets.call_dataset(done),
        names=sorted(review.known_names(bucket.cache, index, "").names),
        may_decide=may(user, "POST", CLASSES_DAG),
        saved=_last_word(bucket.cache, saved, by),
        given=given,
        error=error,
        judged=review.was_judged(bucket.cache),
        status=422 if error else 200,
    )


@router.post("", dependencies=CLASSES)
def save(
    request: Request,
    user: GetUserDep,
    listing: Annotated[str, Form(pattern="^[0-9a-f-]{36}$")],
    to: Annotated[str, Form(min_length=1, max_length=200)],
    queue: Annotated[review.Queue, Form()] = "suspects",
    after: Annotated[str, Form(pattern="^([0-9a-f-]{36})?$")] = "",
) -> Response:
    """Keep what somebody says of a listing, and go on with the one after it."""
    bucket = request.app.state.bucket
    done = datasets.find_or_newest(bucket.cache, "")
    index = bucket.photo_index(done, patience_s=60.0) if done else None
    if index is None:
        raise HTTPException(503, "The photos of the newest dataset are still being read. Try again in a minute.")
    if error := decide(request, index, listing, to, by=user.get_name()):
        return _page(request, user, queue, listing, given=to, error=error)
    more = f"&listing={quote(after)}" if after else ""
    return RedirectResponse(f"{request.scope['root_path']}/review?queue={queue}{more}&saved={quote(listing)}", 303)


def _last_word(cache: Any, listing: str | None, by: str) -> Any:
    """What somebody has said of a listing last; None where that is nothing."""
    said = [one for one in review.read_said(cache) if one.listing == listing and one.by == by]
    return said[-1] if said else None


def _after(left: list[str], chosen: Any) -> str:
    """The one after it in the queue; empty where it is the last, or in none."""
    place = left.index(chosen) + 1 if chosen in left else len(left)
    return left[place] if place < len(left) else ""
