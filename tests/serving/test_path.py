"""The API behind a proxy, below a path: whether the proxy takes the path away or leaves it there."""

import re

import pytest

from carpipe.config import load_config
from carpipe.errors import ConfigError
from carpipe.html_page import LOOK
from tests.serving.conftest import post, ready, serving


@pytest.fixture
def below(session, live, cache):
    """The API as `/cars` of something else."""
    with serving(session, cache, path="/cars") as client:
        yield ready(client)


@pytest.mark.parametrize("path", ["/cars", ""])
def test_photos_are_answered(below, photos, path):
    assert post(below, photos[0], url=f"{path}/predict").status_code == 200
    assert post(below, photos[0], photos[1], url=f"{path}/predict/listing").status_code == 200
    assert below.get(f"{path}/healthz").status_code == 200
    assert below.get(f"{path}/classes").json()["classes"]


def test_the_page_names_nothing_outside_its_path(below):
    page = below.get("/cars/")
    scripts = [below.get(f"/cars/static/{name}.js") for name in ("page", "feedback", "show")]
    assert {page.status_code, *(script.status_code for script in scripts)} == {200}
    sheets = [below.get(f"/cars/static/{name}.css") for name in ("look", "style")]
    assert [sheet.headers["content-type"] for sheet in sheets] == ["text/css; charset=utf-8"] * 2
    assert sheets[0].content == LOOK.read_bytes()
    named = re.findall(r'(?:href|src|action)="([^"]*)"', page.text + below.get("/cars/api").text)
    asked = [name for script in scripts for name in re.findall(r'(?:ask\(|from )"([^"]*)"', script.text)]
    assert len(named) >= 6
    assert len(asked) >= 8
    assert [one for one in [*named, *asked] if one.startswith(("/", "http"))] == []


def test_the_description_has_the_path(below):
    document = below.get("/cars/openapi.json").json()
    assert document["servers"] == [{"url": "/cars"}]
    assert "/cars/predict" in document["paths"]["/predict"]["post"]["x-codeSamples"][0]["source"]


def test_without_the_last_slash_it_is_found_too(below):
    answer = below.get("/cars", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "/cars/")


def test_at_the_top_all_is_as_before(session, live, cache, photos):
    with serving(session, cache) as client:
        ready(client)
        assert post(client, photos[0]).status_code == 200
        assert client.get("/").status_code == 200
        assert client.get("/cars/predict").status_code == 404


@pytest.mark.parametrize("path", ["cars", "/cars/", "//cars", "/a b", "https://x/cars"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ConfigError, match=r"serving\.path"):
        load_config(overrides={"serving.path": path})
