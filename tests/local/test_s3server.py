"""The embedded S3 server, for real: what it keeps, what it refuses, and how it ends."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from carpipe import scratch
from carpipe.errors import InputError, StoreError
from carpipe.local import processes, s3server, state


def client(settings: s3server.S3Settings, *, secret_key: str = "", bucket: str = "") -> S3Store:
    return S3Store(
        bucket or settings.bucket,
        endpoint=settings.endpoint,
        region="us-east-1",
        access_key_id=settings.access_key,
        secret_access_key=secret_key or settings.secret_key,
        client_options={"allow_http": True},
        retry_config={"max_retries": 1},
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the server that most tests share."""
    return tmp_path_factory.mktemp("s3")


@pytest.fixture(scope="module")
def settings(shared: Path) -> Iterator[s3server.S3Settings]:
    with s3server.s3server(shared) as found:
        yield found
    assert processes.pids(shared / "s3") == []


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    state.stop_all(tmp_path)


def test_create_only_if_absent_fails_the_second_time(settings: s3server.S3Settings) -> None:
    store = client(settings)
    obstore.put(store, "once", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "once", b"second", mode="create")
    assert bytes(obstore.get(store, "once").bytes()) == b"first"


def test_replace_only_if_unchanged_fails_when_stale(settings: s3server.S3Settings) -> None:
    store = client(settings)
    stale = obstore.put(store, "swapped", b"1")["e_tag"]
    obstore.put(store, "swapped", b"2", mode={"e_tag": stale})
    with pytest.raises(PreconditionError):
        obstore.put(store, "swapped", b"3", mode={"e_tag": stale})
    assert bytes(obstore.get(store, "swapped").bytes()) == b"2"


def test_wrong_credentials_are_refused(settings: s3server.S3Settings) -> None:
    with pytest.raises(BaseError):
        list(obstore.list(client(settings, secret_key="wrong")))


def test_many_buckets_fit(settings: s3server.S3Settings) -> None:
    for number in range(12):
        store = client(settings, bucket=f"bucket-{number}")
        obstore.put(store, "photo", bytes(100_000))
        assert obstore.head(store, "photo")["size"] == 100_000


def test_environment_is_enough_for_a_client(settings: s3server.S3Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in settings.env().items():
        monkeypatch.setenv(key, value)
    store = S3Store(settings.bucket)
    obstore.put(store, "by-environment", b"1")
    assert obstore.head(store, "by-environment")["size"] == 1


def test_restart_keeps_objects_and_credentials(home: Path) -> None:
    first = s3server.start_s3(home)
    obstore.put(client(first.settings), "raw/kept.jpg", b"photo")
    first.stop()
    assert processes.pids(home / "s3") == []

    again = s3server.start_s3(home)
    assert bytes(obstore.get(client(again.settings), "raw/kept.jpg").bytes()) == b"photo"
    assert again.settings.secret_key == first.settings.secret_key
    assert not again.reused


def test_kill_keeps_objects_and_the_next_start_recovers(home: Path) -> None:
    first = s3server.start_s3(home)
    port = int(first.settings.endpoint.rpartition(":")[2])
    for number in range(200):
        obstore.put(client(first.settings), f"raw/{number}.jpg", b"photo")
    os.kill(first.pid, signal.SIGKILL)

    again = s3server.start_s3(home, port=port)
    assert again.pid != first.pid
    assert sum(len(batch) for batch in obstore.list(client(again.settings))) == 200
    assert bytes(obstore.get(client(again.settings), "raw/199.jpg").bytes()) == b"photo"


def test_second_start_finds_the_running_server(shared: Path, settings: s3server.S3Settings) -> None:
    again = s3server.start_s3(shared)
    assert again.reused
    assert again.settings == settings


def test_running_server_is_not_taken_for_one_on_another_port(shared: Path, settings: s3server.S3Settings) -> None:
    port = int(settings.endpoint.rpartition(":")[2])
    with pytest.raises(InputError, match=rf"already runs on port {port} .*make stop"):
        s3server.start_s3(shared, port=port + 1)


def test_servers_of_several_homes_do_not_mix(home: Path, settings: s3server.S3Settings) -> None:
    other = s3server.start_s3(home)
    obstore.put(client(settings), "mine", b"1")
    with pytest.raises(FileNotFoundError):
        obstore.head(client(other.settings), "mine")


def test_port_that_used_to_be_an_internal_one_can_be_chosen(home: Path) -> None:
    s3server.start_s3(home).stop()
    internal = json.loads((home / "s3" / "settings.json").read_text())["ports"]
    again = s3server.start_s3(home, port=internal[1])
    assert again.settings.endpoint == f"http://127.0.0.1:{internal[1]}"


def test_busy_port_is_one_clear_sentence(home: Path) -> None:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        port = somebody.getsockname()[1]
        with pytest.raises(InputError, match=rf"Port {port} for the S3 server is in use.*S3_PORT="):
            s3server.start_s3(home, port=port)
    assert processes.pids(home / "s3") == []


def test_start_that_fails_shows_the_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = home / "weed"
    program.write_text("#!/bin/sh\necho no space left on device >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(s3server, "_program", lambda: str(program))
    with pytest.raises(StoreError, match="no space left on device"):
        s3server.start_s3(home)
    assert state.running(home) == {}


@pytest.mark.usefixtures("settings")
def test_files_with_credentials_are_private(shared: Path) -> None:
    assert (shared / "s3" / "settings.json").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where other accounts may leave what SeaweedFS would call."""
    folder = tmp_path / "sockets"
    folder.mkdir()
    monkeypatch.setattr(scratch, "_OF_SEAWEEDFS", folder)
    return folder


def block(sockets: Path, *numbers: int) -> None:
    for number in numbers:
        (sockets / f"seaweedfs-x-grpc-{number}.sock").mkdir()


def test_five_internal_ports_are_found_whatever_is_in_the_way(tmp_path: Path, sockets: Path) -> None:
    near = s3server._kept(tmp_path, 8333).ports
    block(sockets, *near[:2], *(port + 10_000 for port in near[2:]), *range(near[0] + 100, near[0] + 160))
    again = s3server._kept(tmp_path, 8333).ports
    assert len(set(again)) == 5
    assert not set(again) & set(near)


@pytest.mark.parametrize("ports", [[], [12_001], [12_001] * 5])
def test_a_kept_list_that_has_not_five_ports_is_replaced(tmp_path: Path, ports: list[int]) -> None:
    kept = {"access_key": "A", "secret_key": "S", "ports": ports}
    (tmp_path / "settings.json").write_text(json.dumps(kept))
    found = s3server._kept(tmp_path, 8333)
    assert len(set(found.ports)) == 5
    assert (found.access_key, found.secret_key) == ("A", "S")
    assert json.loads((tmp_path / "settings.json").read_text())["ports"] == found.ports


def test_where_all_ports_are_in_the_way_a_sentence_says_so(tmp_path: Path, sockets: Path) -> None:
    block(sockets, *range(12_000, 22_767))
    with pytest.raises(InputError, match=r"5 free ports are needed .*seaweedfs-\*-grpc"):
        s3server._kept(tmp_path, 8333)
    assert not (tmp_path / "settings.json").exists()
