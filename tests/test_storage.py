"""The bucket's verbs, on a real S3 server."""

import pytest

from carpipe.config import StoreConfig
from carpipe.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    MissingError,
    StoreError,
    TooLargeError,
    UnavailableError,
)
from carpipe.steps.session import open_session
from carpipe.storage import Access, Store
from tests.conftest import make_config

NAMES = [
    "raw/citroën_c3_2010/1.jpg",
    "raw/skoda_rapid%2fspaceback_2014/1.jpg",
    "raw/volkswagen_up!_2012/1.jpg",
    "raw/nissan_qashqai+2_2011/a b.jpg",
    "raw/日本_#?&=_2011/1.jpg",
]


@pytest.mark.parametrize("key", NAMES)
def test_keys_of_the_real_world_go_in_and_out_unchanged(session, key):
    session.store.put(key, b"photo")

    assert session.store.get(key) == b"photo"
    assert [info.key for info in session.store.list_objects("raw")] == [key]


def test_create_refuses_a_key_that_is_taken(session):
    session.store.create("a", b"first")

    with pytest.raises(ConflictError, match="written by somebody else first"):
        session.store.create("a", b"second")
    assert session.store.get("a") == b"first"


def test_create_of_equal_bytes_counts_as_our_own_retry(session):
    assert session.store.create("a", b"same") == session.store.create("a", b"same")


def test_replace_needs_the_etag_that_is_there(session):
    old = session.store.put("a", b"1")
    session.store.replace("a", b"2", etag=old)

    with pytest.raises(ConflictError):
        session.store.replace("a", b"3", etag=old)
    assert session.store.get("a") == b"2"


def test_a_missing_object_is_named(session):
    with pytest.raises(MissingError, match="no object raw/nothing"):
        session.store.get("raw/nothing")
    assert session.store.head("raw/nothing") is None


def test_get_many_keeps_the_order_and_marks_what_has_gone(session):
    keys = [f"raw/{number}" for number in range(200)]
    for key in keys[::2]:
        session.store.put(key, key.encode())

    found = list(session.store.get_many(keys))

    assert [key for key, _ in found] == keys
    assert [data for _, data in found] == [key.encode() if i % 2 == 0 else None for i, key in enumerate(keys)]


def test_an_impossible_key_is_refused(session):
    with pytest.raises(StoreError, match=r"The key 'raw/a//b\.jpg' in s3://.* is not possible"):
        session.store.put("raw/a//b.jpg", b"")


@pytest.mark.parametrize("url", ["s3://bucket/a//b", "s3://bucket/../b"])
def test_a_bucket_s_folder_that_nobody_can_ask_for_is_refused(url):
    with pytest.raises(ConfigError, match="is no place that can be asked for"):
        Store(StoreConfig(url=url))


def test_a_wrong_bucket_is_an_error_that_says_so(s3):
    with pytest.raises(AccessError, match="There is no bucket s3://no-such-bucket"):
        open_session(make_config("s3://no-such-bucket"))


def test_wrong_credentials_are_an_error_that_says_so(s3, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    with pytest.raises(AccessError, match="refuses these credentials"):
        open_session(make_config(f"s3://{s3.bucket}"))


def test_an_unreachable_server_is_worth_a_retry(s3):
    config = make_config(f"s3://{s3.bucket}", store__endpoint="http://127.0.0.1:9", store__max_retries=1)

    with pytest.raises(UnavailableError, match="is the server up"):
        open_session(config)


def test_a_server_that_ignores_conditions_is_refused(session, monkeypatch):
    monkeypatch.setattr(Store, "create", Store.put)  # what such a server does

    with pytest.raises(AccessError, match="ignores conditional writes"):
        session.store.prove()


def test_a_bucket_proves_itself_once_and_leaves_nothing_of_it(session, s3, monkeypatch):
    store, config = session.store, session.config
    [proof] = [info.key for info in store.list_objects("runs/probe")]
    monkeypatch.setattr(Store, "create", lambda *_: pytest.fail("proved again"))
    assert open_session(config).store.etags_are_md5 == store.etags_are_md5
    # A copy of it on another server has proved nothing: here, the same one by another name.
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint.replace("127.0.0.1", "localhost"))
    with pytest.raises(pytest.fail.Exception, match="proved again"):
        open_session(config)
    monkeypatch.undo()
    store.prove()
    assert [info.key for info in store.list_objects("runs/probe")] == [proof]


def test_who_may_not_read_the_proof_proves_it_anew(session, monkeypatch):
    proved, read = [], Store._fetch

    def fetch(self, key, max_bytes):
        if key == self._proof:
            raise AccessError("403")
        return read(self, key, max_bytes)

    monkeypatch.setattr(Store, "_fetch", fetch)
    monkeypatch.setattr(Store, "prove", lambda self: proved.append(self._proof))
    session.store.check()
    assert proved == [session.store._proof]


def test_an_object_over_the_limit_is_not_read(session):
    session.store.put("a", b"x" * 100)

    assert session.store.get("a", max_bytes=100) == b"x" * 100
    with pytest.raises(TooLargeError, match=r"a in .* more than the 99 bytes"):
        session.store.get("a", max_bytes=99)
    with pytest.raises(MissingError):
        session.store.get("b", max_bytes=99)


@pytest.mark.parametrize("limit", [9, 2_000_000])
def test_get_many_reads_no_object_over_the_limit(session, limit):
    session.store.put("a", bytes(9))
    session.store.put("b", bytes(limit + 1))
    found = session.store.get_many(["a", "none", "b"], max_bytes=limit)
    assert [next(found), next(found)] == [("a", bytes(9)), ("none", None)]
    with pytest.raises(TooLargeError):
        next(found)


def test_a_server_that_sends_more_than_it_has_said_is_cut_off(s3, proxy, request):
    store = open_session(make_config(f"s3://{s3.bucket}/{id(request)}", store__endpoint=proxy.url)).store
    store.put("a", b"x" * 5_000_000)

    def lie(got):
        got.said = 10

    proxy.change = lie
    with pytest.raises(TooLargeError):
        store.get("a", max_bytes=1000)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"])
@pytest.mark.parametrize("end", ["\n", " ", "ä"])
def test_a_key_that_nothing_can_be_signed_with_is_a_sentence(monkeypatch, name, end):
    monkeypatch.setenv(name, f"hunter2{end}")
    with pytest.raises(ConfigError, match=rf"^{name}: a blank, a line break .* Set it anew") as caught:
        Store(StoreConfig(url="s3://bucket"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("field", ["access_key_id", "secret_access_key", "token"])
def test_a_connection_that_nothing_can_be_signed_with_is_a_sentence(field):
    given = {"access_key_id": "a", "secret_access_key": "b", "token": "c", "expires_at": None, field: "hunter2\n"}
    store = Store(StoreConfig(url="s3://bucket", max_retries=0), access=Access(lambda: given, "us-east-1"))
    with pytest.raises(AccessError, match=rf"^The connection's {field}: a blank.*copied along\.$") as caught:
        store.get("raw/a")
    assert "hunter2" not in str(caught.value)


def test_a_connection_s_region_that_nothing_can_be_signed_with_is_a_sentence():
    with pytest.raises(ConfigError, match=r"^The connection's region: a blank"):
        Store(StoreConfig(url="s3://bucket"), access=Access(dict, "us-east-1\n"))
