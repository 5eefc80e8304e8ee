"""Airflow's API server with an empty database and our DAGs, in one process: python server.py PORT.

Says first, in one line of JSON, which routes the pages have.
"""

import json
import sys

import uvicorn
from airflow.cli.cli_parser import get_parser


def routes() -> list[tuple[str, str]]:
    """(method, path) of every route of the pages, from the app itself."""
    from carpipe_airflow.pages.app import make_app

    # A mounted app or a route of another kind has no methods, and so fails here: think about its rights first.
    return [(method, route.path) for route in make_app().routes for method in sorted(route.methods)]


def main() -> None:
    """Migrate, read the DAGs, serve."""
    parser = get_parser()
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        options = parser.parse_args(command)
        options.func(options)
    print(f"\nROUTES {json.dumps(routes())}", flush=True)
    from airflow.api_fastapi.main import app

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
