"""From the Compose file to processes: what is the file's stays, and what must differ does."""

import pytest

from carpipe.local.topology import Shape, read_topology
from tests.deploy.test_compose import ROOT, TEXT

BUCKET = {
    "CARPIPE_STORE": "s3://b/p",
    "AWS_ACCESS_KEY_ID": "A",
    "AWS_SECRET_ACCESS_KEY": "S",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:8333",
}


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    return lambda **shape: read_topology(TEXT, tmp_path, shape=Shape(**shape), variables=BUCKET)


def test_each_worker_has_a_name_of_its_own_and_the_files_queue(read):
    workers = {one.name: one for one in read(workers=3).instances if one.name.startswith("worker")}
    assert list(workers) == ["worker-1", "worker-2", "worker-3", "worker-gpu"]
    queues = [one.command[one.command.index("--queues") + 1] for one in workers.values()]
    assert queues == ["default", "default", "default", "gpu"]
    assert [one.environment["CARPIPE_WORKER"] for one in workers.values()] == list(workers)
    assert len({one.environment["CARPIPE_CELERY"] for one in workers.values()}) == 4


def test_ports_and_folders_are_those_here_and_the_bucket_is_left_alone(read, tmp_path):
    topology = read()
    server = next(one for one in topology.instances if one.name == "api-server")
    port = str(topology.ports["8080"])
    assert port != "8080"
    assert server.environment["AIRFLOW__API__PORT"] == port
    assert server.environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert server.environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"http://127.0.0.1:{port}/execution/"
    assert f"@127.0.0.1:{topology.ports['5432']}/airflow" in server.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert f"@127.0.0.1:{topology.ports['6379']}/0" in server.environment["AIRFLOW__CELERY__BROKER_URL"]
    assert server.environment["AIRFLOW__CORE__DAGS_FOLDER"] == str(ROOT / "dags")
    assert server.environment["AIRFLOW_HOME"] == str(tmp_path)
    assert server.environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:8333"
    assert server.service.check[-1] == f"http://localhost:{port}"
    given = [value for one in topology.instances for value in (*one.environment.values(), *one.command)]
    assert [value for value in given if "0.0.0.0" in value or "/opt/" in value] == []


def test_no_log_server_listens_since_it_would_on_all_interfaces(read):
    serves_logs = {"scheduler", "triggerer"} | {name for name in names(read()) if name.startswith("worker")}
    for one in read().instances:
        assert ("--skip-serve-logs" in one.command) == (one.name in serves_logs), one.name


def test_the_gpu_workers_settings_are_taken_where_there_is_a_gpu(read):
    cpu, gpu = (next(one for one in read(gpu=gpu).instances if one.name == "worker-gpu") for gpu in (False, True))
    assert (cpu.service.name, gpu.service.name) == ("worker-train-cpu", "worker-gpu")


def test_services_can_be_left_out(read):
    assert names(read()) - names(read(without=("serve", "housekeeping"))) == {"serve", "housekeeping"}


def names(topology) -> set[str]:
    return {one.name for one in topology.instances}
