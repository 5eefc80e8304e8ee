"""The plugin: carpipe's pages in Airflow's navigation, and links from tasks to what they made.

Airflow loads it in every process, tasks included, so the pages themselves are imported at their first request.
"""

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from carpipe_airflow.pages import MOUNT, NAME
from carpipe_airflow.pages.links import LINKS


class LazyPages:
    """The pages' app (ASGI), made when it is asked for the first time."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from carpipe_airflow.pages.app import shared_app

        await shared_app()(scope, receive, send)


class CarpipePlugin(AirflowPlugin):
    """carpipe in Airflow's user interface."""

    name = "carpipe"
    fastapi_apps = [{"app": LazyPages(), "url_prefix": MOUNT, "name": "carpipe pages"}]  # noqa: RUF012  # Airflow's form
    external_views = [  # noqa: RUF012
        {
            "name": "carpipe",
            # Airflow may itself be served below a path.
            "href": f"{urlsplit(conf.get('api', 'base_url', fallback='') or '').path.rstrip('/')}{MOUNT}/",
            "url_route": NAME,
            "destination": "nav",
            "nav_top_level": True,
        }
    ]
    global_operator_extra_links = LINKS
