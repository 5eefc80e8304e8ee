"""The first page: what the last night did, what waits for a person, what is live, and how things go."""

from typing import Any

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Request, Response

from carpipe.steps.cache import ResultCache
from carpipe.steps.views import outcomes, trends
from carpipe.steps.views.live import show_live
from carpipe.steps.views.waiting import waiting
from carpipe_airflow.pages import runs
from carpipe_airflow.pages.access import READ, may
from carpipe_airflow.pages.render import airflow_root, render
from carpipe_airflow.pages.threads import PageRoute

NIGHTLY = ("prepare_dataset", "retrain_classifier")

router = APIRouter(route_class=PageRoute, prefix="/overview")


@router.get("", dependencies=READ)
def page(request: Request, user: GetUserDep, session: SessionDep) -> Response:
    """The whole page."""
    cache = request.app.state.bucket.cache
    past = trends.nights(cache)
    mine = [dag for dag in runs.DAGS if may(user, "GET", dag)]
    found = runs.newest_runs(session, mine)
    cost = trends.cost_trend(past, cache.session.config.cost)
    answers = trends.newest_listings(cache, cache.session.config.classifier.channel)
    return render(
        request,
        "overview",
        airflow=airflow_root(request),
        runs=found,
        said={run.dag: _said(cache, run) for run in found},
        questions=runs.questions(session, mine),
        waiting=waiting(cache),
        live=show_live(cache),
        trends=[*trends.dataset_trends(past), *filter(None, [answers, cost]), *_durations(session, mine)],
        dataset=past[-1].dataset if past else None,
    )


def _durations(session: Any, dags: list[str]) -> list[trends.Trend]:
    """How long the nightly DAGs took."""
    found = {dag: runs.minutes(session, dag, most=trends.NIGHTS) for dag in NIGHTLY if dag in dags}
    return [trends.duration(dag, values) for dag, values in found.items() if values]


def _said(cache: ResultCache, run: runs.Run) -> str:
    """What came of a run; empty where nothing did, or nobody can tell."""
    channels = {"retrain_classifier": cache.session.config.classifier, "train_filter": cache.session.config.car_filter}
    if run.dag == "prepare_dataset" and run.made:
        return outcomes.dataset_made(cache, run.made)
    return outcomes.decided(cache, channels[run.dag].channel, run.run) if run.dag in channels else ""
