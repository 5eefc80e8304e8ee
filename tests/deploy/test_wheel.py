"""The wheel: what is in it, and that apps can use it on each Python that they have."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest

from carpipe.local.ports import free_ports
from carpipe.pictures.detection.ultralytics_runtime import converted
from carpipe.sample import DETECTOR, draw_world
from carpipe.weights.client import open_channel
from tests.serving.conftest import wait_for
from tests.tiny import Tiny, crop_files, go_live, publish

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
PYTHONS = [version for version in ("3.10", "3.11", "3.12", "3.13") if version != "{}.{}".format(*sys.version_info)]
# So that a release of tomorrow breaks nothing.
NO_LATER_THAN = "2026-11-29"

APP = """
import json, sys
import numpy as np
from carpipe.weights.client import open_channel
model = open_channel(sys.argv[1], endpoint=sys.argv[2], cache=sys.argv[3])
pictures = np.random.default_rng(0).integers(0, 256, (2, model.side, model.side, 3), np.uint8)
print(json.dumps({"scores": model.predict(pictures).tolist(), "python": sys.version_info[:2]}))
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (file,) = folder.glob("carpipe-*.whl")
    return file


def interpreter(version):
    """A Python of that version on this machine, or None. Shims of pyenv are no proof that there is one."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python{version}"))]
    for place in filter(None, places):
        if subprocess.run([place, "--version"], capture_output=True, check=False).returncode == 0:
            return str(place)
    return None


@pytest.fixture(scope="module", params=PYTHONS)
def app(request, wheel, tmp_path_factory):
    """The folder of programs of an environment with the extras for apps, on another Python."""
    if (python := interpreter(request.param)) is None:
        pytest.skip(f"there is no Python {request.param} here")
    place = tmp_path_factory.mktemp("app") / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", python, place], check=True)
    there = ["--python", place / "bin" / "python", "--exclude-newer", NO_LATER_THAN]
    command = [UV, "pip", "install", "--quiet", *there, f"{wheel}[client,serving,signing]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "error sending request" in done.stderr or "dns error" in done.stderr:
        pytest.skip("the registry of packages cannot be reached")
    assert done.returncode == 0, done.stderr
    return place / "bin"


@pytest.fixture
def live(session):
    """A model whose detector needs no ultralytics."""
    folder = converted(DETECTOR, image_size=320).parent
    policy = json.loads(crop_files(image_size=320)["crop.json"]) | {"detector": "detector/found"}
    files = {f"detector/found/{file.name}": file.read_bytes() for file in folder.iterdir()}
    return go_live(session, publish(session, Tiny().files() | files | {"crop.json": json.dumps(policy).encode()}))


def test_the_wheel_holds_what_airflow_looks_for(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("dags", "plugins"):
        wanted = {file.relative_to(ROOT).as_posix() for file in (ROOT / folder).rglob("*") if file.suffix != ".pyc"}
        wanted = {name for name in wanted if (ROOT / name).is_file()}
        assert wanted <= {name.partition("/share/carpipe/")[2] for name in names}
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "dags/", "plugins/"))]


def test_airflow_finds_the_folders_of_an_installed_wheel(wheel, tmp_path):
    place = tmp_path / "lib"
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--target", place, wheel], cwd=tmp_path, check=True
    )

    done = subprocess.run(
        [sys.executable, "-m", "carpipe.cli", "airflow-folders"],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(place)},
    )  # fmt: skip

    share = place / "share" / "carpipe"
    assert done.stdout.splitlines() == [
        f"AIRFLOW__CORE__DAGS_FOLDER={share / 'dags'}",
        f"AIRFLOW__CORE__PLUGINS_FOLDER={share / 'plugins'}",
    ]
    assert (share / "plugins" / "carpipe_plugin.py").is_file()


def test_an_app_gets_the_same_answers_on_each_python(app, session, s3, live, tmp_path):
    done = subprocess.run(
        [app / "python", "-c", APP, session.store.url, s3.endpoint, tmp_path],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["python"] != list(sys.version_info[:2])
    here = open_channel(session.store.url, endpoint=s3.endpoint, cache=tmp_path / "here")
    pictures = np.random.default_rng(0).integers(0, 256, (2, here.side, here.side, 3), np.uint8)
    np.testing.assert_allclose(found["scores"], here.predict(pictures), atol=1e-5)


def test_the_api_answers_photos_on_each_python(app, session, s3, live, tmp_path):
    world = draw_world(tmp_path / "world", seed=3, listings=2)
    photo = next(world.raw.rglob("*_1_*.jpg"))
    (port,) = free_ports(1)
    settings = {"store.url": session.store.url, "store.endpoint": s3.endpoint, "serving.cache": tmp_path / "cache"}
    given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    command = [app / "carpipe", *given, "serve", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                wait_for(lambda: answers(client))
                answer = client.post("/predict", files=[("file", (photo.name, photo.read_bytes()))])
        finally:
            server.terminate()
            said = server.stderr.read()
    assert answer.status_code == 200, said
    assert "Traceback" not in said


def answers(client):
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
