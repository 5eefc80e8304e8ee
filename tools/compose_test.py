"""The Compose file for real: built, started, one night on it, a worker killed, taken down. `make compose-test`.

    python tools/compose_test.py [--keep] [--bind 127.0.0.77] [--images cpu gpu]

It is a project of its own: other names, volumes, ports and tags than those of a carpipe that runs here. What a machine
lacks is said in a sentence, and then nothing is done.
"""

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from carpipe.errors import CarpipeError
from carpipe.local.env_file import make_env, read_env
from carpipe.local.rest import AirflowClient
from carpipe.sample import draw_world

ROOT = Path(__file__).parents[1]
SETTINGS = ROOT / "carpipe" / "sample" / "sample.toml"
SERVICES = {"cpu": "init", "gpu": "worker-gpu"}  # that have the image
LISTINGS = 90
RUN_S = 2400.0  # a run may take, on two cores


def main() -> int:
    """Run the test; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the services running, with all that they have made")
    parser.add_argument("--bind", default="127.0.0.77", help="address that the ports are opened on")
    parser.add_argument(
        "--images", nargs="+", choices=SERVICES, default=list(SERVICES), help="which to build; the CPU one runs"
    )
    options = parser.parse_args()
    if lacking := what_is_lacking():
        print(f"compose-test is skipped: {lacking}")
        return 0
    with tempfile.TemporaryDirectory(prefix="carpipe-compose-") as folder:
        project = Project(Path(folder), options.bind)
        try:
            night(project, options.images)
        except (CarpipeError, subprocess.CalledProcessError, httpx.HTTPError) as error:
            print(f"compose-test failed: {error}", file=sys.stderr)
            with suppress(subprocess.CalledProcessError):
                print(project.compose("logs", "--tail", "30"), file=sys.stderr)
            return 1
        finally:
            if not options.keep:
                with figure("down", project.figures):
                    project.compose("down", "--volumes", "--timeout", "30")
        project.tell()
    return 0


def what_is_lacking() -> str:
    """Why there can be no such test here; empty: nothing."""
    if shutil.which("docker") is None:
        return "there is no `docker` on this machine."
    for command, without in (("compose version", "Docker has no `compose`"), ("info", "no container engine answers")):
        if subprocess.run(["docker", *command.split()], capture_output=True, check=False).returncode:  # noqa: S607
            return f"{without}: `docker {command}` fails."
    return ""


class Project:
    """A Compose project of this test's own."""

    def __init__(self, folder: Path, bind: str):
        """Write its `.env` and settings into a folder."""
        self.name = f"carpipe-test-{secrets.token_hex(3)}"
        self.folder, self.bind = folder, bind
        self.figures: dict[str, float | str] = {}
        config = folder / "config"
        config.mkdir()
        shutil.copy(SETTINGS, config / "carpipe.toml")
        for place, mode in ((folder, 0o755), (config, 0o755), (config / "carpipe.toml", 0o644)):
            place.chmod(mode)  # the containers' account reads it
        changes = {
            "CARPIPE_BIND": bind, "CARPIPE_TAG": "compose-test", "CARPIPE_CONFIG_DIR": str(config),
            "CARPIPE_URL": f"http://{bind}:8080",
        }  # fmt: skip
        text = make_env((ROOT / ".env.example").read_text("utf-8"), changes)
        (folder / ".env").write_text(text, encoding="utf-8")
        self.env = read_env(text)
        # What a shell has for other things: none of it may get in.
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("CARPIPE_", "COMPOSE_"))}
        self.shell = {**plain, "AWS_ACCESS_KEY_ID": "of-the-shell", "AWS_SECRET_ACCESS_KEY": "of-the-shell"}
        self.shell |= {"AWS_ENDPOINT_URL": "http://nowhere.invalid", "POSTGRES_PASSWORD": "of-the-shell"}

    def compose(self, *arguments: str) -> str:
        """What a `docker compose` of the project prints. Raises CalledProcessError where it fails."""
        command = ["docker", "compose", "-p", self.name, "--env-file", str(self.folder / ".env")]
        command += ["--project-directory", str(ROOT), "-f", str(ROOT / "docker-compose.airflow.yml"), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=self.shell).stdout

    def client(self) -> AirflowClient:
        """Of its Airflow."""
        user, password = self.env["CARPIPE_USER"], self.env["CARPIPE_PASSWORD"]
        return AirflowClient(f"http://{self.bind}:8080", user=user, password=password, tell=print)

    def tell(self) -> None:
        """Print the figures."""
        for name, value in self.figures.items():
            print(f"{name:<44} {value if isinstance(value, str) else f'{value:.0f} s'}")


@contextmanager
def figure(name: str, figures: dict[str, float | str]) -> Iterator[None]:
    """Note how long it takes."""
    print(f"== {name}", flush=True)
    started = time.monotonic()
    yield
    figures[name] = time.monotonic() - started


def night(project: Project, images: list[str]) -> None:
    """From nothing to an answer of the API."""
    for kind in images:
        with figure(f"build the {kind} image", project.figures):
            project.compose("build", "--quiet", SERVICES[kind])
        project.figures[f"size of the {kind} image"] = size_of(kind)
    world = draw_world(project.folder / "world", listings=LISTINGS, workers=os.cpu_count() or 1)
    for place in (world.raw, world.labels):
        subprocess.run(["chmod", "-R", "a+rX", place], check=True)  # noqa: S607
    with figure("up, until all are well", project.figures):
        project.compose("up", "--detach", "--wait", "--wait-timeout", "900")
    with figure("upload photos and labels", project.figures):
        once(project, world.raw, "/photos", "upload", "/photos")
        once(project, world.labels, "/labels.csv", "labels", "import", "/labels.csv")
    with project.client() as client:
        for dag in ("train_filter", "prepare_dataset", "retrain_classifier", "promote_weights"):
            client.wait_for_dag(dag, timeout=120)
            client.unpause(dag)
        with figure("train_filter", project.figures):
            run(client, "train_filter")
        with figure("prepare_dataset, its worker killed", project.figures):
            prepare(project, client)
        with figure("retrain_classifier", project.figures):
            wait_for_training(client)
    with figure("an answer of the API", project.figures):
        project.figures["it says"] = ask(project, next(world.raw.rglob("*_1_*.jpg")))


def size_of(kind: str) -> str:
    """Of an image, with what its layers have."""
    image = f"carpipe{'-gpu' * (kind == 'gpu')}:compose-test"
    listed = subprocess.run(
        ["docker", "history", "--format", "{{json .}}", "--human=false", image],  # noqa: S607
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    layers = [json.loads(line) for line in listed.splitlines()]
    sizes = [(int(layer["Size"]), str(layer["CreatedBy"])) for layer in layers]
    large = [f"{size / 1e9:.2f} GB {text[:60]}" for size, text in sizes if size > 5e7]
    return f"{sum(size for size, _ in sizes) / 1e9:.2f} GB: {'; '.join(large)}"


def once(project: Project, here: Path, there: str, *command: str) -> None:
    """A command of carpipe in a container of its own, as docs/docker-compose.md has it."""
    project.compose("run", "--rm", "--no-deps", "-v", f"{here}:{there}:ro", "worker", "carpipe", *command)


def run(client: AirflowClient, dag: str) -> None:
    """Run a DAG to its end."""
    done = client.wait_for_run(dag, client.trigger(dag, {}), timeout=RUN_S)
    if done.state != "success":
        raise CarpipeError(f"{dag} has ended with {done.state}.")


def prepare(project: Project, client: AirflowClient) -> None:
    """Make a dataset; the worker is killed while it cleans, and comes back."""
    begun = client.trigger("prepare_dataset", {})
    deadline = time.monotonic() + RUN_S
    while not any(at_work(task) for task in client.task_instances("prepare_dataset", begun)):
        if time.monotonic() > deadline:
            raise CarpipeError("prepare_dataset did not begin to clean.")
        time.sleep(0.5)
    project.compose("kill", "worker")
    project.compose("up", "--detach", "--no-deps", "worker")
    done = client.wait_for_run("prepare_dataset", begun, timeout=RUN_S)
    if done.state != "success":
        raise CarpipeError(f"prepare_dataset has ended with {done.state}.")
    tries = max(task.try_number for task in client.task_instances("prepare_dataset", begun))
    project.figures["tries of the task whose worker was killed"] = str(tries)


def at_work(task: Any) -> bool:
    """Whether it cleans a partition."""
    return "clean" in task.task_id and task.state == "running"


def wait_for_training(client: AirflowClient) -> None:
    """The run that the new dataset starts."""
    deadline = time.monotonic() + 120
    while (newest := client.newest_run("retrain_classifier")) is None:
        if time.monotonic() > deadline:
            raise CarpipeError("The new dataset has started no training.")
        time.sleep(1)
    done = client.wait_for_run("retrain_classifier", newest, timeout=RUN_S)
    if done.state != "success":
        raise CarpipeError(f"retrain_classifier has ended with {done.state}.")


def ask(project: Project, photo: Path) -> str:
    """What the API says of a photo, once it has the published weights."""
    with httpx.Client(base_url=f"http://{project.bind}:5000", timeout=60, trust_env=False) as api:
        deadline = time.monotonic() + 180
        while api.get("/healthz").status_code != 200:
            if time.monotonic() > deadline:
                raise CarpipeError(f"The API has no weights: {api.get('/healthz').text}")
            time.sleep(1)
        answer = api.post("/predict", files=[("file", (photo.name, photo.read_bytes()))])
    if answer.status_code != 200:
        raise CarpipeError(f"The API answers {answer.status_code}: {answer.text[:200]}")
    return f"{answer.json()['prediction']!r} of {photo.parent.name}"


if __name__ == "__main__":
    sys.exit(main())
