"""Who may do what: each route names one of these dependencies, and a test proves that none is without.

Airflow does not put plugins behind its login. Rights are those on the DAGs that do the same: who may read
`prepare_dataset` may look, who may run it may change classes, who may run `train_filter` may label, who may run
`promote_weights` may move a channel.
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
CLASSES_DAG = READ_DAG  # which makes the classes


# Names of one machine for itself: whoever serves one of them serves all.
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]
"""Scheme, host, port: https://www.rfc-editor.org/rfc/rfc6454#section-4"""


def from_our_pages(request: Request) -> None:
    """Refuse what another site makes a logged-in browser send.

    The one `Origin` must be Airflow's `base_url`; where that is not set, the address the request came to. A TLS proxy
    in front hides the scheme people see, so there `Sec-Fetch-Site: same-origin` stands for it: browsers send that over
    TLS, and no page can set it. `Origin: null`, of a sandboxed frame, a file or a `data:` page, is never ours.

    Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    """
    # A token instead of the browser's cookie. With another scheme the cookie counts, and a browser behind a proxy that
    # asks for a password sends Basic by itself.
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    sites, origins = request.headers.getlist("sec-fetch-site"), request.headers.getlist("origin")
    origin = read_origin(origins[0]) if len(origins) == 1 else None
    if sites not in ([], ["same-origin"]) or origin is None:
        raise HTTPException(403, "This was sent from another site; use the buttons of carpipe's own pages.")
    base = read_origin(conf.get("api", "base_url", fallback="") or "", path=True)
    if not (_is_base(origin, base) if base else _is_own(origin, request, vouched=bool(sites))):
        where = "Airflow's base_url" if base else "the address it was sent to"
        raise HTTPException(
            403, f"This was sent from another address than {where}; open carpipe's pages at that address."
        )


def read_origin(text: str, *, path: bool = False) -> Origin | None:
    """Of an `Origin` header, or of a whole URL where a path is allowed; None for whatever else it is."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    # urlsplit takes blanks and line ends away; what had some is none.
    rest = parts.query or parts.fragment or "@" in parts.netloc or not text.isprintable() or " " in text
    if parts.scheme not in PORTS or not host or rest or (parts.path and not path):
        return None
    return parts.scheme, host, PORTS[parts.scheme] if port is None else port


def _is_base(origin: Origin, base: Origin) -> bool:
    scheme, host, port = origin
    return origin == base or (host in LOOPBACK and base[1] in LOOPBACK and (scheme, port) == (base[0], base[2]))


def _is_own(origin: Origin, request: Request, *, vouched: bool) -> bool:
    scheme = origin[0] if vouched else request.scope["scheme"]
    hosts = request.headers.getlist("host")
    return len(hosts) == 1 and origin == read_origin(f"{scheme}://{hosts[0]}")


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
CLASSES = [
    Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=CLASSES_DAG)),
    Depends(from_our_pages),
]
PROMOTE = [
    Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=PROMOTE_DAG)),
    Depends(from_our_pages),
]
