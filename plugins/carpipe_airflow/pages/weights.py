"""The page Weights: channels, models, decisions; promote and roll back by a run of the DAG `promote_weights`."""

from typing import Annotated, Any, Literal
from urllib.parse import quote

from airflow.api_fastapi.common.dagbag import DagBagDep
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from carpipe.errors import InputError
from carpipe.names import shown
from carpipe.steps.models.comparison import PAGE
from carpipe.steps.models.evaluate import PAGE as PAGE_OF_EVALUATION
from carpipe.steps.views import channels, figures
from carpipe.steps.views.model_columns import Sort
from carpipe.steps.views.training import TrainingView, section_of, show_training
from carpipe.weights.channel import check_reason
from carpipe_airflow.pages import weights_runs
from carpipe_airflow.pages.access import PROMOTE, PROMOTE_DAG, READ, may
from carpipe_airflow.pages.asked_runs import is_paused
from carpipe_airflow.pages.ids import Id
from carpipe_airflow.pages.render import airflow_root, document, framed, render
from carpipe_airflow.pages.threads import PageRoute
from carpipe_airflow.pages.weights_runs import TRAINERS, NamedRun

router = APIRouter(route_class=PageRoute, prefix="/weights")


class Asked(BaseModel):
    """What the address says of how much is shown."""

    models: int = Field(channels.COLUMNS, ge=1, le=channels.MOST)
    sort: Sort = "date"
    history: Literal["", "all"] = ""


@router.get("", dependencies=READ)
def first(
    request: Request, user: GetUserDep, session: SessionDep, dag_bag: DagBagDep, asked: Annotated[Asked, Query()]
) -> Response:
    """The channel of the classifier."""
    channel = request.app.state.bucket.cache.session.config.classifier.channel
    return _page(request, user, session, dag_bag, channel, asked)


@router.get("/{channel}", dependencies=READ)
def one(
    request: Request,
    user: GetUserDep,
    session: SessionDep,
    dag_bag: DagBagDep,
    channel: str,
    asked: Annotated[Asked, Query()],
) -> Response:
    """A channel in full."""
    return _page(request, user, session, dag_bag, channel, asked)


@router.get("/{channel}/training", dependencies=READ)
def training(request: Request, user: GetUserDep, session: SessionDep, channel: str) -> Response:
    """The training under way, as a part of the page that its script asks for; nothing where none is."""
    run, shown = _training(request, user, session, channel)
    return render(request, "_training", airflow=airflow_root(request), run=run, training=shown)


@router.get("/{channel}/{model}/card", dependencies=READ)
def card(request: Request, channel: str, model: Id) -> Response:
    """The model card, as text."""
    cache = request.app.state.bucket.cache
    text = channels.read_card(cache, channel, model)
    compared = channels.read_comparison_card(cache, channel, model)
    found = channels.find_model(cache, channel, model)
    return render(
        request,
        "card",
        channel=channel,
        called=channels.call_model(found),
        has_page=PAGE_OF_EVALUATION in found.files,
        text=text,
        compared=compared,
    )


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
    waits = any(one.waits for one in weights_runs.promotions(session, dag_bag, channel))
    if waits and not is_paused(session, PROMOTE_DAG):
        raise HTTPException(409, f"A promotion of {channel} is under way; ask again once it is done.")
    said = f"{reason.strip() or 'by hand'} ({shown(user.get_name())}, on the page Weights)"
    conf = {"channel": channel, "model": found.key, "reason": said, "manifest_sha256": manifest_sha256}
    body = TriggerDAGRunPostBody(logical_date=None, conf=conf)
    trigger_dag_run(dag_id=PROMOTE_DAG, body=body, dag_bag=dag_bag, user=user, session=session, request=request)
    return RedirectResponse(f"{request.scope['root_path']}/weights/{channel}", 303)


def _framed(request: Request, name: str, channel: str, file: str) -> Response:
    folder = f"/weights/{quote(channel, safe='')}"
    return framed(request, name, source=f"{folder}/{file}", back=folder, back_to="Weights", room="Weights")


def _page(request: Request, user: Any, session: Any, dag_bag: Any, channel: str, asked: Asked) -> Response:
    cache = request.app.state.bucket.cache
    shown = channels.show_channel(
        cache, channel, most=asked.models, sort=asked.sort, whole_history=asked.history == "all"
    )
    moves, paused = weights_runs.promotions(session, dag_bag, channel), is_paused(session, PROMOTE_DAG)
    run, trains = _training(request, user, session, channel)
    return render(
        request,
        "weights",
        airflow=airflow_root(request),
        shown=shown,
        asked=asked,
        more=min(channels.MOST, asked.models + channels.COLUMNS),
        words=figures,
        may_promote=may(user, "POST", PROMOTE_DAG),
        promotions=moves if may(user, "GET", PROMOTE_DAG) else [],
        moving=any(one.waits for one in moves) and not paused,
        paused=paused,
        runs=_runs_of(shown, cache, user, session),
        run=run,
        training=trains,
    )


def _runs_of(shown: channels.ChannelView, cache: Any, user: Any, session: Any) -> dict[str, NamedRun]:
    """The runs that the page names, of those that the user may see, by id."""
    trainer = TRAINERS.get(section_of(cache, shown.name), "")
    seen = [dag for dag in (trainer, PROMOTE_DAG) if dag and may(user, "GET", dag)]
    ids = [one["run"] for one in shown.decisions] + [release.run for release in shown.history]
    about = [model.decision["run"] for model in _all_models(shown) if model.decision]
    return weights_runs.named_runs(session, seen, [*ids, *about])


def _all_models(shown: channels.ChannelView) -> list[Any]:
    return [*shown.models, *([shown.candidate.model] if shown.candidate else [])]


def _training(request: Request, user: Any, session: Any, channel: str) -> tuple[NamedRun | None, TrainingView | None]:
    """The run that trains for a channel, and how far it is; nothing before it has ended an epoch."""
    cache = request.app.state.bucket.cache
    dag = TRAINERS.get(section_of(cache, channel), "")
    run = weights_runs.training_run(session, dag) if dag and may(user, "GET", dag) else None
    return run, show_training(cache, channel, run.run) if run else None
