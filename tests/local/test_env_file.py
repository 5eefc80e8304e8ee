"""`make env`: secrets that nobody else has, in a file that nobody else reads."""

import base64
import os
import re
import subprocess
import sys

import pytest

from carpipe.errors import InputError
from carpipe.local.env_file import RENAMED, main, make_env, make_worker_env, read_env
from tests.deploy.test_compose import EXAMPLE, ROOT

EMPTY = set(re.findall(r"^(\w+)=$", EXAMPLE, flags=re.MULTILINE))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / ".env.example").symlink_to(ROOT / ".env.example")
    monkeypatch.chdir(tmp_path)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "ENDPOINT_URL"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    return tmp_path


def test_the_example_holds_no_secret_and_two_files_have_none_in_common():
    first, second = (read_env(make_env(EXAMPLE, {})) for _ in range(2))
    assert len(EMPTY) == 8
    for name in EMPTY:
        assert len(first[name]) >= 20
        assert re.fullmatch(r"[\w=-]+", first[name]), "it must be able to stand inside a URL"
        assert first[name] != second[name]
    assert len(base64.urlsafe_b64decode(first["CARPIPE_FERNET_KEY"])) == 32
    assert {name: first[name] for name in first if name not in EMPTY} == {
        name: value for name, value in read_env(EXAMPLE).items() if name not in EMPTY
    }


def test_the_file_is_private_and_never_replaced(checkout, capsys):
    assert main([]) == 0
    before = (checkout / ".env").read_text()
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
    assert (checkout / "config" / "carpipe.toml").exists()

    assert main([]) == 1
    assert "already a .env" in capsys.readouterr().err
    assert (checkout / ".env").read_text() == before


def test_containers_may_read_the_settings_whatever_the_umask(checkout):
    before = os.umask(0o077)
    try:
        assert main([]) == 0
    finally:
        os.umask(before)
    assert (checkout / "config").stat().st_mode & 0o777 == 0o755
    assert (checkout / "config" / "carpipe.toml").stat().st_mode & 0o777 == 0o644


def test_a_file_of_an_earlier_version_gets_todays_names(checkout, capsys):
    new = make_env(EXAMPLE, {"CARPIPE_BIND": "10.0.0.5"})
    earlier = {name: old for old, name in RENAMED.items()}
    old = "".join(
        f"{earlier.get(line.partition('=')[0], line.partition('=')[0])}{''.join(line.partition('=')[1:])}"
        for line in new.splitlines(keepends=True)
    )
    assert "\nAWS_SECRET_ACCESS_KEY=" in old
    (checkout / ".env").write_text(old)

    for asked in (["--gpu"], ["--worker-of", "10.0.0.5", "--worker-host", "10.0.0.6"]):
        assert main(asked) == 1
        assert "AWS_ACCESS_KEY_ID" in capsys.readouterr().err
    assert main([]) == 0

    assert read_env((checkout / ".env").read_text()) == read_env(new)
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
    assert "\n# CARPIPE_CONN_SMTP_DEFAULT=" in (checkout / ".env").read_text()
    assert "Renamed AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL" in capsys.readouterr().out
    (checkout / ".env").write_text((checkout / ".env").read_text().rstrip("\n"))
    assert main([]) == 1
    assert "already a .env" in capsys.readouterr().err


def test_with_a_bucket_of_ones_own_there_is_no_s3_server(checkout, monkeypatch, capsys):
    assert main(["--store", "s3://mine/cars", "--gpu"]) == 1
    assert "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION" in capsys.readouterr().err
    for name, value in {"ACCESS_KEY_ID": "A", "SECRET_ACCESS_KEY": "S", "REGION": "eu-west-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)

    assert main(["--store", "s3://mine/cars", "--gpu"]) == 0
    made = read_env((checkout / ".env").read_text())
    assert made["COMPOSE_PROFILES"] == "gpu"
    assert (made["CARPIPE_BUCKET"], made["CARPIPE_ACCESS_KEY_ID"]) == ("s3://mine/cars", "A")
    assert made["CARPIPE_ENDPOINT_URL"] == "https://s3.eu-west-1.amazonaws.com"
    assert made["CARPIPE_REMOTE_LOG_FOLDER"] == "s3://mine/airflow-logs"


def test_temporary_keys_are_refused(checkout, monkeypatch, capsys):
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION"):
        monkeypatch.setenv(f"AWS_{name}", "x")
    assert main(["--store", "s3://mine/cars"]) == 1
    assert "AWS_SESSION_TOKEN is set" in capsys.readouterr().err
    assert not (checkout / ".env").exists()


def test_a_machine_of_workers_gets_the_queue_and_the_bucket_but_not_the_database(checkout, capsys):
    main(["--bind", "10.0.0.5"])
    assert main(["--worker-of", "10.0.0.5", "--worker-host", "10.0.0.6"]) == 0
    first, worker = (read_env((checkout / name).read_text()) for name in (".env", ".env.worker"))
    same = {name for name in EMPTY if first[name] == worker[name]}
    keys = {"CARPIPE_ACCESS_KEY_ID", "CARPIPE_SECRET_ACCESS_KEY"}
    assert same == {*keys, "CARPIPE_API_SECRET_KEY", "CARPIPE_REDIS_PASSWORD"}
    assert worker["CARPIPE_ENDPOINT_URL"] == "http://10.0.0.5:8333"
    # No port of a worker but worker-gpu can be asked for logs, so they go by the bucket, and the page looks there.
    assert first["CARPIPE_REMOTE_LOGS"] == worker["CARPIPE_REMOTE_LOGS"] == "true"
    assert (worker["CARPIPE_MAIN_HOST"], worker["CARPIPE_BIND"]) == ("10.0.0.5", "10.0.0.6")
    assert (checkout / ".env.worker").stat().st_mode & 0o777 == 0o600


def test_workers_elsewhere_need_ports_that_they_reach():
    with pytest.raises(InputError, match=r"CARPIPE_BIND=10\.0\.0\.5 and CARPIPE_REMOTE_LOGS=true"):
        make_worker_env(make_env(EXAMPLE, {}), main="10.0.0.5", host="10.0.0.6")
    elsewhere = make_env(EXAMPLE, {"CARPIPE_BIND": "10.0.0.9", "CARPIPE_REMOTE_LOGS": "true"})
    with pytest.raises(InputError, match=r"set CARPIPE_BIND=10\.0\.0\.5 in"):
        make_worker_env(elsewhere, main="10.0.0.5", host="10.0.0.6")


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::1", "here"])
def test_an_address_is_one_that_others_reach(checkout, capsys, address):
    assert main(["--bind", address]) == 1
    assert "address" in capsys.readouterr().err
    assert not (checkout / ".env").exists()


@pytest.mark.parametrize("store", ["mine", "mine/cars", "s3://", "s3:///cars", "https://mine/cars"])
def test_a_bucket_is_named_in_full(checkout, capsys, store):
    assert main(["--store", store]) == 1
    assert "is named s3://bucket/prefix" in capsys.readouterr().err
    assert not (checkout / ".env").exists()


def test_it_says_what_was_chosen(checkout, capsys):
    assert main(["--bind", "10.0.0.5", "--gpu"]) == 0
    assert "profiles s3,gpu, ports on 10.0.0.5, s3://" in capsys.readouterr().out


def test_it_runs_where_no_package_is_installed(checkout):
    command = [sys.executable, "-S", "-m", "carpipe.local.env_file"]
    done = subprocess.run(command, cwd=checkout, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_workers_elsewhere_need_a_page_that_looks_for_logs_in_the_bucket():
    with pytest.raises(InputError, match="CARPIPE_REMOTE_LOGS=true"):
        make_worker_env(make_env(EXAMPLE, {"CARPIPE_BIND": "10.0.0.5"}), main="10.0.0.5", host="10.0.0.6")


@pytest.mark.parametrize("key", ["a$HOME", "a #b", "a${B}", '"a"', "a/b+c="])
def test_keys_reach_compose_as_they_are(checkout, monkeypatch, key):
    for name, value in {"ACCESS_KEY_ID": "A", "SECRET_ACCESS_KEY": key, "REGION": "eu-west-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert main(["--store", "s3://mine/cars", "--bind", "10.0.0.5"]) == 0
    assert main(["--worker-of", "10.0.0.5", "--worker-host", "10.0.0.6"]) == 0
    for name in (".env", ".env.worker"):
        # A shell reads variables, comments and quotes in such a file as Compose does.
        command = ["sh", "-c", f'. ./{name}; printf %s "$CARPIPE_SECRET_ACCESS_KEY"']
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == key
        assert read_env((checkout / name).read_text())["CARPIPE_SECRET_ACCESS_KEY"] == key


@pytest.mark.parametrize("key", ["it's", "a\\", "a\nCARPIPE_USER=me"])
def test_a_key_that_no_env_file_can_hold_is_refused(checkout, monkeypatch, capsys, key):
    for name, value in {"ACCESS_KEY_ID": "A", "SECRET_ACCESS_KEY": key, "REGION": "eu-west-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert main(["--store", "s3://mine/cars"]) == 1
    assert "CARPIPE_SECRET_ACCESS_KEY holds" in capsys.readouterr().err
    assert not (checkout / ".env").exists()


def test_the_workers_file_says_what_it_is():
    first = make_env(EXAMPLE, {"CARPIPE_BIND": "10.0.0.5", "CARPIPE_REMOTE_LOGS": "true"})
    text = make_worker_env(first, main="10.0.0.5", host="10.0.0.6")
    assert text.startswith("# Workers for 10.0.0.5 on 10.0.0.6")
    assert "make env` copies this file" not in text


def test_a_misspelt_variable_is_refused(checkout):
    done = make("env", "GPUS=1", "GPU=1")
    assert done.returncode
    assert "GPUS" in done.stderr
    assert not (checkout / ".env").exists()


@pytest.mark.parametrize("target", ["run", "cluster", "chaos", "test"])
def test_other_targets_refuse_it_too_before_they_begin(target):
    done = make("--dry-run", target, "RAWS=photos")
    assert done.returncode
    assert "RAWS" in done.stderr


def make(*arguments):
    command = ["make", "-f", ROOT / "Makefile", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
