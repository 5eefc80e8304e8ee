"""The Compose file: what an operator may rely on. There need not be a Docker engine here, so it is read as data."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from carpipe.local.compose import fill_in, read_services
from carpipe.local.env_file import make_env, read_env

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.airflow.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
ONCE = {"init", "s3-keys"}
WORKERS = {"worker", "worker-train-cpu", "worker-gpu"}
SECRET = re.compile("PASSWORD|SECRET|FERNET|_CONN$|BROKER_URL|BACKEND|AUTH$|ACCESS_KEY")

every = pytest.mark.parametrize("name", SERVICES)


def test_it_is_the_topology_of_airflow_3():
    parts = {"api-server", "scheduler", "dag-processor", "triggerer", "init", "postgres", "redis", "seaweedfs", "serve"}
    assert parts | WORKERS <= set(SERVICES)
    queues = {name: SERVICES[name]["command"][-1] for name in WORKERS}
    assert queues == {"worker": "default", "worker-train-cpu": "gpu", "worker-gpu": "gpu"}


@every
def test_ports_are_opened_on_loopback_unless_told_otherwise(name):
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"\$\{CARPIPE_BIND:-127\.0\.0\.1\}:(\d+):\1", port), port
    assert SERVICES[name].get("network_mode", "none") == "none"
    assert "CARPIPE_BIND=127.0.0.1\n" in EXAMPLE


def test_the_database_opens_no_port():
    assert "ports" not in SERVICES["postgres"]


@every
def test_images_are_pinned(name):
    image = SERVICES[name]["image"]
    if image.startswith("carpipe"):
        assert re.fullmatch(r"carpipe(-gpu)?:\$\{CARPIPE_TAG:-" + re.escape(VERSION) + r"\}", image)
        assert f"CARPIPE_TAG={VERSION}\n" in EXAMPLE
    else:
        assert re.search(r":\d+\.\d+(\.\d+)?(-bookworm)?$", image), image


@every
def test_no_secret_is_written_down_or_has_a_default(name):
    for key, value in SERVICES[name].get("environment", {}).items():
        if SECRET.search(key) and "PASSWORDS_FILE" not in key:
            assert re.search(r"\$\{\w+:\?.+?\}", value), f"{key}: {value}"
    used = re.findall(r"\$\{(\w+)(:[-?])?", str(SERVICES[name]))
    for variable, kind in used:
        if variable.startswith("CARPIPE_SERVE_"):
            continue  # the bucket's own stand in for them
        if SECRET.search(variable) or variable.endswith("_KEY"):
            assert kind == ":?", variable


@every
def test_each_restarts_is_checked_and_keeps_its_log_short(name):
    service = SERVICES[name]
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "20m", "max-file": "5"}}
    if name in ONCE:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@every
def test_each_gives_up_what_it_has_no_use_for(name):
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["DAC_OVERRIDE"] if name == "seaweedfs" else [])


@every
def test_each_takes_a_part_of_the_machine_and_no_more(name):
    service = SERVICES[name]
    assert 0 < service["pids_limit"] <= 4096
    assert re.fullmatch(r"\d+g", str(fill_in(service["mem_limit"], {})))


def test_images_of_others_have_digests_in_a_file_of_their_own():
    pinned = yaml.safe_load((ROOT / "docker-compose.digests.yml").read_text(encoding="utf-8"))["services"]
    for name, service in SERVICES.items():
        if "build" in service:
            [(base, digest)] = pinned[name]["build"]["additional_contexts"].items()
            dockerfile = (ROOT / service["build"]["dockerfile"]).read_text(encoding="utf-8")
            assert set(re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE)) == {base}
            assert re.fullmatch(rf"docker-image://{base}@sha256:[0-9a-f]{{64}}", digest)
        elif name != "redis":  # no digest of its tag is known
            assert re.fullmatch(re.escape(service["image"]) + "@sha256:[0-9a-f]{64}", pinned[name]["image"])
    assert set(SERVICES) - set(pinned) == {"redis"}


def test_the_health_of_the_api_is_asked_at_a_port_that_nobody_outside_reaches():
    serve = SERVICES["serve"]
    [port] = re.findall(r"health_port=(\d+)", " ".join(serve["command"]))
    assert serve["healthcheck"]["test"][-1] == f"http://localhost:{port}"
    assert not any(port in opened for opened in serve["ports"])


def test_what_shells_have_for_other_things_changes_nothing():
    # Compose prefers a variable of the shell to `.env`. These are read by AWS' tools, PostgreSQL, Airflow and carpipe's
    # own command line; all others are named by us, for this file alone.
    shells = re.compile("(AWS|POSTGRES|PG|REDIS|AIRFLOW|S3|DB)_|CARPIPE_(STORE|CONFIG)$")
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    assert {name for name in used if not name.startswith("CARPIPE_") or shells.match(name)} == set()


def test_every_variable_is_explained_in_the_example():
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    explained = set(re.findall(r"^(?:# )?(\w+)=", EXAMPLE, flags=re.MULTILINE))
    assert used - explained == set()
    assert explained - used == {"COMPOSE_FILE", "COMPOSE_PROFILES"}


def test_the_api_may_have_keys_of_its_own_and_nobody_else_gets_them():
    variables = read_env(make_env(EXAMPLE, {}))
    own = {"CARPIPE_SERVE_ACCESS_KEY_ID": "reader", "CARPIPE_SERVE_SECRET_ACCESS_KEY": "of models"}
    for name, service in read_services(TEXT, variables | own).items():
        given = service.environment.get("AWS_ACCESS_KEY_ID"), service.environment.get("AWS_SECRET_ACCESS_KEY")
        assert (given == tuple(own.values())) == (name == "serve"), name
    assert (
        read_services(TEXT, variables)["serve"].environment["AWS_ACCESS_KEY_ID"] == variables["CARPIPE_ACCESS_KEY_ID"]
    )


def test_logs_in_the_bucket_are_out_of_reach_of_gc():
    variables = read_env(EXAMPLE)
    assert not f"{variables['CARPIPE_REMOTE_LOG_FOLDER']}/".startswith(f"{variables['CARPIPE_BUCKET']}/")
    given = read_services(TEXT, read_env(make_env(EXAMPLE, {})))["worker"].environment
    assert given["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"] == variables["CARPIPE_REMOTE_LOG_FOLDER"]


def test_figures_of_airflow_are_sent_as_by_its_own_defaults():
    from airflow.configuration import conf

    for name, value in read_services(TEXT, read_env(make_env(EXAMPLE, {})))["scheduler"].environment.items():
        if name.startswith("AIRFLOW__METRICS__"):
            assert value.lower() == conf.get_default_value("metrics", name.rpartition("__")[2].lower()).lower()


def test_workers_are_given_neither_the_database_nor_what_signs_logins():
    for name in WORKERS | {"serve"}:
        given = str(SERVICES[name]["environment"])
        for secret in ("POSTGRES_PASSWORD", "CARPIPE_FERNET_KEY", "CARPIPE_JWT_SECRET", "CARPIPE_PASSWORD"):
            assert secret not in given, f"{name}: {secret}"


def networks(name):
    """Of a service, by Compose's rules."""
    service = SERVICES[name]
    return set() if "network_mode" in service else set(service.get("networks", ["default"]))


def test_the_api_reaches_the_s3_server_and_nothing_else():
    assert {name for name in SERVICES if networks(name) & networks("serve")} == {"serve", "seaweedfs"}
    assert networks("serve") | networks("seaweedfs") == set(COMPOSE["networks"])
    assert networks("s3-keys") == set()


def test_the_s3_servers_key_is_in_no_other_container():
    holders = {name for name, entry in SERVICES.items() if "s3-keys:" in str(entry.get("volumes"))}
    assert holders == {"s3-keys", "seaweedfs"}
    folder = SERVICES["s3-keys"]["command"][-1]
    assert SERVICES["s3-keys"]["volumes"] == [f"s3-keys:{folder}"]
    assert f"s3-keys:{folder}:ro" in SERVICES["seaweedfs"]["volumes"]
    assert SERVICES["seaweedfs"]["command"][0] == f"-config_dir={folder}"
    assert SERVICES["seaweedfs"]["depends_on"] == {"s3-keys": {"condition": "service_completed_successfully"}}
    # A new volume takes owner and mode of the image's folder.
    assert f"-m 700 {folder}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_gpu_worker_asks_for_a_gpu_and_only_in_its_profile():
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    assert SERVICES["worker-train-cpu"]["profiles"] == ["cpu"]
    assert SERVICES["seaweedfs"]["profiles"] == SERVICES["s3-keys"]["profiles"] == ["s3"]
    assert [name for name, entry in SERVICES.items() if "deploy" in entry] == ["worker-gpu"]


def test_a_plain_up_takes_both_queues_and_has_a_bucket():
    assert read_env(make_env(EXAMPLE, {}))["COMPOSE_PROFILES"] == "s3,cpu"


def test_named_volumes_are_declared_and_used():
    used = {volume.split(":")[0] for entry in SERVICES.values() for volume in entry.get("volumes", ())}
    assert {name for name in used if not name.startswith("$")} == set(COMPOSE["volumes"])


def test_celery_hands_out_one_task_at_a_time_and_waits_for_the_longest_training():
    given = SERVICES["worker"]["environment"]
    assert given["AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER"] == "1"
    assert given["AIRFLOW__CELERY__TASK_ACKS_LATE"] == "true"
    # A training may last 20 h by default; handed out again meanwhile, it would run twice.
    assert int(given["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) > 24 * 3600


def test_tasks_may_wait_for_a_worker_as_long_as_a_run_of_many_partitions_makes_them():
    queued_s = float(SERVICES["scheduler"]["environment"]["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"])
    # 16 tasks of a run are queued at a time by Airflow's default; here to one slot, half an hour each.
    assert queued_s > 16 * 1800
    # The key of a task whose message is delivered again, though it was begun, should be of no use.
    visible_s = SERVICES["worker"]["environment"]["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]
    assert queued_s < float(visible_s)


@pytest.mark.parametrize("profiles", ["s3,cpu", "s3,gpu", "gpu"])
def test_docker_compose_accepts_it(profiles, tmp_path):
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("no `docker compose` here; the other tests read the file as data")
    env = tmp_path / ".env"
    env.write_text(make_env(EXAMPLE, {"COMPOSE_PROFILES": profiles}), encoding="utf-8")
    command = ["docker", "compose", "--env-file", env, "-f", ROOT / "docker-compose.airflow.yml", "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
