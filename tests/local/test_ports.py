"""Ports: what is free, what is not, and what the user is told."""

import socket
from collections.abc import Iterator

import pytest

from carpipe.errors import InputError
from carpipe.local import ports


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


def test_port_is_busy_while_somebody_listens(busy_port: int) -> None:
    assert not ports.is_free(busy_port)


def test_port_of_a_server_on_all_interfaces_is_busy() -> None:
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])


def test_port_is_free_again_right_after_its_server_dropped_a_client() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = int(server.getsockname()[1])
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the server closes first, so its port lingers in TIME_WAIT
        client.close()
    assert ports.is_free(port)


def test_busy_port_names_port_purpose_and_way_out(busy_port: int) -> None:
    with pytest.raises(InputError) as caught:
        ports.require_free(busy_port, purpose="the S3 server", setting="make run S3_PORT=8444")
    message = str(caught.value)
    assert message == f"Port {busy_port} for the S3 server is in use: choose another, e.g. `make run S3_PORT=8444`."


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(InputError, match="not between 1 and 65535"):
        ports.require_free(port, purpose="the Airflow page", setting="make run UI_PORT=8081")


def test_free_ports_differ_and_leave_room_for_the_companion_at_10000_more() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    assert all(port + 10_000 < 50_000 for port in found)


def test_free_ports_are_looked_for_until_enough_are_usable() -> None:
    unusable = set(ports.free_ports(50))
    found = ports.free_ports(5, usable=lambda port: port not in unusable)
    assert len(set(found)) == 5
    assert unusable.isdisjoint(found)


def test_no_port_is_the_companion_of_another() -> None:
    found = ports.free_ports(3, usable=lambda port: port % 10_000 in (2_500, 2_501, 2_502))
    assert {port % 10_000 for port in found} == {2_500, 2_501, 2_502}


def test_too_few_free_ports_are_a_sentence() -> None:
    with pytest.raises(InputError, match=r"^5 free ports are needed .* there are 0\. .*seaweedfs-\*-grpc-\*\.sock"):
        ports.free_ports(5, usable=lambda port: False)
