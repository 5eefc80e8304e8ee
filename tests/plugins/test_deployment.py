"""The variables of a deployment: what is wrong is said, and docs/operating.md names them all."""

import re
from pathlib import Path

import pytest

from carpipe.errors import ConfigError
from carpipe.local.compose import read_services
from carpipe.local.env_file import RENAMED, make_env, read_env
from tests.deploy.test_compose import EXAMPLE, TEXT, WORKERS

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("hours", ["soon", "-1", "nan", "1e9"])
def test_hours_are_hours(monkeypatch, hours):
    from carpipe_airflow.deployment import deployment

    monkeypatch.setenv("CARPIPE_DEADLINE_H", hours)
    with pytest.raises(ConfigError, match=r"CARPIPE_DEADLINE_H = .* must be a number of hours"):
        deployment()


def test_addresses_are_separated_by_commas(monkeypatch):
    from carpipe_airflow.deployment import deployment

    monkeypatch.setenv("CARPIPE_NOTIFY_MAIL", " a@example.com,,b@example.com ")
    assert deployment().mail == ("a@example.com", "b@example.com")


def test_compose_hands_them_to_every_part_of_airflow():
    from carpipe_airflow.deployment import DEFAULTS, VARIABLES

    # A connection that is named must exist, and there is none in a new database.
    defaults = {**dict.fromkeys(VARIABLES, ""), **DEFAULTS, "CARPIPE_S3_CONNECTION": "", "CARPIPE_STATSD": ""}
    del defaults["CARPIPE_GPU_POD"]  # for Kubernetes alone
    connections = ("AIRFLOW_CONN_AWS_DEFAULT", "AIRFLOW_CONN_SMTP_DEFAULT")
    chosen = {name: f"{name} of mine" for name in (*defaults, *connections, "AIRFLOW__METRICS__STATSD_HOST")}
    given = {RENAMED.get(name, name): value for name, value in chosen.items()}
    plain, changed = (read_services(TEXT, read_env(make_env(EXAMPLE, {})) | more) for more in ({}, given))
    for name in WORKERS | {"scheduler", "dag-processor", "triggerer", "api-server"}:
        assert defaults.items() <= plain[name].environment.items(), name
        assert chosen.items() <= changed[name].environment.items(), name


def test_the_readme_names_every_variable_with_its_default():
    from carpipe_airflow.deployment import DEFAULTS, VARIABLES

    _, _, section = PAGE.partition("## What a deployment chooses")
    rows = dict(re.findall(r"^\| `(CARPIPE_\w+)` \|([^|]*)\|", section, re.MULTILINE))
    rows = {name: default.strip(" `") for name, default in rows.items()}
    assert rows == {name: DEFAULTS.get(name, "") for name in VARIABLES}
