"""The page Data: datasets, and one of them in full."""

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Request, Response

from carpipe.reasons import STAGES
from carpipe.steps import results
from carpipe.steps.views import curves, datasets, new_models, trends
from carpipe_airflow.pages.access import READ
from carpipe_airflow.pages.ids import Id
from carpipe_airflow.pages.render import airflow_root, document, framed, photo, render
from carpipe_airflow.pages.runs import Failure, last_refusal
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/data", dependencies=READ)


@router.get("")
def newest(request: Request, session: SessionDep) -> Response:
    """All datasets, and the newest in full; above it, how the newest run failed to make another one."""
    return _page(request, "", last_refusal(session))


@router.get("/{dataset}")
def one(request: Request, dataset: Id) -> Response:
    """All datasets, and this one in full."""
    return _page(request, dataset, None)


@router.get("/{dataset}/report")
def report(request: Request, dataset: Id) -> Response:
    """The dataset report below our header."""
    return _framed(request, "Dataset report", f"/data/{dataset}", "report.html")


@router.get("/{dataset}/docs")
def docs(request: Request, dataset: Id) -> Response:
    """The Data Docs below our header."""
    return _framed(request, "Data Docs", f"/data/{dataset}", "data_docs/index.html")


@router.get("/{dataset}/report.html")
def report_document(request: Request, dataset: Id) -> Response:
    """The dataset report."""
    return document(datasets.read_document(request.app.state.bucket.cache, dataset, results.REPORT))


@router.get("/{dataset}/data_docs/{name:path}")
def docs_document(request: Request, dataset: Id, name: str) -> Response:
    """A page of the Data Docs; they link to each other."""
    return document(datasets.read_document(request.app.state.bucket.cache, dataset, f"data_docs/{name}"))


@router.get("/validations/{validation}/report")
def verdict_report(request: Request, validation: Id) -> Response:
    """The report of a validation below our header, also of one that stopped a run."""
    return _framed(request, "Dataset report", f"/data/validations/{validation}", "report.html", back="/data")


@router.get("/validations/{validation}/docs")
def verdict_docs(request: Request, validation: Id) -> Response:
    """Its Data Docs below our header."""
    return _framed(request, "Data Docs", f"/data/validations/{validation}", "data_docs/index.html", back="/data")


@router.get("/validations/{validation}/report.html")
def verdict_report_document(request: Request, validation: Id) -> Response:
    """The report of a validation, also of one that stopped a run."""
    return document(datasets.read_verdict(request.app.state.bucket.cache, validation, results.REPORT))


@router.get("/validations/{validation}/data_docs/{name:path}")
def verdict_docs_document(request: Request, validation: Id, name: str) -> Response:
    """A page of its Data Docs."""
    return document(datasets.read_verdict(request.app.state.bucket.cache, validation, f"data_docs/{name}"))


@router.get("/curves/{curve}")
def learning_curve(request: Request, curve: Id) -> Response:
    """A learning curve below our header."""
    return _framed(request, "Learning curve", f"/data/curves/{curve}", "curve.html", back="/data")


@router.get("/curves/{curve}/curve.html")
def learning_curve_document(request: Request, curve: Id) -> Response:
    """The page of a learning curve."""
    return document(curves.read_curve(request.app.state.bucket.cache, curve))


@router.get("/new-models/{found}/photos/{number}")
def new_model(request: Request, found: Id, number: int) -> Response:
    """An example of what may be a new class, by its number."""
    bucket = request.app.state.bucket
    return photo(bucket.previews, new_models.photo_of(bucket.cache, found, number))


def _framed(request: Request, name: str, folder: str, file: str, *, back: str = "") -> Response:
    return framed(request, name, source=f"{folder}/{file}", back=back or folder, back_to="Data", room="Data")


def _page(request: Request, dataset: str, refusal: Failure | None) -> Response:
    bucket = request.app.state.bucket
    cache, there = bucket.cache, datasets.list_datasets(bucket.cache)
    done = datasets.find_or_newest(cache, dataset)
    if done is None:
        return render(request, "data", datasets=there.rows, newer=there.newer, shown=None, refusal=refusal)
    index = bucket.photo_index(done)
    if index is None:
        return render(request, "reading", photos=done.counts["in"])
    return render(
        request,
        "data",
        datasets=there.rows,
        newer=there.newer,
        refusal=refusal,
        airflow=airflow_root(request),
        shown=datasets.show_dataset(cache, done, index),
        stages=STAGES,
        trends=trends.dataset_trends(trends.nights_up_to(cache, done)),
        called=datasets.call_dataset(done),
        curve=curves.newest_curve(cache, dataset or done.key.split("/")[1]),
        new=new_models.newest_new_models(cache, dataset or done.key.split("/")[1]),
    )
