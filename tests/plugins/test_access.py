"""What another site makes a logged-in browser send is refused: by origin, whatever Airflow knows of its own address."""

import importlib
import warnings

import pytest
from fastapi import HTTPException
from starlette.requests import Request


@pytest.fixture
def accepts(monkeypatch):
    """Whether a request with these headers is taken, to a server that has this base_url and sees this scheme."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FastAPI's, of its test client, which Airflow imports
        access = importlib.import_module("carpipe_airflow.pages.access")

    def ask(base, scheme, *headers):
        monkeypatch.setattr(access.conf, "get", lambda *_, **__: base)
        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        request = Request({"type": "http", "method": "POST", "scheme": scheme, "path": "/x", "headers": pairs})
        try:
            access.from_our_pages(request)
        except HTTPException:
            return False
        return True

    return ask


HOST = ("Host", "airflow.example:8080")
SAME = ("Sec-Fetch-Site", "same-origin")
UNSET = [None, ""]


def origin(value):
    return ("Origin", value)


@pytest.mark.parametrize("base", UNSET)
@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ("http", [HOST, origin("http://airflow.example:8080")]),
        ("http", [HOST, origin("http://airflow.example:8080"), SAME]),
        ("http", [HOST, origin("https://airflow.example:8080"), SAME]),  # TLS ends at a proxy
        ("http", [("Host", "airflow.example"), origin("https://airflow.example"), SAME]),
        ("https", [("Host", "airflow.example"), origin("https://airflow.example")]),  # uvicorn has read the proxy's
        ("https", [("Host", "airflow.example:443"), origin("https://airflow.example")]),
        ("http", [("Host", "airflow.example"), origin("http://airflow.example:80")]),
        ("http", [("Host", "AirFlow.Example:8080"), origin("http://airflow.example:8080")]),
        ("http", [("Host", "[::1]:8080"), origin("http://[::1]:8080")]),
        ("http", [("Host", "airflow.example.:8080"), origin("http://airflow.example.:8080")]),
    ],
)
def test_our_own_pages_are_known_where_base_url_is_unset(accepts, base, scheme, headers):
    assert accepts(base, scheme, *headers)


@pytest.mark.parametrize(
    ("base", "value"),
    [
        ("https://airflow.example", "https://airflow.example"),
        ("https://airflow.example:443/", "https://airflow.example"),
        ("https://airflow.example/team/airflow", "https://airflow.example:443"),  # behind a path prefix
        ("HTTPS://Airflow.Example", "https://airflow.example"),
        ("http://127.0.0.1:8080", "http://localhost:8080"),
        ("http://localhost:8080", "http://[::1]:8080"),
    ],
)
@pytest.mark.parametrize("host", ["airflow.example", "10.0.0.5:8080"])  # a proxy may pass on either
def test_our_own_pages_are_known_by_base_url(accepts, base, value, host):
    assert accepts(base, "http", ("Host", host), origin(value))
    assert accepts(base, "http", ("Host", host), origin(value), SAME)


NEVER = [
    [],
    [origin("")],
    [origin("null")],  # a sandboxed frame, a file, a data: page
    [origin("NULL")],
    [origin("file://")],
    [origin("https://evil.example")],
    [origin("https://airflow.example.evil.example")],
    [origin("https://airflow.example@evil.example")],
    [origin("https://user:word@airflow.example")],
    [origin("https://evil.example\\@airflow.example")],
    [origin("https://airflow.example:8443")],
    [origin("http://airflow.example")],
    [origin("ftp://airflow.example")],
    [origin("//airflow.example")],
    [origin("airflow.example")],
    [origin("https://airflow.example.")],
    [origin("https://airflow.example/")],
    [origin("https://airflow.example?x")],
    [origin("https://airflow.example#x")],
    [origin("https://airflow.example https://evil.example")],
    [origin(" https://airflow.example")],
    [origin("https://airflow.exa\tmple")],
    [origin("https://airflow.example:port")],
    [origin("https://airflow.example:99999")],
    [origin("https://[airflow.example")],
    [origin("https://")],
    [origin("https://airflow.example"), origin("https://airflow.example")],
    [origin("null"), origin("https://airflow.example")],
    [origin("https://airflow.example"), ("Sec-Fetch-Site", "cross-site")],
    [origin("https://airflow.example"), ("Sec-Fetch-Site", "same-site")],
    [origin("https://airflow.example"), ("Sec-Fetch-Site", "none")],
    [origin("https://airflow.example"), ("Sec-Fetch-Site", "")],
    [origin("https://airflow.example"), SAME, ("Sec-Fetch-Site", "cross-site")],
    [origin("https://evil.example"), ("Authorization", "Basic dXNlcjpwYXNzd29yZA==")],
    [origin("https://evil.example"), ("Authorization", "bearer")],
]


@pytest.mark.parametrize("base", [*UNSET, "https://airflow.example", "https://airflow.example/prefix"])
@pytest.mark.parametrize("headers", NEVER, ids=str)
@pytest.mark.parametrize("vouched", [[], [SAME]], ids=["plain", "same-origin"])
def test_no_other_site_is_taken_for_ours(accepts, base, headers, vouched):
    http = ("http://airflow.example" in dict(headers).values()) and not base and vouched
    if http or ("Sec-Fetch-Site" in dict(headers) and vouched):
        return  # a browser says the one or the other
    assert not accepts(base, "https", ("Host", "airflow.example"), *headers, *vouched)


@pytest.mark.parametrize("base", UNSET)
def test_a_page_of_plain_http_is_not_ours_where_airflow_speaks_tls(accepts, base):
    assert not accepts(base, "https", ("Host", "airflow.example"), origin("http://airflow.example"))
    assert not accepts(base, "https", ("Host", "airflow.example:80"), origin("http://airflow.example"))


@pytest.mark.parametrize("host", ["", "a b", "user@airflow.example", "airflow.example/x", "evil.example"])
@pytest.mark.parametrize("vouched", [[], [SAME]], ids=["plain", "same-origin"])
def test_a_host_that_is_none_is_nobodys(accepts, host, vouched):
    assert not accepts("", "https", ("Host", host), origin("https://airflow.example"), *vouched)
    assert not accepts("", "https", origin("https://airflow.example"), *vouched)


def test_where_base_url_is_set_another_name_of_the_server_is_another_site(accepts):
    """A name of a foreign domain may be made to lead here."""
    for name in ("http://evil.example:8080", "http://10.0.0.5:8080", "http://localhost:8081", "https://localhost:8080"):
        host = ("Host", name.partition("//")[2])
        assert not accepts("http://127.0.0.1:8080", "http", host, origin(name), SAME)


def test_a_token_needs_no_origin(accepts):
    assert accepts("", "http", HOST, ("Authorization", "Bearer x"))
