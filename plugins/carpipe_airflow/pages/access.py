"""Who may do what: each route names one of these dependencies, and a test proves that none is without.

Airflow does not put plugins behind its login. Rights are those on the DAGs that do the same: who may read
`prepare_dataset` may look, who may run `train_filter` may label, who may run `promote_weights` may move a channel.
"""

from typing import Literal
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.configuration import conf
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request

READ_DAG, LABEL_DAG, PROMOTE_DAG = "prepare_dataset", "train_filter", "promote_weights"


def from_our_pages(request: Request) -> None:
    """Refuse what another site makes a logged-in browser send.

    Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    """
    # A token instead of the browser's cookie. With another scheme the cookie counts, and a browser behind a proxy that
    # asks for a password sends Basic by itself.
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    ours = {request.headers.get("host"), urlsplit(conf.get("api", "base_url", fallback="") or "").netloc}
    if site not in (None, "same-origin") or not origin or urlsplit(origin).netloc not in ours:
        raise HTTPException(403, "This was sent from another site; use the buttons of carpipe's own pages.")


def may(user: BaseUser, method: Literal["GET", "POST"], dag_id: str) -> bool:
    """Whether something is worth showing; the route behind it asks again."""
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return get_auth_manager().is_authorized_dag(
        method=method, access_entity=DagAccessEntity.RUN, details=details, user=user
    )


READ = [Depends(requires_access_dag("GET", param_dag_id=READ_DAG))]
LABEL = [
    Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=LABEL_DAG)),
    Depends(from_our_pages),
]
PROMOTE = [
    Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=PROMOTE_DAG)),
    Depends(from_our_pages),
]
