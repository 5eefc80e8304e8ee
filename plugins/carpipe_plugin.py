"""The plugin: carpipe's pages in Airflow's navigation, links from tasks to what they made, what trigger forms need.

Airflow loads it in every process, tasks included, so the pages themselves are imported at their first request.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

import carpipe_airflow.form_checks  # noqa: F401  # the API server checks what forms are given
from carpipe_airflow.pages import MOUNT, NAME
from carpipe_airflow.pages.links import LINKS

# What Airflow's interface asks for before it shows a DAG's trigger form.
DETAILS = re.compile(r"/api/v2/dags/[^/]+/details$")


class LazyPages:
    """The pages' app (ASGI), made when it is asked for the first time."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from carpipe_airflow.pages.app import shared_app

        await shared_app()(scope, receive, send)


class LazyChoices:
    """Adds choices to the trigger forms (ASGI); all else goes past it."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not DETAILS.search(scope["path"]):
            await self.app(scope, receive, send)
            return
        from carpipe_airflow.pages.choices import answer

        await answer(self.app, scope, receive, send)


class CarpipePlugin(AirflowPlugin):
    """carpipe in Airflow's user interface."""

    name = "carpipe"
    fastapi_apps = [{"app": LazyPages(), "url_prefix": MOUNT, "name": "carpipe pages"}]  # noqa: RUF012  # Airflow's form
    fastapi_root_middlewares = [{"middleware": LazyChoices, "name": "choices in trigger forms"}]  # noqa: RUF012
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
