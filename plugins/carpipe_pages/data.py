"""The page Data: datasets, and one of them in full."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from carpipe.steps import artefacts, shown_data
from carpipe_pages.access import READ
from carpipe_pages.render import document, photo, render
from carpipe_pages.threads import PageRoute

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
    return document(shown_data.read_document(request.app.state.desk.shelf, dataset, artefacts.REPORT))


@router.get("/{dataset}/data_docs/{name:path}")
def data_docs(request: Request, dataset: Id, name: str) -> Response:
    """A page of the Data Docs; they link to each other."""
    return document(shown_data.read_document(request.app.state.desk.shelf, dataset, f"data_docs/{name}"))


@router.get("/validations/{validation}/report.html")
def verdict_report(request: Request, validation: Id) -> Response:
    """The report of a validation, also of one that stopped a run."""
    return document(shown_data.read_verdict(request.app.state.desk.shelf, validation, artefacts.REPORT))


@router.get("/validations/{validation}/data_docs/{name:path}")
def verdict_docs(request: Request, validation: Id, name: str) -> Response:
    """A page of its Data Docs."""
    return document(shown_data.read_verdict(request.app.state.desk.shelf, validation, f"data_docs/{name}"))


@router.get("/{dataset}/photos/{row}")
def example(request: Request, dataset: Id, row: int) -> Response:
    """An example of a reason, by its row of the photo table; often enough there is nothing to see of it."""
    desk = request.app.state.desk
    return photo(desk.previews, shown_data.photo_of(desk.shelf, dataset, row))


def _page(request: Request, dataset: str) -> Response:
    shelf = request.app.state.desk.shelf
    datasets = shown_data.list_datasets(shelf)
    dataset = dataset or (datasets[0].id if datasets else "")
    shown = shown_data.show_dataset(shelf, dataset) if dataset else None
    return render(request, "data", datasets=datasets, shown=shown)
