"""Thousands of small objects of years are read as a few, and nobody has to have what makes that so."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from carpipe.cli import main
from carpipe.errors import AccessError
from carpipe.steps import bundles
from carpipe.steps.cache import ResultCache
from carpipe.steps.labels.store import read_labels
from carpipe.steps.models.decisions import decisions
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.garbage import find_garbage
from carpipe.steps.views.channels import ENTRIES, show_channel
from carpipe.storage import Store

COUNT = 3_000
A_SECOND = COUNT / 10_000  # for ten thousand
WAIT_S = 0.03  # for an answer, as from another region
PAGE, HANDED_OVER = 1000, 50  # of a listing: keys in an answer, and as many as obstore hands over at a time
KEY = "audi_a3_2014/1_1_00000000-0000-0000-0000-{:012}_00000000-0000-0000-0001-{:012}.jpg"


def decision(number):
    model = f"models/classifier/{number % 50:020x}/manifest.json"
    return json.dumps(
        {"model": model, "champion": "", "run": f"r{number}", "at": f"2026-01-01T{number:06}Z", "outcome": "refuse",
         "reasons": ["It is worse."], "checks": [], "numbers": {}}
    ).encode()  # fmt: skip


def release(number):
    return json.dumps(
        {"channel": "classifier", "generation": number, "model": f"models/classifier/{number % 50:020x}/manifest.json",
         "reason": "better", "run": f"r{number}", "at": "2026-01-01T00:00:00Z"}
    ).encode()  # fmt: skip


@pytest.fixture(scope="module")
def old(s3):
    """A bucket of very many nights."""
    from tests.conftest import make_config

    session = open_session(make_config(f"s3://{s3.bucket}/years"))
    objects = {}
    for number in range(1, COUNT + 1):
        objects[f"channels/classifier/decisions/2026-{number:06}.json"] = decision(number)
        objects[f"channels/classifier/history/{number:06}.json"] = release(number)
        row = f"key,label,by,at\n{KEY.format(number, number)},auto,ann,2026-01-01T00:00:00Z\n"
        objects[f"labels/car-filter/20260101T000000Z-{number:08x}.csv"] = row.encode()
    objects["channels/classifier/production.json"] = release(COUNT)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda item: session.store.put(*item), objects.items()))
    return session


@pytest.fixture
def rounds(monkeypatch):
    """Seconds of waiting for answers, where one takes `WAIT_S` and as many as there are threads come at a time."""
    asked = {"single": 0, "listed": 0, "threads": 16}
    fetch, listed, head, put = Store._fetch, Store._listed, Store.head, Store.put

    def counted(kind, do):
        def call(self, *given, **named):
            asked[kind] += 1
            return do(self, *given, **named)

        return call

    for name, kind, do in (("_fetch", "single", fetch), ("head", "single", head), ("put", "single", put),
                           ("_listed", "listed", listed)):  # fmt: skip
        monkeypatch.setattr(Store, name, counted(kind, do))

    def waited():
        seconds = WAIT_S * (asked["listed"] * HANDED_OVER / PAGE + asked["single"] / asked["threads"])
        asked.update(single=0, listed=0)
        return seconds

    return waited


def reopened(session, *, reads_only=False):
    return open_session(session.config, reads_only=reads_only)


READERS = {
    "decisions": lambda session: decisions(session, "classifier"),
    "history": lambda session: bundles.history(session, "classifier"),
    "labels": read_labels,
    "the page": lambda session: show_channel(ResultCache(session), "classifier").history,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_after_the_first_reading_all_is_read_within_a_second_of_requests(old, rounds, read):
    first = read(reopened(old))
    rounds()
    again = read(reopened(old, reads_only=True))
    assert again == first
    assert len(again) in (COUNT, ENTRIES)
    assert rounds() < A_SECOND


def test_a_night_adds_to_it_and_nothing_is_read_twice(old, rounds):
    decisions(old, "classifier")
    old.store.put(f"channels/classifier/decisions/2026-{COUNT + 1:06}.json", decision(COUNT + 1))
    rounds()
    found = decisions(reopened(old), "classifier")
    assert (len(found), found[-1]["run"]) == (COUNT + 1, f"r{COUNT + 1}")
    assert rounds() < A_SECOND
    old.store.delete([f"channels/classifier/decisions/2026-{COUNT + 1:06}.json"])
    assert len(decisions(reopened(old), "classifier")) == COUNT


def test_commands_that_read_read_it_too(old, rounds, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", old.store.url)
    for _ in READERS.values():
        _(reopened(old))
    rounds()
    for command in (["weights", "list", "classifier"], ["labels", "status"]):
        assert main(command) == 0
        assert rounds() < 1.2 * A_SECOND
    assert f"{COUNT:,} photos are labelled" in capsys.readouterr().out


def few(session, count=300):
    for number in range(1, count + 1):
        session.store.put(f"channels/classifier/decisions/2026-{number:06}.json", decision(number))


def kept(session):
    return [info.key for info in session.store.list_objects(bundles.HOME)]


def test_an_object_that_was_changed_is_read_anew(session):
    few(session)
    decisions(session, "classifier")
    key = "channels/classifier/decisions/2026-000007.json"
    session.store.put(key, decision(7).replace(b"It is worse.", b"It is much worse."))
    assert decisions(session, "classifier")[6]["reasons"] == ["It is much worse."]


def test_there_is_one_bundle_of_a_folder_and_garbage_is_none(session):
    from datetime import UTC, datetime, timedelta

    few(session)
    decisions(session, "classifier")
    few(session, 700)
    decisions(session, "classifier")
    assert len(kept(session)) == 1
    later = datetime.now(UTC) + timedelta(days=90)
    assert find_garbage(session, older_than=timedelta(0), now=later).objects == []


def changed(text, **entry):
    """A bundle whose first object says something else."""
    body = json.loads(gzip.decompress(text))
    body["objects"][0] |= entry
    return gzip.compress(json.dumps(body).encode())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"x",
        lambda data: data[: len(data) // 2],
        lambda data: data[:400] + bytes([data[400] ^ 1]) + data[401:],
        lambda data: gzip.compress(b"{}"),
        lambda data: gzip.compress(b'{"objects": [1]}'),
        lambda data: gzip.compress(b"[" * 100_000),
        lambda data: changed(data, data=1),
        lambda data: changed(data, key=[]),
        lambda data: changed(data, data=decision(1).decode().replace("worse", "better")),
    ],
    ids=["empty", "no gzip", "cut", "a bit", "no objects", "numbers", "deep", "no text", "no key", "another text"],
)
def test_a_bundle_is_believed_where_its_bytes_are_those_of_the_objects(session, spoil):
    """Who may write scratch speaks for nobody."""
    few(session)
    first = decisions(session, "classifier")
    [key] = kept(session)
    session.store.put(key, spoil(session.store.get(key)))
    assert decisions(session, "classifier") == first


def test_what_is_read_in_parts_is_kept_whole(session):
    few(session, 700)
    folder = "channels/classifier/decisions"
    infos = bundles.entries(session, folder)
    for some in (infos[:300], infos[300:]):
        list(bundles.read_objects(session, folder, some))
    [key] = kept(session)
    assert len(json.loads(gzip.decompress(session.store.get(key)))["objects"]) == 700


def test_who_may_not_write_reads_all_the_same(session, make_session, monkeypatch):
    few(session)
    reader = open_session(session.config, reads_only=True)
    assert len(decisions(reader, "classifier")) == 300
    assert kept(session) == []

    def refuse(*_):
        raise AccessError("no")

    monkeypatch.setattr(Store, "put", refuse)
    assert len(decisions(session, "classifier")) == 300


def test_few_objects_make_no_bundle(session):
    few(session, 50)
    decisions(session, "classifier")
    assert kept(session) == []
