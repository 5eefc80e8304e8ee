"""Apps install `carpipe[client]`: nothing outside what that brings may be needed, and nothing may call home."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from tests.tiny import CLASSES, Tiny, crop_files, go_live, publish

ROOT = Path(__file__).parents[2]

# Refuses every import that is neither Python's nor among the allowed, and notes who opens connections from Python.
ALONE = """
import json, sys
allowed = set(json.loads(sys.argv[1])) | set(sys.stdlib_module_names)
calls = []
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)
sys.meta_path.insert(0, Refuse())
sys.addaudithook(lambda event, args: calls.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
"""

CLIENT = """
from pathlib import Path
import numpy
from carpipe.weights.client import open_channel
model = open_channel(sys.argv[2], endpoint=sys.argv[3], cache=Path(sys.argv[4]))
scores = model.predict(numpy.zeros((2, model.side, model.side, 3), numpy.uint8))
heavy = [name for name in ("pandas", "pyarrow", "cv2", "keras", "openvino_telemetry") if sys.modules.get(name)]
print(json.dumps({"shape": scores.shape, "classes": model.classes, "heavy": heavy, "calls": calls}))
"""


def closure(*names):
    """Import names of the distributions and of all that they need."""
    found, waiting = set(), list(names)
    while waiting:
        name = re.split(r"[^\w.-]", waiting.pop())[0].lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        waiting += [need for need in metadata.requires(name) or () if "extra ==" not in need]
    owners = metadata.packages_distributions().items()
    return {module for module, owned in owners if {name.lower().replace("_", "-") for name in owned} & found}


def client_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"] + project["optional-dependencies"]["client"]


def run(code, *arguments):
    allowed = json.dumps(sorted({*closure(*client_dependencies()), "carpipe"}))
    return subprocess.run(
        [sys.executable, "-c", ALONE + code, allowed, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


@pytest.fixture
def live(session):
    return go_live(session, publish(session, Tiny().files() | crop_files()))


def test_a_pull_needs_what_the_client_extra_brings_and_no_more(session, s3, live, tmp_path):
    done = run(CLIENT, session.store.url, s3.endpoint, tmp_path)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "shape": [2, len(CLASSES)],
        "classes": list(CLASSES),
        "heavy": [],
        "calls": [],  # S3 is spoken to by obstore, below Python: whoever else appears here calls home
    }


@pytest.mark.parametrize("module", ["pandas", "tensorflow", "cv2", "airflow"])
def test_the_test_can_fail(module):
    done = run(f"import {module}")

    assert f"{module} is not installed here" in done.stderr
