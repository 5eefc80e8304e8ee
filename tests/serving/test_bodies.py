"""What bodies may have together, and who gives way."""

import contextlib
import socket
import threading
from dataclasses import dataclass

import pytest

from carpipe.serving.arriving import STEP_BYTES
from carpipe.serving.bodies import Bodies, Limit
from carpipe.serving.listening import MAX_RECEIVED_BYTES
from tests.serving.conftest import taking_bodies, wait_for
from tests.serving.wire import (
    HOST,
    check,
    read_all,
    tell,
)

MB = 1_000_000


@dataclass(eq=False)
class Sent:
    """A body that is held, of a client."""

    client: str
    held: int
    completed: bool = False
    gave_way: bool = False

    def give_way(self):
        self.held, self.gave_way = 0, True


@contextlib.contextmanager
def greatest(value):
    """Looks at a value again and again while the block runs; yields what says the greatest so far."""
    seen, ended = [value()], threading.Event()

    def look():
        while not ended.wait(0.001):
            seen.append(value())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: max(seen)
    finally:
        ended.set()
        thread.join()


def holding(*sent, **limits):
    """Bodies that may have 8 MB, 6 of a client, and hold these."""
    bodies = Bodies(limits, max_bytes=8 * MB, max_client_bytes=6 * MB)
    for one in sent:
        bodies.hold(one)
    return bodies


def test_a_client_with_more_than_its_share_is_refused():
    own, other = Sent("a", 6 * MB + 1), Sent("b", 1)
    bodies = holding(own, other)

    assert (bodies.make_room(own), bodies.make_room(other)) == (False, True)
    assert bodies.held == 6 * MB + 2


def test_of_whoever_has_most_the_longest_gives_way_that_is_still_arriving():
    whole, long, short, mine = Sent("a", 3 * MB, completed=True), Sent("a", 2 * MB), Sent("a", MB), Sent("b", 3 * MB)
    bodies = holding(whole, long, short, mine)

    assert bodies.make_room(mine)
    assert [one.gave_way for one in (whole, long, short, mine)] == [False, True, False, False]
    assert bodies.held == 7 * MB


def test_who_has_most_does_not_make_others_give_way():
    mine, other = Sent("a", 5 * MB), Sent("b", 4 * MB)

    assert not holding(mine, other).make_room(mine)
    assert not other.gave_way


def test_where_all_is_there_whoever_comes_is_refused():
    whole, mine = Sent("a", 6 * MB, completed=True), Sent("b", 3 * MB)

    assert not holding(whole, mine).make_room(mine)


def test_a_body_that_is_gone_counts_no_more():
    kept, gone = Sent("a", 1), Sent("a", 2)
    bodies = holding(kept, gone)
    del gone

    assert bodies.held == 1


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [("POST", "/photo", 5), ("POST", "//photo", 5), ("PUT", "/photo", 0), ("POST", "/photo/", 0), ("POST", "", 0)],
)
def test_a_body_is_taken_where_it_is_wanted(method, path, most):
    limit = holding(**{"/photo": Limit(5, "Too large.")}).limit(method, path)

    assert limit.max_bytes == most
    assert limit.says == "Too large." or "what takes one: POST /photo" in limit.says


def test_all_bodies_together_are_bounded():
    """The largest request has 1 MB here, so 6 MB are held of one client, and 8 in all."""
    head = b"POST / HTTP/1.1\r\nConnection: close\r\n" + HOST + b"Content-Length: 3000000\r\n\r\n"
    with taking_bodies() as server, contextlib.ExitStack() as stack:
        port = int(server.effective_port)
        most = stack.enter_context(greatest(lambda: server.bodies.held))
        for _ in range(12):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), source_address=("127.0.4.1", 0)))
            with contextlib.suppress(OSError):
                one.sendall(head + b"x" * 2_900_000)
        wait_for(lambda: server.bodies.held > 5_000_000)
        # Between two looks each may grow a little.
        assert most() < 6_000_000 + 12 * (STEP_BYTES + MAX_RECEIVED_BYTES)

        assert b"200 OK" in tell(port, head + b"x" * 3_000_000)
        # The last one is of another client.
        assert 5_000_000 < most() < 8_000_000 + 13 * (STEP_BYTES + MAX_RECEIVED_BYTES)
        wait_for(lambda: server.bodies.held < 6_000_000)
    wait_for(lambda: not server.bodies.held)


def test_who_sends_too_much_of_all_gives_way_and_is_told():
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5000000\r\n\r\n"
    with taking_bodies() as server, contextlib.ExitStack() as stack:
        port = int(server.effective_port)
        greedy, other = (
            stack.enter_context(socket.create_connection(("127.0.0.1", port), source_address=(f"127.0.4.{n}", 0)))
            for n in (1, 2)
        )
        greedy.sendall(head + b"x" * 4_900_000)
        wait_for(lambda: server.bodies.held == 4_900_000)
        other.sendall(head + b"x" * 4_500_000)
        wait_for(lambda: server.bodies.held == 4_500_000)

        greedy.sendall(b"x")
        greedy.shutdown(socket.SHUT_WR)
        assert b"try again later" in check(read_all(greedy), 503)
        other.sendall(b"x" * 500_000)
        assert other.recv(100).startswith(b"HTTP/1.1 200 OK")
