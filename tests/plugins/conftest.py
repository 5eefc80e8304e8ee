"""The plugins as tasks have them: on the path, in an Airflow with a home of its own and no variables set."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture(scope="session", autouse=True)
def _airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.syspath_prepend(str(PLUGINS))
        yield


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in importlib.import_module("carpipe_airflow.deployment").VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def running() -> Callable[..., AbstractContextManager[Any]]:
    """A block of code that finds a task's context as a running task does."""
    from airflow.sdk import DAG
    from airflow.sdk.execution_time.context import set_current_context

    given = {"params": {}, "dag": DAG("test", schedule=None), "dag_run": SimpleNamespace(conf={})}
    return lambda **context: set_current_context({**given, **context})
