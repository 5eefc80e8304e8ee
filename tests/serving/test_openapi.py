"""The description of the API, held against its routes and against what it really answers."""

import json
import re
import shlex
import shutil
import subprocess

import pytest
from jsonschema import Draft202012Validator

import carpipe
from carpipe.config import ServingConfig
from carpipe.serving.app import body_limits, create_app
from carpipe.serving.openapi import openapi
from tests.serving.conftest import post, ready, serving, wait_for
from tests.serving.described import described
from tests.serving.test_app import UNUSABLE
from tests.tiny import go_live, publish

PAGES = {"/", "/api", "/static/look.css", "/static/<path:filename>"}
LIMITS = body_limits(ServingConfig())
ELSEWHERE = {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module")
def document(api):
    return api.get("/openapi.json").json()


def operations(document):
    return [(path, method, one) for path, methods in document["paths"].items() for method, one in methods.items()]


def test_it_names_the_routes_that_there_are_and_no_other(document):
    rules = create_app(None, ServingConfig()).url_map.iter_rules()
    real = {(rule.rule, name.lower()) for rule in rules for name in rule.methods - {"HEAD", "OPTIONS"}}

    assert {(path, method) for path, method, _ in operations(document)} == {one for one in real if one[0] not in PAGES}


def test_its_schemas_are_schemas_and_all_that_it_refers_to_is_there(document):
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    referred = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)))

    assert referred == {*schemas}
    names = [one["operationId"] for _, _, one in operations(document)]
    assert len({*names}) == len(names)


def test_it_has_the_version_and_the_limits_of_the_settings():
    found = openapi(ServingConfig(max_listing_photos=7, max_photo_mb=3, max_request_mb=9))
    listing = found["paths"]["/predict/listing"]["post"]

    assert (found["openapi"], found["info"]["version"]) == ("3.1.0", carpipe.__version__)
    several = listing["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["file"]
    assert (several["maxItems"], "9 MB, each 3 MB" in listing["description"]) == (7, True)


def asked(api, photos, blank):
    """(path, method, answer) of requests of all kinds."""
    feedback = {"id": post(api, photos[0]).json()["id"], "right": False, "class_name": "audi_a4"}
    for url in ("/predict", "/predict/listing"):
        yield url, "post", post(api, photos[0], url=url)
        yield url, "post", api.post(url, content=photos[0], headers={"Content-Type": "image/jpeg"})
        yield url, "post", api.post(url)
        yield url, "post", api.post(url, headers=ELSEWHERE)
        yield url, "post", api.post(url, headers={"Content-Encoding": "br"})
        yield url, "post", api.post(url, content=bytes(LIMITS[url].max_bytes + 1))
        for data, _, _ in UNUSABLE.values():
            yield url, "post", post(api, data, url=url)
    yield "/predict/listing", "post", post(api, photos[0], blank, b"oops", url="/predict/listing")
    yield "/feedback", "post", api.post("/feedback", json=feedback)
    yield "/feedback", "post", api.post("/feedback", json={**feedback, "id": "0" * 32})
    yield "/feedback", "post", api.post("/feedback", json=[])
    yield "/feedback", "post", api.post("/feedback", json=feedback, headers=ELSEWHERE)
    yield "/feedback", "post", api.post("/feedback", json={"id": "0" * 20_000, "right": True})
    yield "/feedback", "post", api.post("/feedback", content=b"x")
    for url in ("/classes", "/healthz", "/openapi.json"):
        yield url, "get", api.get(url)
        yield url, "get", api.request("GET", url, content=b"x")


def test_real_answers_are_as_described_and_each_status_that_is_described_is_answered(api, photos, blank, document):
    answered = set()
    for path, method, response in asked(api, photos, blank):
        assert described(document, path, response.status_code, response.json(), method) == [], response.text
        answered.add((path, str(response.status_code)))

    all_described = {(path, status) for path, _, one in operations(document) for status in one["responses"]}
    assert all_described - answered == {
        ("/predict", "503"), ("/predict/listing", "503"), ("/classes", "503"), ("/healthz", "503"), ("/feedback", "429")
    }  # fmt: skip


def test_answers_of_a_server_without_a_model_or_room_are_as_described(session, tiny, cache, photos, document):
    with serving(session, cache, candidates_per_hour=0) as client:
        wait_for(lambda: "Nothing was ever" in client.get("/healthz").text)
        for path in ("/predict", "/predict/listing"):
            response = post(client, photos[0], url=path)
            assert described(document, path, response.status_code, response.json()) == []
            assert response.status_code == 503
        for path in ("/classes", "/healthz"):
            response = client.get(path)
            assert described(document, path, response.status_code, response.json(), "get") == []
            assert response.status_code == 503
        go_live(session, publish(session, tiny))
        name = post(ready(client), photos[0]).json()["id"]
        response = client.post("/feedback", json={"id": name, "right": True})
        assert response.status_code == 429
        assert described(document, "/feedback", 429, response.json()) == []


def test_what_is_not_described_would_be_seen(api, photos, document):
    reply = post(api, photos[0]).json()
    lacking = {name: value for name, value in reply.items() if name != "box"}

    assert described(document, "/predict", 200, {**reply, "new": 1}) != []
    assert described(document, "/predict", 200, lacking) != []
    assert described(document, "/predict", 200, {**reply, "score": "0.5"}) != []
    assert described(document, "/predict", 418, reply) != []


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_samples_for_curl_do_what_they_say(api, photos, document, tmp_path):
    for number, name in enumerate(("car", "front", "side")):
        (tmp_path / f"{name}.jpg").write_bytes(photos[number])
    base = str(api.base_url).rstrip("/")
    asked = 0
    for path, method, operation in operations(document):
        for sample in operation["x-codeSamples"]:
            command = shlex.split(sample["source"].replace("http://127.0.0.1:5000", base))
            options = ["-sS", "--noproxy", "*", "-w", "%{stderr}%{http_code}"]
            done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=True)
            status = int(done.stderr)
            assert status == (404 if path == "/feedback" else 200)
            assert described(document, path, status, json.loads(done.stdout), method) == []
            asked += 1
    assert asked >= 7


def test_the_page_on_the_api_shows_every_route_and_every_schema(api, document):
    page = api.get("/api").text

    for path, method, operation in operations(document):
        assert f"{method.upper()} {path}</code>" in page
        assert operation["summary"] in page.replace("&#39;", "'")
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in page
    anchors = set(re.findall(r'href="#(\w+)"', page))
    assert anchors <= set(re.findall(r'id="([\w-]+)"', page))
