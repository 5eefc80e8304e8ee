"""Whatever is sent to whatever route, the API answers with a sentence, runs nothing, and has no error of its own."""

import itertools
import json

import pytest

from carpipe.config import ServingConfig
from carpipe.serving.app import create_app
from tests.serving.conftest import serving

MARK = "<script>alert('carpipe')</script>"
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
FORM, JSON = "multipart/form-data; boundary=x", "application/json"
BODIES = [
    (b"", "application/octet-stream"),
    (FILE + b"no photo\r\n--x--", FORM),
    (FILE[:-9], FORM),
    (b"--x\r\n\r\n--x--", "multipart/form-data"),
    (b"--" + b"x" * 1000, "multipart/form-data; boundary=" + "x" * 1000),
    (FILE.replace(b"file", b"text").replace(b'; filename="a"', b"") + b"a" * 1_000_000 + b"\r\n--x--", FORM),
    (b"--x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n\r\n--x--", FORM),
    (b"file=a&" * 5000, "application/x-www-form-urlencoded"),
    (b"{", JSON),
    (b'"x"', JSON),
    (b"9" * 6000, JSON),
    (b'{"id": NaN, "right": Infinity}', JSON),
    (b"[" * 9000, JSON),
    (b'{"id": "\xff\xfe"}', JSON),
    (b'{"id": "\\ud800", "right": true, "class_name": "\\ud800"}', JSON),
    (b'{"id": "\\u0000", "right": true}', JSON),
    (json.dumps({"id": MARK, "right": True, "class_name": MARK}).encode(), JSON),
    (json.dumps({"id": "0" * 32, "right": True, "class_name": "a\r\nSet-Cookie: a=b"}).encode(), JSON),
    ('{"id": "x"}'.encode("utf-16"), f"{JSON}; charset=utf-16"),
]
HEADERS = [
    {"X-HTTP-Method-Override": "DELETE"},
    {"Host": "evil.example"},
    {"Accept": MARK, "User-Agent": MARK, "Referer": MARK, "X-Forwarded-For": MARK, "Forwarded": f'for="{MARK}"'},
    {"Range": "bytes=0-0,-1," + "1-2," * 500},
    {"Expect": "200-maybe"},
    {"Content-Encoding": "gzip"},
    {"Cookie": "session=x"},
]
PATHS = [
    "/static/../app.py", "/static/%2e%2e/%2e%2e/app.py", "/static/..%2f..%2fapp.py", "/static//etc/passwd",
    "/static/%00", "/static/..\\app.py", f"/{MARK}", "/./evil.example/", "/predict/", "/predict/listing/../../healthz",
    "/%ff", "/feedback/" + "x" * 5000,
    "/console", "/.env", "/healthz?x=" + MARK,
]  # fmt: skip


FOREIGN = [
    "evil.example", "127.0.0.1.evil.example", "evil.example:5000", "localhost.evil.example", "192.0.2.7",
    "[2001:db8::1]", "[", "[::1", "a b", "", "localhost@evil.example", "evil.example/localhost",
]  # fmt: skip
OURS = ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "127.3.2.1", "[::1]:5000", "localhost."]


def routes():
    """(method, path) of every route of the app, those that Flask adds among them."""
    rules = create_app(None, ServingConfig()).url_map.iter_rules()
    paths = [(rule.methods, rule.rule.replace("<path:filename>", "page.js")) for rule in rules]
    return sorted((method, path) for methods, path in paths for method in methods)


def check(response):
    assert response.status_code < 500, response.text
    assert MARK not in response.text
    assert "Traceback" not in response.text
    assert not {"set-cookie", "location", "access-control-allow-origin"} & set(response.headers)
    assert response.headers["x-content-type-options"] == "nosniff"
    if response.status_code >= 400 and response.request.method != "HEAD":
        assert set(response.json()) >= {"success", "error", "reason"}


def test_the_routes_are_those_that_are_known():
    assert {path for _, path in routes()} == {
        "/", "/api", "/classes", "/feedback", "/healthz", "/openapi.json", "/predict", "/predict/listing",
        "/static/look.css", "/static/page.js",
    }  # fmt: skip


@pytest.mark.parametrize(("method", "path"), routes())
def test_no_body_is_an_error_of_the_server(api, method, path):
    for body, kind in BODIES:
        check(api.request(method, path, content=body, headers={"Content-Type": kind}))


PART = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n"
NESTED = FILE.replace(b"\r\n\r\n", b"\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n")
FORMS = {
    "100,000 parts": (PART * 100_000 + b"--x--", FORM, 413),
    "100,000 files": (PART.replace(b"=a", b"=file; filename=a") * 100_000 + b"--x--", FORM, 413),
    "a part's header of 1 MB": (b"--x\r\nA: " + b"a" * 1_000_000 + b"\r\n\r\n--x--", FORM, 413),
    "a part's headers of 1 MB": (b"--x\r\n" + b"A: b\r\n" * 160_000 + b"\r\n--x--", FORM, 413),
    "a part's name of 1 MB": (FILE.replace(b"file", b"f" * 1_000_000) + b"\r\n--x--", FORM, 413),
    "no boundary": (FILE + b"a\r\n--x--", "multipart/form-data", 400),
    "another boundary": (FILE + b"a\r\n--x--", "multipart/form-data; boundary=z", 400),
    "a boundary of 20 kB": (FILE + b"a\r\n--x--", "multipart/form-data; boundary=" + "z" * 20_000, 400),
    "a form in a form": (NESTED * 20 + (b"--y\r\n\r\n" + FILE) * 1000 + b"--y--\r\n--x--", FORM, 413),
    "a million fields": (b"a=b&" * 1_000_000, "application/x-www-form-urlencoded", 400),
    "another kind of parts": (FILE + b"a\r\n--x--", "multipart/mixed; boundary=x", 400),
}


# Werkzeug leaves the files of a form that it refuses to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")
@pytest.mark.parametrize("path", ["/predict", "/predict/listing"])
@pytest.mark.parametrize("name", FORMS)
def test_a_form_of_any_shape_is_refused_in_a_sentence(api, path, name):
    body, kind, status = FORMS[name]
    response = api.post(path, content=body, headers={"Content-Type": kind})

    check(response)
    assert response.status_code == status, response.text


def test_fields_that_are_no_photos_are_not_even_parsed():
    app = create_app(None, ServingConfig())
    with app.test_request_context("/predict", method="POST", data="a=b&" * 1000,
                                  content_type="application/x-www-form-urlencoded") as context:  # fmt: skip
        response = app.full_dispatch_request()

        assert response.status_code == 400
        assert "form" not in vars(context.request)


@pytest.mark.parametrize(("method", "path"), routes())
def test_no_header_is_an_error_of_the_server(api, method, path):
    for headers in HEADERS:
        check(api.request(method, path, headers=headers))


@pytest.mark.parametrize(("path", "method"), itertools.product(PATHS, ["GET", "POST"]))
def test_no_address_leads_out(api, path, method):
    response = api.request(method, path)

    check(response)
    assert response.status_code in ({404, 405} if "healthz" not in path else {200, 404, 405})


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "X" * 500])
@pytest.mark.parametrize("path", ["/", "/predict", "/healthz"])
def test_other_methods_are_refused(api, method, path):
    assert api.request(method, path).status_code == 405


@pytest.mark.parametrize(("host", "status"), [*((host, 400) for host in FOREIGN), *((host, 200) for host in OURS)])
def test_a_name_that_is_not_ours_is_not_answered(api, host, status):
    assert api.get("/classes", headers={"Host": host}).status_code == status
    assert api.get("/", headers={"Host": host}).status_code == status


def test_behind_a_proxy_names_are_its_business(session, cache):
    with serving(session, cache, trusted_proxy="192.0.2.1") as client:
        assert client.get("/", headers={"Host": "cars.example"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "OURS"}, 400),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:1"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/predict/listing"])
def test_another_site_sends_nothing_in_its_visitors_name(api, path, headers, status):
    ours = f"{api.base_url.scheme}://{api.base_url.netloc.decode()}"
    sent = {name: value.replace("OURS", ours) for name, value in headers.items()}

    assert api.post(path, headers=sent).status_code == status
