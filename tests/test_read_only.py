"""Whoever only reads needs keys that may only read: shown before a server that refuses everything else."""

import uuid

import pytest

from carpipe.cli import main
from carpipe.errors import AccessError
from carpipe.steps.data.listings import known_listings
from carpipe.steps.listings.store import import_corrections
from carpipe.steps.session import open_session
from tests.conftest import make_config
from tests.recorded import SETTINGS, restored
from tests.relay import Handler, Relay, running

DENIED = b"<Error><Code>AccessDenied</Code><Message>User is not authorized to perform: s3:PutObject</Message></Error>"
KEY = f"audi_a3_2014/1_1_{uuid.UUID(int=1)}_{uuid.UUID(int=2)}.jpg"
AT = "2026-01-01T00:00:00Z"
READING = {
    "datasets": ["datasets"],
    "funnel": ["funnel"],
    "photo": ["photo", "{listing}"],
    "report": ["report", "{out}", "--no-browser"],
    "conflicts": ["labels", "conflicts"],
    "corrections": ["listings", "status"],
    "labels": ["labels", "status"],
    "moves": ["classes", "moves"],
    "models": ["weights", "list", "classifier"],
    "a model": ["weights", "show", "classifier"],
    "photos": ["export", "{out}"],
    "labels out": ["labels", "export", "{out}.csv"],
    "corrections out": ["listings", "export", "{out}.csv"],
    "a listing": ["listings", "show", "{listing}"],
    "weights": ["weights", "pull", "classifier", "{out}"],
    "candidates": ["candidates", "{out}"],
    "a check of the bucket": ["doctor", "--sha256"],
    "what would change": ["classes", "diff"],
}


class Reading(Handler):
    """GET and HEAD are handed on, the rest is refused and counted."""

    def handle_request(self):
        if self.command in ("GET", "HEAD"):
            answered = self.hand_on()
            self.send_response(answered.status)
            for name, value in answered.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(answered.length))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else answered.body)
            return
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.refused.append((self.command, self.path))
        self.send_response(403)
        self.send_header("Content-Length", str(len(DENIED)))
        self.end_headers()
        self.wfile.write(DENIED)


@pytest.fixture(scope="module")
def filled(s3):
    """A bucket that nobody has proven yet on the server that is asked below; a listing is corrected."""
    session = restored(s3)
    known = known_listings(session)
    listing = next(iter(known.listings))
    import_corrections(session, f"listing,to\n{listing},seller-is-right\n".encode(), known=known, at=AT)
    return session.store.url, listing


@pytest.fixture
def reading(s3, filled, monkeypatch):
    """The server; commands find it, and the bucket, in the environment."""
    server = Relay(s3.endpoint, Reading)
    server.refused = []
    monkeypatch.setenv("CARPIPE_STORE", filled[0])
    monkeypatch.setenv("CARPIPE_CONFIG", str(SETTINGS))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with running(server):
        yield server


@pytest.mark.parametrize("arguments", READING.values(), ids=READING)
def test_commands_that_read_write_nothing(filled, reading, arguments, tmp_path, capsys):
    code = main([one.format(out=tmp_path / "out", listing=filled[1]) for one in arguments])
    assert (code, reading.refused) == (0, []), capsys.readouterr().err


def test_commands_that_write_say_what_is_missing(reading, tmp_path, capsys):
    file = tmp_path / "labels.csv"
    file.write_text(f"key,label\n{KEY},auto\n", encoding="utf-8")
    assert main(["labels", "import", str(file)]) == 1
    said = capsys.readouterr().err
    assert "does not let these credentials write" in said
    assert "User is not authorized to perform: s3:PutObject" in said
    assert "Traceback" not in said
    assert reading.refused


def test_before_the_first_conditional_write_the_server_is_proven(filled, reading):
    session = open_session(make_config(filled[0]), reads_only=True)
    assert reading.refused == []
    with pytest.raises(AccessError):
        session.store.create("labels/mine.csv", b"x")
    assert not any("labels/mine.csv" in path for _, path in reading.refused)


def test_a_session_that_reads_may_write_where_it_is_allowed_to(s3):
    url = f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"
    session = open_session(make_config(url), reads_only=True)
    assert [*session.store.list_objects("")] == []
    session.store.create("labels/mine.csv", b"x")
    assert session.store.get("labels/mine.csv") == b"x"


def test_a_bucket_that_is_not_there_is_told_of_at_once(s3):
    with pytest.raises(AccessError):
        open_session(make_config(f"s3://no-such-{uuid.uuid4().hex[:8]}/x"), reads_only=True)
