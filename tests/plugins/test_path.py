"""The pages in an Airflow that lies below a path, as behind a proxy: whatever they name is below it, and is there."""

import html
import re
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import httpx
import pytest

from carpipe.steps.session import open_session
from tests.conftest import make_config
from tests.plugins import bucket
from tests.plugins.api_server import ROOT, add_connection, api_server, log_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATH = "/team/airflow"
STATIC = ROOT / "plugins" / "carpipe_airflow" / "pages" / "static"


@pytest.fixture(scope="module")
def url(s3, tmp_path_factory):
    session = open_session(make_config(f"s3://{s3.bucket}/{uuid4().hex[:12]}"))
    dataset, models = bucket.fill(session)
    bucket.compare(session, *models)
    bucket.add_curve(session, dataset.key)
    bucket.add_new_models(session, dataset.key)
    bucket.add_advice(session, dataset)
    with api_server(session, tmp_path_factory.mktemp("api"), path=PATH) as (url, _):
        with log_in(url, "admin") as admin:
            add_connection(admin, s3)
        yield url


@pytest.fixture
def admin(url):
    with log_in(url, "admin") as client:
        yield client


def named_in(page):
    """What a page refers to, of this server; Airflow's own pages are not gone into."""
    named = re.findall(r'(?:href|src|action)="([^"#]+)', page.text)
    found = {urljoin(str(page.url), html.unescape(one)) for one in named}
    return {one for one in found if urlsplit(one).netloc == page.url.netloc.decode()}


def test_all_that_the_pages_name_is_below_the_path_and_there(url, admin):
    waiting, seen = [f"{url}/carpipe/"], set()
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        assert urlsplit(address).path.startswith(f"{PATH}/"), address
        answer = admin.get(address, follow_redirects=True)
        posted = re.search(r"/(promote|accept|take-back|move|train|correct|verdict)$", urlsplit(address).path)
        assert answer.status_code == (405 if posted else 200), address
        assert str(answer.url).startswith(url), address
        if "/carpipe/" in address and "html" in answer.headers["content-type"]:
            waiting += named_in(answer)
    pages = {urlsplit(one).path.removeprefix(f"{PATH}/carpipe/").split("/")[0] for one in seen if "/carpipe/" in one}
    assert {"overview", "data", "photos", "labels", "review", "classes", "weights", "static"} <= pages
    assert len(seen) > 25


def test_who_is_not_logged_in_is_sent_to_the_login_below_the_path(url):
    answer = httpx.get(f"{url}/carpipe/data", headers={"Accept": "text/html"}, trust_env=False)
    assert answer.status_code == 303
    where = urlsplit(answer.headers["location"])
    assert where.path.startswith(f"{PATH}/")
    assert f"next={PATH}/carpipe/data" in where.query.replace("%2F", "/")


def test_a_form_leads_back_to_its_page(admin):
    model = re.search(r'name="model" value="([^"]+)"', admin.get("/carpipe/weights/classifier").text)[1]
    answer = admin.post("/carpipe/weights/classifier/promote", data={"model": model, "reason": "test"})
    assert (answer.status_code, urlsplit(answer.headers["location"]).path) == (
        303,
        f"{PATH}/carpipe/weights/classifier",
    )


def test_scripts_ask_below_the_path(admin):
    """They are told where by the page."""
    names = [path.name for path in STATIC.glob("*.js")]
    assert "labels-saving.js" in names
    scripts = {one: admin.get(f"/carpipe/static/{one}").raise_for_status().text for one in names}
    assert not [
        line for text in scripts.values() for line in text.splitlines() if re.search(r"""["'`]/carpipe""", line)
    ]


def test_forms_offer_choices_below_the_path_too(admin):
    params = admin.get("/api/v2/dags/learning_curve/details").json()["params"]
    assert len(params["dataset"]["schema"]["enum"]) == 2, "the newest, and the one that there is"
