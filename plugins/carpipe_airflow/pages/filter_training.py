"""Training the car filter from the page Labels: how much is new for it, and a run of the DAG `train_filter`."""

import contextlib
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.common.dagbag import DagBagDep
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from carpipe.errors import CarpipeError
from carpipe.names import shown
from carpipe.steps.labels.questions import Name
from carpipe.steps.views.said import labels_read_at
from carpipe_airflow.pages.access import LABEL, LABEL_DAG, may
from carpipe_airflow.pages.asked_runs import Run, is_paused, newest_run
from carpipe_airflow.pages.threads import PageRoute

router = APIRouter(route_class=PageRoute, prefix="/labels")


@dataclass(frozen=True)
class Training:
    """What the page says of it. `new` counts photos with another label than at the last training; None: unknown."""

    new: int | None
    may_start: bool
    paused: bool
    run: Run | None

    @property
    def moving(self) -> bool:
        """Whether a run is under way, or waits for its turn."""
        return self.run is not None and self.run.waits and not self.paused


def training(request: Request, user: Any, session: Any, ask: Name) -> Training:
    """How it stands. Who may not look at the DAG is not told of its runs.

    The page is there without it: labels that wait in the browser are sent from there once the bucket is back.
    """
    bucket, new = request.app.state.bucket, None
    with contextlib.suppress(CarpipeError):
        new = bucket.label_desk(ask).new_since(labels_read_at(bucket.cache.session, ask))
    run = newest_run(session, LABEL_DAG) if may(user, "GET", LABEL_DAG) else None
    return Training(new, may(user, "POST", LABEL_DAG), is_paused(session, LABEL_DAG), run)


@router.post("/train", dependencies=LABEL)
def train(
    request: Request,
    user: GetUserDep,
    session: SessionDep,
    dag_bag: DagBagDep,
    ask: Annotated[Name, Form()] = "cars",
) -> Response:
    """Start a run of `train_filter`, unless one is under way."""
    run = newest_run(session, LABEL_DAG)
    if run and run.waits:
        why = "waits, since the DAG is paused" if is_paused(session, LABEL_DAG) else "is under way"
        raise HTTPException(409, f"A training of the car filter {why}; ask again once that is done.")
    note = f"Asked for by {shown(user.get_name())}, on the page Labels."
    body = TriggerDAGRunPostBody(logical_date=None, note=note)
    trigger_dag_run(dag_id=LABEL_DAG, body=body, dag_bag=dag_bag, user=user, session=session, request=request)
    return RedirectResponse(f"{request.scope['root_path']}/labels?ask={ask}#training", 303)
