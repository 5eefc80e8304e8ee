"""The page Weights: channels, models, decisions; promote and roll back by a run of the DAG `promote_weights`."""

from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.common.dagbag import DagBagDep
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dag import DagModel, DagRun
from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from carpipe.errors import InputError
from carpipe.names import shown
from carpipe.steps.models.comparison import PAGE
from carpipe.steps.views import channels
from carpipe.weights.channel import check_reason
from carpipe_airflow.pages.access import PROMOTE, PROMOTE_DAG, READ, may
from carpipe_airflow.pages.ids import Id
from carpipe_airflow.pages.render import airflow_root, document, framed, render
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/weights")

RUNS = 5  # of `promote_weights` shown
LOOKED_AT = 100  # newest runs among which those of a channel are looked for
WAITING = ("queued", "running")


@router.get("", dependencies=READ)
def first(request: Request, user: GetUserDep, session: SessionDep, dag_bag: DagBagDep) -> Response:
    """The channel of the classifier."""
    return _page(request, user, session, dag_bag, request.app.state.bucket.cache.session.config.classifier.channel)


@router.get("/{channel}", dependencies=READ)
def one(request: Request, user: GetUserDep, session: SessionDep, dag_bag: DagBagDep, channel: str) -> Response:
    """A channel in full."""
    return _page(request, user, session, dag_bag, channel)


@router.get("/{channel}/{model}/card", dependencies=READ)
def card(request: Request, channel: str, model: Id) -> Response:
    """The model card, as text."""
    cache = request.app.state.bucket.cache
    text = channels.read_card(cache, channel, model)
    compared = channels.read_comparison_card(cache, channel, model)
    return render(request, "card", channel=channel, model=model, text=text, compared=compared)


@router.get("/{channel}/{model}/evaluation", dependencies=READ)
def evaluation(request: Request, channel: str, model: Id) -> Response:
    """The evaluation below our header."""
    return _framed(request, "Evaluation", channel, f"{model}/evaluation.html")


@router.get("/{channel}/{model}/comparison", dependencies=READ)
def comparison(request: Request, channel: str, model: Id) -> Response:
    """The comparison with the model that was live, below our header."""
    return _framed(request, "Comparison", channel, f"{model}/comparison.html")


@router.get("/{channel}/{model}/evaluation.html", dependencies=READ)
def evaluation_document(request: Request, channel: str, model: Id) -> Response:
    """The evaluation page."""
    return document(channels.read_page(request.app.state.bucket.cache, channel, model))


@router.get("/{channel}/{model}/comparison.html", dependencies=READ)
def comparison_document(request: Request, channel: str, model: Id) -> Response:
    """How the model differs from the one that was live when the gate last decided about it."""
    return document(channels.read_comparison(request.app.state.bucket.cache, channel, model, PAGE))


@router.post("/{channel}/promote", dependencies=PROMOTE)
def promote(
    request: Request,
    user: GetUserDep,
    session: SessionDep,
    dag_bag: DagBagDep,
    channel: str,
    model: Annotated[str, Form(pattern="^[0-9a-f]{20}$")],
    reason: Annotated[str, Form(max_length=500)] = "",
    manifest_sha256: Annotated[str, Form(pattern="^([0-9a-f]{64})?$")] = "",
) -> Response:
    """Make a model the live one, an older one too, by a run of `promote_weights`.

    With the sum of the manifest that the page has shown, no other goes live, though it be put there since.
    """
    try:
        check_reason(reason.strip())
    except InputError as error:
        raise HTTPException(422, str(error)) from None
    found = channels.find_model(request.app.state.bucket.cache, channel, model)
    if _moving(_runs(session, dag_bag, channel)) and not _paused(session):
        raise HTTPException(409, f"A promotion of {channel} is under way; ask again once it is done.")
    said = f"{reason.strip() or 'by hand'} ({shown(user.get_name())}, on the page Weights)"
    conf = {"channel": channel, "model": found.key, "reason": said, "manifest_sha256": manifest_sha256}
    body = TriggerDAGRunPostBody(logical_date=None, conf=conf)
    trigger_dag_run(dag_id=PROMOTE_DAG, body=body, dag_bag=dag_bag, user=user, session=session, request=request)
    return RedirectResponse(f"{request.scope['root_path']}/weights/{channel}", 303)


def _framed(request: Request, name: str, channel: str, file: str) -> Response:
    folder = f"/weights/{quote(channel, safe='')}"
    return framed(request, name, source=f"{folder}/{file}", back=folder, back_to="Weights", room="Weights")


def _page(request: Request, user: Any, session: Any, dag_bag: Any, channel: str) -> Response:
    cache = request.app.state.bucket.cache
    runs, paused = _runs(session, dag_bag, channel), _paused(session)
    return render(
        request,
        "weights",
        airflow=airflow_root(request),
        shown=channels.show_channel(cache, channel),
        may_promote=may(user, "POST", PROMOTE_DAG),
        runs=runs if may(user, "GET", PROMOTE_DAG) else [],
        moving=_moving(runs) and not paused,
        paused=paused,
    )


def _moving(runs: list[dict[str, str]]) -> bool:
    return any(run["state"] in WAITING for run in runs)


def _paused(session: Any) -> bool:
    """Whether the DAG is: then what is asked for waits for somebody to unpause it."""
    return bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == PROMOTE_DAG)))


def _runs(session: Any, dag_bag: Any, channel: str) -> list[dict[str, str]]:
    """The newest runs of `promote_weights` for a channel: who wants what, and how that stands."""
    query = select(DagRun).where(DagRun.dag_id == PROMOTE_DAG).order_by(DagRun.id.desc()).limit(LOOKED_AT)
    dag = dag_bag.get_latest_version_of_dag(PROMOTE_DAG, session=session)
    default = dag.params["channel"] if dag else ""  # where a run names none
    mine = [run for run in session.scalars(query) if (run.conf or {}).get("channel", default) == channel]
    return [
        {
            "run": run.run_id,
            "state": str(run.state),
            "at": run.run_after.isoformat() if run.run_after else "",
            "by": run.triggering_user_name or "",
            "model": (run.conf or {}).get("model", "").removesuffix("/manifest.json").rpartition("/")[2],
        }
        for run in mine[:RUNS]
    ]
