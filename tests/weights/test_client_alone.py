"""Apps install `carpipe[client]`: nothing outside what that brings may be needed, and nothing may call home."""

import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from carpipe.config import SigningConfig
from carpipe.weights import channel, signing
from carpipe.weights.signing_keys import load_key
from tests.makers import Authority, Maker
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
    """Import names of the distributions and of all that they need on this Python."""
    found, waiting = set(), list(names)
    while waiting:
        wanted = Requirement(waiting.pop())
        name = wanted.name.lower().replace("_", "-")
        if name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += metadata.requires(name) or ()
    owners = metadata.packages_distributions().items()
    return {module for module, owned in owners if {name.lower().replace("_", "-") for name in owned} & found}


def client_dependencies(*extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    more = [name for extra in ("client", *extras) for name in project["optional-dependencies"][extra]]
    return project["dependencies"] + more


def run(code, *arguments, extras=()):
    allowed = json.dumps(sorted({*closure(*client_dependencies(*extras)), "carpipe"}))
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


SIGNED = """
from pathlib import Path
from carpipe.errors import CarpipeError
from carpipe.weights.client import open_channel
try:
    model = open_channel(sys.argv[2], endpoint=sys.argv[3], cache=Path(sys.argv[4]), trusted=sys.argv[5:])
    said = model.signed_by
except CarpipeError as error:
    said = str(error)
telemetry = [name for name in sys.modules if name.split(".")[0] in ("opentelemetry", "openvino_telemetry")
             and sys.modules[name]]
print(json.dumps({"said": said, "calls": calls, "telemetry": telemetry}))
"""


@pytest.fixture
def makers(session, live, tmp_path):
    """Two makers; the first has signed the live model, with a certificate of an authority."""
    authority = Authority(tmp_path)
    found = [Maker(tmp_path, name) for name in ("ann", "bob")]
    key = load_key(SigningConfig(key=str(authority.issue(found[0]))))
    signing.sign(session.store, channel.read_model(session.store, live.model), key)
    plain = load_key(SigningConfig(key=str(found[0].key)))
    model = channel.read_model(session.store, live.model)
    session.store.put(live.model.replace("manifest.json", f"model-{plain.id}.sig"), signing.make(model, plain))
    return {"root": authority.root, "ann": found[0].public, "bob": found[1].public, "id": plain.id}


def test_signatures_need_what_the_extra_signing_brings_and_call_nobody(session, s3, makers, tmp_path):
    def said(who, extras=("signing",)):
        done = run(SIGNED, session.store.url, s3.endpoint, tmp_path, makers[who], extras=extras)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert (answer["calls"], answer["telemetry"]) == ([], [])
        return answer["said"]

    assert said("ann") == makers["id"]
    assert said("root") == f"{makers['id']} (CN=ann)"
    assert "signing.trusted names no authority that could have issued it" in said("bob")
    assert 'install carpipe with the extra `signing`: pip install "<clone>[client,signing]"' in said("ann", extras=())


VERIFY = """
from carpipe.cli import main
address = ["--set", "store.url=" + sys.argv[2], "--set", "store.endpoint=" + sys.argv[3]]
sys.exit(main([*address, "weights", "verify", "classifier", "--trusted", sys.argv[4]]))
"""


def test_the_command_that_verifies_needs_no_more(session, s3, makers):
    def verified(who):
        return run(VERIFY, session.store.url, s3.endpoint, makers[who], extras=("signing",))

    good, bad = verified("ann"), verified("bob")

    assert (good.returncode, f"signed by {makers['id']}" in good.stdout) == (0, True), good.stderr
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith("carpipe: models/classifier/")


@pytest.mark.parametrize("module", ["pandas", "tensorflow", "cv2", "airflow"])
def test_the_test_can_fail(module):
    done = run(f"import {module}")

    assert f"{module} is not installed here" in done.stderr
