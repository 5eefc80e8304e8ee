"""The page Data: datasets, and one of them in full."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from carpipe.steps import results
from carpipe.steps.views import curves, datasets, new_models
from carpipe_airflow.pages.access import READ
from carpipe_airflow.pages.render import document, photo, render
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/data", dependencies=READ)

# As `manifest.digest` makes them.
Id = Annotated[str, Path(pattern="^[0-9a-f]{20}$")]


@router.get("")
def newest(request: Request) -> Response:
    """All datasets, and the newest in full."""
    return _page(request, "")


@router.get("/{dataset}")
def one(request: Request, dataset: Id) -> Response:
    """All datasets, and this one in full."""
    return _page(request, dataset)


@router.get("/{dataset}/report.html")
def report(request: Request, dataset: Id) -> Response:
    """The dataset report."""
    return document(datasets.read_document(request.app.state.bucket.cache, dataset, results.REPORT))


@router.get("/{dataset}/data_docs/{name:path}")
def data_docs(request: Request, dataset: Id, name: str) -> Response:
    """A page of the Data Docs; they link to each other."""
    return document(datasets.read_document(request.app.state.bucket.cache, dataset, f"data_docs/{name}"))


@router.get("/validations/{validation}/report.html")
def verdict_report(request: Request, validation: Id) -> Response:
    """The report of a validation, also of one that stopped a run."""
    return document(datasets.read_verdict(request.app.state.bucket.cache, validation, results.REPORT))


@router.get("/validations/{validation}/data_docs/{name:path}")
def verdict_docs(request: Request, validation: Id, name: str) -> Response:
    """A page of its Data Docs."""
    return document(datasets.read_verdict(request.app.state.bucket.cache, validation, f"data_docs/{name}"))


@router.get("/curves/{curve}")
def learning_curve(request: Request, curve: Id) -> Response:
    """The page of a learning curve."""
    return document(curves.read_curve(request.app.state.bucket.cache, curve))


@router.get("/{dataset}/photos/{row}")
def example(request: Request, dataset: Id, row: int) -> Response:
    """An example of a reason, by its row of the photo table; often enough there is nothing to see of it."""
    bucket = request.app.state.bucket
    return photo(bucket.previews, datasets.photo_of(bucket.cache, dataset, row))


@router.get("/new-models/{found}/photos/{number}")
def new_model(request: Request, found: Id, number: int) -> Response:
    """An example of what may be a new class, by its number."""
    bucket = request.app.state.bucket
    return photo(bucket.previews, new_models.photo_of(bucket.cache, found, number))


def _page(request: Request, dataset: str) -> Response:
    cache = request.app.state.bucket.cache
    there = datasets.list_datasets(cache)
    dataset = dataset or (there.rows[0].id if there.rows else "")
    shown = datasets.show_dataset(cache, dataset) if dataset else None
    curve = curves.newest_curve(cache, dataset) if dataset else None
    new = new_models.newest_new_models(cache, dataset) if dataset else None
    return render(request, "data", datasets=there.rows, newer=there.newer, shown=shown, curve=curve, new=new)
