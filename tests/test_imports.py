"""Airflow parses the DAG files for every task: importing steps and DAGs must stay cheap."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "torch", "ultralytics", "great_expectations", "pandas", "pyarrow", "scipy", "sklearn",
         "cleanlab")  # fmt: skip


def loaded_by(code: str, tmp_path: Path, packages: tuple[str, ...] = HEAVY) -> set[str]:
    """Which of the packages, heavy ones as a rule, a fresh interpreter has loaded after the code."""
    report = f"import sys; {code}; print(*(set({packages!r}) & set(sys.modules)))"
    return set(run_alone(report, tmp_path).splitlines()[-1].split())


def run_alone(code: str, tmp_path: Path) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}:{ROOT / 'dags'}", "PATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


STEPS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "carpipe" / "steps").rglob("[a-z]*.py")
)


# A process of its own for each module, forked from one that holds what all of them may load.
FORKED = f"""
import json, os, sys, traceback
import carpipe.cli

for module in {[*STEPS, "carpipe.photos"]}:
    if not os.fork():
        try:
            __import__(module)
            said = sorted(set({HEAVY}) & set(sys.modules))
        except BaseException:
            said = [traceback.format_exc()]
        print(json.dumps([module, said]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def loaded_by_step(tmp_path_factory):
    """The heavy packages that each module of steps has loaded, by its name."""
    done = run_alone(FORKED, tmp_path_factory.mktemp("steps"))
    return dict(json.loads(line) for line in done.splitlines())


@pytest.mark.parametrize("module", STEPS)
def test_steps_load_nothing_heavy(module, loaded_by_step):
    assert loaded_by_step[module] == []


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "dags").glob("*.py")))
def test_parsing_a_dag_loads_nothing_heavy(name, tmp_path):
    told = "import os; os.environ['CARPIPE_STORE'] = 's3://mine'"  # settings are read then, for the forms
    packages = (*HEAVY, "carpipe.config", "fastapi")
    assert loaded_by(f"{told}; import {name}", tmp_path, packages) == {"carpipe.config"}


def test_the_plugin_loads_no_page_before_it_is_asked_for(tmp_path):
    """Every Airflow process loads it, tasks included."""
    pages = ("fastapi", "obstore", "carpipe.config", "carpipe.steps", "carpipe_airflow.pages.app")
    assert loaded_by("import carpipe_plugin", tmp_path, pages) == set()


def test_the_pages_load_nothing_heavy(tmp_path):
    assert loaded_by("import carpipe_airflow.pages.app", tmp_path) == set()


def test_shards_are_written_without_tensorflow(tmp_path):
    assert "tensorflow" not in loaded_by("import carpipe.tfrecord, carpipe.stages.pack", tmp_path)


def test_the_tests_can_fail(loaded_by_step, tmp_path):
    assert "pandas" in loaded_by("import carpipe.photos", tmp_path)
    assert "pandas" in loaded_by_step["carpipe.photos"]
