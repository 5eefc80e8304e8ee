"""The page Photos: all photos of a dataset by filter, sorted, a page at a time; and one photo in full."""

import time
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Annotated, Any
from urllib.parse import urlencode

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from carpipe.manifest import Manifest
from carpipe.reasons import STAGES
from carpipe.steps.listings.store import told
from carpipe.steps.people import store
from carpipe.steps.views import datasets, one_photo, photos, review
from carpipe.steps.views.asked import asked_of
from carpipe.steps.views.judged import find_judged
from carpipe.steps.views.suspects import suspected
from carpipe.steps.views.waiting import disputed_labels, labels_of
from carpipe.taxonomy.words import WORDS
from carpipe_airflow.pages.access import CLASSES, CLASSES_DAG, LABEL_DAG, READ, may
from carpipe_airflow.pages.decide import decide
from carpipe_airflow.pages.ids import Id
from carpipe_airflow.pages.render import photo as picture
from carpipe_airflow.pages.render import render
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/photos")

# What an address says beside the filters.
OTHERS = ("dataset", "page", "at", "text", "sort", "history")
EARLIER = 5  # datasets that are looked in for a photo
PATIENCE_S = 20.0  # seconds for all of them; whoever looks again finds more
MOST_PAGES = 1_000_000


@router.get("", dependencies=READ)
def browse(request: Request, dataset: str = "", page: Annotated[int, Query(ge=1, le=MOST_PAGES)] = 1) -> Response:
    """A page of photos."""
    bucket, wanted = request.app.state.bucket, _wanted(request)
    done = datasets.find_or_newest(bucket.cache, dataset)
    if done is None:
        return render(request, "photos", shown=None)
    index = bucket.photo_index(done)
    if index is None:
        return render(request, "reading", photos=done.counts["in"])
    first, named = (page - 1) * photos.PER_PAGE, _named(bucket, wanted, done)
    found = photos.find_photos(index, wanted, first=first, named=named)
    there = bucket.cache.get(("photo choices", done.key), lambda: photos.choices(index))
    return render(
        request,
        "photos",
        shown=found,
        elsewhere=_elsewhere(index, wanted, named, shown=found.found),
        dataset=datasets.call_dataset(done),
        choices=there,
        wanted=wanted,
        sorts=photos.SORTED_AS,
        stages=STAGES,
        page=page,
        pages=max(1, -(-found.found // photos.PER_PAGE)),
        address=lambda **changed: _address(request, wanted, {"dataset": dataset, "page": page, **changed}),
        one=lambda row, at: _address(request, wanted, {"at": at}, row=row, dataset=done.key.split("/")[1]),
    )


@router.get("/{dataset}/{row}", dependencies=READ)
def one(
    request: Request,
    user: GetUserDep,
    dataset: Id,
    row: int,
    at: int | None = None,
    history: bool = False,
) -> Response:
    """A photo in full; `at` is its number among the photos of the filters, which lead to its neighbours."""
    bucket = request.app.state.bucket
    done = datasets.find_dataset(bucket.cache, dataset)
    index = bucket.photo_index(done)
    if index is None:
        return render(request, "reading", photos=done.counts["in"])
    return _photo(request, user, done, index, row=row, at=at, history=history)


@router.get("/{dataset}/{row}/small", dependencies=READ)
def small(request: Request, dataset: Id, row: int) -> Response:
    """It as one of many."""
    return picture(request.app.state.bucket.previews, _key(request, dataset, row))


@router.get("/{dataset}/{row}/large", dependencies=READ)
def large(request: Request, dataset: Id, row: int) -> Response:
    """It as large as a screen."""
    return picture(request.app.state.bucket.large_previews, _key(request, dataset, row))


@router.post("/{dataset}/{row}/correct", dependencies=CLASSES)
def correct(
    request: Request,
    user: GetUserDep,
    dataset: Id,
    row: int,
    to: Annotated[str, Form(min_length=1, max_length=200)],
) -> Response:
    """Say which class the photo's listing is really of."""
    index = _index(request, dataset)
    done = datasets.find_dataset(request.app.state.bucket.cache, dataset)
    listing = one_photo.show_photo(index, row).photo["listing_uuid"] or ""
    if error := decide(request, index, listing, to, by=user.get_name()):
        return _photo(request, user, done, index, row=row, given=to, error=error)
    return RedirectResponse(f"{request.scope['root_path']}/photos/{dataset}/{row}#said", 303)


def _photo(
    request: Request,
    user: Any,
    done: Manifest,
    index: Any,
    *,
    row: int,
    at: int | None = None,
    history: bool = False,
    given: str = "",
    error: str = "",
) -> Response:
    """A photo in full; `error` is why what was `given` as its listing's class cannot be."""
    bucket, wanted = request.app.state.bucket, _wanted(request)
    view = one_photo.show_photo(index, row, asked=partial(asked_of, bucket.cache, done))
    before, after = _neighbours(bucket, done, index, wanted, at)
    return render(
        request,
        "photo",
        status=422 if error else 200,
        view=view,
        photo=view.photo,
        most=one_photo.SHOWN,
        dataset=datasets.call_dataset(done),
        before=before and _address(request, wanted, {"at": before[0]}, row=before[1], dataset=done.key.split("/")[1]),
        after=after and _address(request, wanted, {"at": after[0]}, row=after[1], dataset=done.key.split("/")[1]),
        labels=labels_of(bucket.cache, view.photo["key"]),
        said=_said(bucket, view.photo["listing_uuid"]),
        names=(*WORDS, *done.extra["classes"]),
        look=_address(request, wanted, {"at": at, "history": 1}, row=row, dataset=done.key.split("/")[1]),
        history=_history(bucket, done, view.photo["key"]) if history else None,
        at=at,
        given=given,
        error=error,
        back=_address(request, wanted, {"dataset": done.key.split("/")[1], "page": (at or 0) // photos.PER_PAGE + 1}),
        now=datetime.now(UTC).isoformat(),
        may_label=may(user, "POST", LABEL_DAG),
        may_correct=may(user, "POST", CLASSES_DAG),
    )


def _wanted(request: Request) -> photos.Wanted:
    """What the address asks for. An empty field of a form asks for nothing."""
    given = {name: value for name, value in request.query_params.items() if value}
    asked = {name: value for name, value in given.items() if name not in OTHERS}
    return photos.Wanted(asked, given.get("text", ""), given.get("sort", photos.DEFAULT_SORT))


def _said(bucket: Any, listing: str | None) -> str:
    """What people say of a listing; empty where nobody has said anything."""
    cache = bucket.cache
    said = store.current(review.read_said(cache))
    return told(said[listing]) if listing in said else ""


def _history(bucket: Any, done: Manifest, key: str) -> list[one_photo.Fate]:
    """What became of a photo in other datasets, the newest first."""
    others = (other for other in datasets.newest(bucket.cache, most=EARLIER + 1) if other.key != done.key)
    until = time.monotonic() + PATIENCE_S
    found = (
        (other, bucket.photo_index(other, patience_s=max(0.1, until - time.monotonic())))
        for other in islice(others, EARLIER)
    )
    return [one_photo.fate(index, datasets.call_dataset(other), key) for other, index in found if index]


def _named(bucket: Any, wanted: photos.Wanted, done: Manifest) -> dict[str, list[str]]:
    """What filters are of that the photo table does not know."""
    found = {}
    if "suspect" in wanted.asked:
        found["suspect"] = [*suspected(bucket.cache)]
    if "disputed" in wanted.asked:
        found["disputed"] = [*disputed_labels(bucket.cache)]
    if "judged" in wanted.asked:
        found["judged"] = find_judged(bucket.cache, wanted.asked, dataset=done.key)
    return found


def _elsewhere(index: Any, wanted: photos.Wanted, named: dict[str, list[str]], *, shown: int) -> int:
    """Photos that a model was judged on and that are not in the dataset, such as labelled ones that were deleted."""
    if shown >= len(named.get("judged", ())):
        return 0
    judged = photos.Wanted({"judged": wanted.asked["judged"]})
    return max(0, len(named["judged"]) - photos.find_photos(index, judged, most=1, named=named).found)


def _neighbours(bucket: Any, done: Manifest, index: Any, wanted: photos.Wanted, at: int | None) -> tuple[Any, Any]:
    """(number, row) of the photos before and after number `at`, where there are some."""
    if at is None or at < 0:
        return None, None
    first = max(0, at - 1)
    found = photos.find_photos(index, wanted, first=first, most=3, named=_named(bucket, wanted, done))
    by_number = {first + place: photo["row"] for place, photo in enumerate(found.photos)}
    return tuple((number, by_number[number]) if number in by_number else None for number in (at - 1, at + 1))


def _index(request: Request, dataset: str) -> Any:
    """The index, or 503 where it is not there yet: threads are few."""
    bucket = request.app.state.bucket
    index = bucket.photo_index(datasets.find_dataset(bucket.cache, dataset))
    if index is None:
        raise HTTPException(503, "The photos of this dataset are still being read. Try again in a minute.")
    return index


def _key(request: Request, dataset: str, row: int) -> str:
    found = photos.read_rows(_index(request, dataset), [row])
    if not found:
        raise HTTPException(404, f"The dataset has no photo in row {row}.")
    return str(found[0]["key"])


def _address(
    request: Request, wanted: photos.Wanted, more: dict[str, Any], *, row: int | None = None, dataset: str = ""
) -> str:
    """Of a page with the same filters, but for those that `more` changes; None takes one away."""
    given = {**wanted.parameters(), **more}
    if given.get("page") == 1:
        del given["page"]
    query = urlencode({name: value for name, value in given.items() if value not in (None, "")})
    place = f"/photos/{dataset}/{row}" if row is not None else "/photos"
    return f"{request.scope['root_path']}{place}{f'?{query}' if query else ''}"
