"""The pages on a real Airflow API server: who may do what, on every route there is, and what they do."""

import json
import re
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.labels.store import read_labels
from carpipe.steps.moves.store import current_moves, effective
from carpipe.steps.results import read_photos
from carpipe.steps.session import open_session
from carpipe.steps.viewpoints.store import read_views
from carpipe.steps.views.datasets import describe_datasets
from carpipe.weights import channel
from tests.conftest import make_config
from tests.plugins import bucket
from tests.plugins.api_server import ROLES, add_connection, api_server, log_in
from tests.recorded.later import of_form

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

IN_AIRFLOW = "/plugin/carpipe"
REFUSED = "f" * 20  # a validation that failed


@pytest.fixture(scope="module")
def session(s3):
    return open_session(make_config(f"s3://{s3.bucket}/{uuid4().hex[:12]}"))


@pytest.fixture(scope="module")
def made(session):
    return bucket.fill(session)


@pytest.fixture(scope="module")
def server(session, made, tmp_path_factory):
    """Its address, and (method, path) of every route."""
    with api_server(session, tmp_path_factory.mktemp("api")) as found:
        yield found


@pytest.fixture(scope="module")
def clients(server, s3):
    """A browser for each role, and `nobody`: logged in by the cookie, not by a header."""
    url, _ = server
    found = {"nobody": httpx.Client(base_url=url, trust_env=False), **{role: log_in(url, role) for role in ROLES}}
    add_connection(found["admin"], s3)
    yield found
    for client in found.values():
        client.close()


@pytest.fixture(scope="module")
def places(made, session):
    """What stands for the parameters of paths."""
    dataset, models = made
    part = labels_photo(session)
    bucket.refuse(session, REFUSED)
    bucket.compare(session, *models)
    return {
        "{name}": "style.css", "{dataset}": dataset.key.split("/")[1], "{name:path}": "index.html",
        "{validation}": REFUSED, "{curve}": bucket.add_curve(session, dataset.key).key.split("/")[3],
        "{found}": bucket.add_new_models(session, dataset.key).key.split("/")[3], "{number}": "0",
        "{channel}": "classifier", "{model}": models[0].key.split("/")[2], "{stage}": part[1],
        "{partition}": part[2], "{fingerprint}": part[3], "{row}": "0",
        "{advice}": bucket.add_advice(session, dataset).key.split("/")[3], "listing": suspect(session, dataset),
    }  # fmt: skip


def suspect(session, dataset):
    """A listing that waits for a decision."""
    listing = read_photos(session.store, dataset)["listing_uuid"].iloc[5]
    bucket.add_suspects(session, dataset, [listing])
    return listing


def labels_photo(session):
    from carpipe.steps.data.inventory import latest_inventory

    return latest_inventory(session).partitions[0]["manifest"].split("/")


def fill_in(path, places):
    for name, value in places.items():
        path = path.replace(name, value)
    assert "{" not in path, f"{path}: say in `places` what this parameter may be"
    return f"/carpipe{path}"


def request(client, method, path, places):
    """A request that is right but for the rights: what it sends is what the page sends."""
    body = {}
    if path == "/labels" and method == "POST":
        body = {"json": {"labels": []}}
    if path.endswith("/promote"):
        body = {"data": {"model": places["{model}"], "reason": "test of rights"}}
    if path == "/classes/accept":
        body = {"data": {"advice": places["{advice}"], "name": "skoda_octavia"}}
    if path == "/classes/verdict":
        body = {"data": {"proposal": "0" * 20, "to": "later"}}
    if path == "/classes/one":
        body = {"params": {"name": "volkswagen_golf"}}
    if path == "/classes/take-back":
        body = {"data": {"model": "volkswagen_golf"}}
    if path == "/review" and method == "POST":
        body = {"data": {"listing": places["listing"], "to": "seller-is-right"}}
    if path.endswith("/correct"):
        body = {"data": {"to": "volkswagen_golf"}}
    return client.request(method, fill_in(path, places), **body)


def framed_by(client, path):
    """Where the document is that a page of ours has in a frame."""
    return re.search(r'<iframe title="[^"]+" src="([^"]+)"', client.get(path).text)[1]


def end_runs(clients, dag):
    """No scheduler does it here."""
    for run in clients["admin"].get(f"/api/v2/dags/{dag}/dagRuns").json()["dag_runs"]:
        if run["state"] in ("queued", "running"):
            path = f"/api/v2/dags/{dag}/dagRuns/{run['dag_run_id']}"
            clients["admin"].patch(path, json={"state": "failed"}).raise_for_status()


def end_promotions(clients):
    end_runs(clients, "promote_weights")


def test_every_route_is_closed_to_strangers(server, clients, places):
    _, routes = server
    assert len(routes) > 10
    for method, path in routes:
        assert request(clients["nobody"], method, path, places).status_code in (401, 403), path


def test_a_browser_without_login_is_sent_to_it_and_back(server, clients, places):
    _, routes = server
    for method, path in routes:
        clients["nobody"].headers["Accept"] = "text/html"
        answer = request(clients["nobody"], method, path, places)
        del clients["nobody"].headers["Accept"]
        assert (answer.status_code, answer.content) == (303, b""), path
        login = clients["nobody"].get(answer.headers["location"], follow_redirects=True)
        assert (login.status_code, login.url.path) == (200, "/auth/login"), path
        here = login.url.params["next"].partition("?")[0]
        assert here == (fill_in(path, places) if method == "GET" else "/carpipe/"), path


def test_a_login_of_another_server_leads_to_the_login(server):
    url, _ = server
    answer = httpx.get(
        f"{url}/carpipe/data", cookies={"_token": "a.b.c"}, headers={"Accept": "text/html"}, trust_env=False
    )
    assert (answer.status_code, answer.content) == (303, b"")


def test_a_viewer_may_read_everything_and_change_nothing(server, clients, places):
    _, routes = server
    for method, path in routes:
        status = request(clients["viewer"], method, path, places).status_code
        assert status == (403 if method != "GET" else 307 if path == "/" else 200), (method, path)


@pytest.mark.parametrize("role", ["op", "admin"])
def test_who_may_run_the_dags_may_do_everything(server, clients, places, role):
    end_runs(clients, "train_filter")
    _, routes = server
    for method, path in routes:
        assert request(clients[role], method, path, places).status_code in (200, 303, 307), (method, path)


def test_nothing_is_changed_by_get(server):
    """All that is not GET is an action, and its route says so by POST."""
    _, routes = server
    assert {method for method, _ in routes} == {"GET", "POST"}
    assert sorted(path for method, path in routes if method == "POST") == [
        "/classes/accept", "/classes/take-back", "/classes/verdict", "/labels", "/labels/train",
        "/photos/{dataset}/{row}/correct", "/review", "/weights/{channel}/promote",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Authorization": "Basic dXNlcjpwYXNzd29yZA=="},
    ],
)
def test_another_site_cannot_make_a_browser_act(server, clients, places, headers):
    _, routes = server
    for method, path in routes:
        if method == "POST":
            client = clients["admin"]
            kept = dict(client.headers)
            client.headers.update(headers)
            try:
                assert request(client, method, path, places).status_code == 403, path
            finally:
                client.headers = kept


def test_an_advice_is_accepted_and_taken_back_on_the_page(clients, places, session):
    def take_all_back():
        page = clients["op"].get("/carpipe/classes").text
        models = re.findall(r'name="model" value="([^"]+)"', page)
        clients["op"].post("/carpipe/classes/take-back", data={"model": models})

    take_all_back()
    page = clients["viewer"].get("/carpipe/classes").text
    assert "1,234 photos of 567 cars" in page
    assert "They look alike &lt;script&gt;" in page
    assert "<form" not in page, "who may not run the DAG has no button"
    assert "Accept" in clients["op"].get("/carpipe/classes").text
    given = {"advice": places["{advice}"], "name": "skoda_octavia"}
    answer = clients["op"].post("/carpipe/classes/accept", data=given)
    assert (answer.status_code, answer.headers.get("location")) == (303, "/carpipe/classes"), answer.text
    page = clients["op"].get("/carpipe/classes").text
    assert "volkswagen_golf → skoda_octavia" in page
    assert "Accepted by op," in page
    moves = current_moves(session)
    assert (moves["volkswagen_golf"].to, moves["volkswagen_golf"].by) == ("skoda_octavia", "op")
    take_all_back()
    assert effective(current_moves(session)) == {}
    assert "Nobody has moved a car model into another class." in clients["op"].get("/carpipe/classes").text


HOSTILE = [
    "..", "../../etc/passwd", "..%2f..%2fx", "a\nSet-Cookie: x=1", "\0", "x" * 5000, "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>", "{{7*7}}", "-1", "9" * 40, "\N{AUTOMOBILE}",
]  # fmt: skip


def hostile_requests(routes, places):
    """(method, path, body): each parameter of each route, one at a time, made hostile."""
    for method, path in routes:
        for name in [one for one in places if one in path and one.startswith("{")]:
            for value in HOSTILE:
                other = {**places, name: quote(value, safe="")}
                body = {"data": {"model": places["{model}"]}} if method == "POST" else {}
                yield method, fill_in(path, other), body
    for value in HOSTILE:
        yield "GET", "/carpipe/labels", {"params": {"ask": value}}
        yield "GET", "/carpipe/labels/batch", {"params": {"ask": value, "how": value}}
        yield "GET", "/carpipe/labels/batch", {"params": {"after": value, "count": value}}
        yield "GET", "/carpipe/labels/mine", {"params": {"label": value, "past": value}}
        yield "GET", "/carpipe/labels/mine", {"params": {"past": f"2026-01-01T00:00:00Z {value}", "ask": "views"}}
        yield "GET", "/carpipe/labels/labelled", {"params": {"key": value}}
        yield "GET", "/carpipe/labels/examples", {"params": {"ask": value}}
        yield (
            "POST",
            "/carpipe/labels",
            {"json": {"labels": [{"key": "a/b.jpg", "label": "", "at": "", "taken_back": value}]}},
        )
        yield "POST", "/carpipe/labels/train", {"data": {"ask": value}}
        row = {"key": value, "label": value, "at": value}
        yield "POST", "/carpipe/labels", {"json": {"labels": [row]}}
        yield "POST", "/carpipe/labels", {"params": {"ask": "views"}, "json": {"labels": [row]}}
        yield "POST", "/carpipe/labels", {"params": {"ask": value}, "json": {"labels": []}}
        yield "POST", "/carpipe/labels", {"json": {"labels": value}}
        yield "POST", "/carpipe/labels", {"content": value.encode()}
        yield "POST", "/carpipe/classes/accept", {"data": {"advice": places["{advice}"], "name": value}}
        yield "POST", "/carpipe/classes/accept", {"data": {"advice": value, "name": "skoda_octavia"}}
        yield "POST", "/carpipe/classes/take-back", {"data": {"model": [value, value]}}
        yield "POST", fill_in("/weights/{channel}/promote", places), {"data": {"model": value, "reason": "x"}}


def test_no_hostile_value_breaks_a_route_or_comes_back_as_markup(server, clients, places):
    """What comes back as HTML is escaped; other answers say that they are no HTML."""
    _, routes = server
    for method, path, body in hostile_requests(routes, places):
        for accept in ("text/html", "*/*"):
            client = clients["viewer"] if method == "GET" else clients["admin"]
            answer = client.request(method, path, headers={"Accept": accept}, **body)
            assert answer.status_code < 500, (method, path[:200], body, answer.text[:300])
            assert "set-cookie" not in answer.headers
            if "text/html" in answer.headers.get("content-type", ""):
                for markup in ("<script>alert", "<img src=x"):
                    assert markup not in answer.text, (method, path[:200])


def test_pages_run_nothing_foreign(server, clients, places):
    _, routes = server
    for method, path in routes:
        if method != "GET" or path in ("/", "/static/{name}"):
            continue
        answer = request(clients["viewer"], method, path, places)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';"), path
        assert "frame-ancestors 'self'" in policy
        assert "script-src 'unsafe" not in policy
        assert bucket.SCRIPT not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_of_the_bucket_run_nothing_and_link_to_each_other(clients, places):
    paths = [f"{folder}/{name}" for folder in ("/data/{dataset}", "/data/validations/{validation}")
             for name in ("report.html", "data_docs/index.html")]  # fmt: skip
    for path in paths:
        policy = clients["viewer"].get(fill_in(path, places)).headers["content-security-policy"]
        sandbox = re.search(r"; sandbox ([^;]*);", policy)
        assert sandbox[1].split() == ["allow-same-origin"], "an origin for the cookie, and no scripts or forms"
        assert "script-src" not in policy


def test_the_newest_learning_curve_is_linked_from_its_dataset(clients, places, session):
    text = clients["viewer"].get(fill_in("/data/{dataset}", places)).text

    assert f'href="{fill_in("/data/curves/{curve}", places)}">Learning curve</a>' in text
    assert "It brought &lt;script&gt;" in text
    answer = clients["viewer"].get(framed_by(clients["viewer"], fill_in("/data/curves/{curve}", places)))
    assert "curve of the test" in answer.text
    assert "sandbox allow-same-origin" in answer.headers["content-security-policy"]


def test_a_suspect_is_decided_on_its_page_and_waits_no_more(clients, places):
    address = f"/carpipe/review?listing={places['listing']}"  # whatever other tests have said of it
    page = clients["op"].get(address).text
    assert "Is it skoda_octavia?" in page
    assert 'value="volkswagen_golf"><button class="button" data-key="2">' in page
    assert "disabled" in clients["viewer"].get(address).text
    given = {"listing": places["listing"], "to": "volkswagen_golf"}
    answer = clients["op"].post("/carpipe/review", data=given)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/carpipe/review?queue=suspects&saved={places['listing']}",
    )
    assert "Nothing waits here" in clients["op"].get("/carpipe/review").text
    assert "op</b> says volkswagen_golf" in clients["op"].get("/carpipe/review?queue=mine").text
    wrong = clients["op"].post("/carpipe/review", data=given | {"to": "volkswagen_gofl"})
    assert (wrong.status_code, "Did you mean" in wrong.text) == (422, True)


def test_advice_that_was_refused_waits_for_nobody_and_can_be_opened_again(clients):
    page = clients["op"].get("/carpipe/classes").text
    proposal = re.search(r'name="proposal" value="([0-9a-f]{20})"', page)[1]
    for to, shown in (("refused", "Refused by op"), ("later", "Put off by op"), ("open", "Refuse it")):
        given = {"proposal": proposal, "to": to, "why": f"because {bucket.SCRIPT}"}
        assert clients["op"].post("/carpipe/classes/verdict", data=given).status_code == 303
        page = clients["op"].get("/carpipe/classes").text
        assert (shown in page, bucket.SCRIPT in page) == (True, False)
        assert ("proposed change" in clients["op"].get("/carpipe/overview").text) == (to == "open")
    assert clients["op"].post("/carpipe/classes/verdict", data=given | {"to": "burn"}).status_code == 422


def test_a_class_in_full_leads_to_its_photos(clients, places):
    page = clients["viewer"].get("/carpipe/classes/one", params={"name": "volkswagen_golf"}).text
    assert f"/carpipe/photos?dataset={places['{dataset}']}&amp;class=volkswagen_golf&amp;in=yes&amp;split=test" in page
    gone = clients["viewer"].get("/carpipe/classes/one", params={"name": bucket.SCRIPT})
    assert (gone.status_code, bucket.SCRIPT in gone.text) == (404, False)


def test_the_first_digits_of_an_id_are_enough(clients, places):
    dataset, model = places["{dataset}"], places["{model}"]
    for path in (f"data/{dataset[:6]}", f"photos?dataset={dataset[:6]}", f"weights/classifier/{model[:6]}/card"):
        assert clients["viewer"].get(f"/carpipe/{path}").status_code == 200, path
    unknown = clients["viewer"].get("/carpipe/data/ffff")
    assert (unknown.status_code, "begins with ffff" in unknown.text) == (404, True)


def test_what_may_be_a_new_class_is_shown_with_its_rule_and_pictures(clients, places):
    text = clients["viewer"].get(fill_in("/data/{dataset}", places)).text

    assert "New classes?" in text
    assert "41 new listings, new" in text
    assert "unchanged:\n- dacia_spring" in text
    picture = fill_in("/data/new-models/{found}/photos/", places)
    assert [f'src="{picture}{number}"' in text for number in (0, 1, 2, 3)] == [True, True, True, False]
    assert clients["viewer"].get(f"{picture}2").headers["content-type"] == "image/jpeg"
    assert clients["viewer"].get(f"{picture}3").status_code == 404


def test_photos_are_small_and_without_metadata(clients, places):
    for path in (
        "/photos/{dataset}/{row}/small",
        "/photos/{dataset}/{row}/large",
        "/labels/photos/{stage}/{partition}/{fingerprint}/{row}",
    ):
        answer = clients["viewer"].get(fill_in(path, places))
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content.startswith(b"\xff\xd8")
        assert b"private" not in answer.content


def truncated(session, dataset):
    """The key of the photo in row 3."""
    photos = read_photos(session.store, find_dataset(session, dataset))
    assert photos["dropped"].iloc[3] == "truncated"
    return photos["key"].iloc[3]


def test_a_photo_that_is_broken_or_gone_has_a_picture_that_says_so(clients, places, session):
    drawn = clients["viewer"].get("/carpipe/labels/batch", params={"count": 100}).json()["photos"]
    shown = truncated(session, places["{dataset}"])
    paths = [fill_in("/photos/{dataset}/3/small", places), *(one["url"] for one in drawn if one["key"] == shown)]
    assert len(paths) == 2
    key = f"raw/{shown}"
    whole = session.store.get(key)
    try:
        for spoil in (lambda: session.store.put(key, b"no picture at all"), lambda: session.store.delete([key])):
            spoil()
            for path in paths:
                answer = clients["viewer"].get(path)
                assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml"), path
                assert answer.headers["cache-control"] == "no-store"
    finally:
        session.store.put(key, whole)


def test_no_photo_is_served_but_those_of_a_page(clients, places):
    viewer = clients["viewer"]
    assert viewer.get(fill_in("/photos/{dataset}/12/small", places)).status_code == 404
    assert viewer.get(fill_in("/labels/photos/{stage}/{partition}/{fingerprint}/999", places)).status_code == 404
    assert viewer.get(fill_in("/data/{dataset}/data_docs/..%2fphotos.parquet", places)).status_code == 404
    verdict = fill_in("/data/validations/{validation}/data_docs/", places)
    for name in ("..%2f..%2fx", "%00", "nothing.html", "..%2freport.html", "a" * 3000):
        assert viewer.get(verdict + name).status_code == 404, name
    assert viewer.get("/carpipe/static/..%2fapp.py").status_code == 404
    assert viewer.get("/carpipe/weights/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/data/nosuch", "/nosuch", "/weights/nothing", f"/data/{'0' * 20}"])
def test_an_address_that_leads_nowhere_is_a_page_with_a_sentence(clients, path):
    answer = clients["viewer"].get(f"/carpipe{path}")
    assert answer.status_code == 404
    assert re.search(r'<p class="note bad">There is no [^<]+\.</p>', answer.text)
    for_scripts = clients["viewer"].get(f"/carpipe{path}", headers={"Accept": "*/*"})
    assert "text/html" not in for_scripts.headers["content-type"]


def test_labels_are_saved_for_the_user_whatever_the_page_says(clients, session):
    user = clients["user"]
    batch = user.get("/carpipe/labels/batch", params={"count": 3}).json()
    assert len(batch["photos"]) == 3
    chosen = [photo["key"] for photo in batch["photos"]]
    given = [{"key": key, "label": "auto", "at": "2026-01-01T00:00:00.000Z", "by": "somebody else"} for key in chosen]
    answer = user.post(
        "/carpipe/labels", json={"labels": [*given, {**given[0], "key": "../x", "label": "auto"}]}
    ).json()
    assert answer["saved"] == 3
    assert list(answer["refused"]) == ["../x"]
    again = user.post("/carpipe/labels", json={"labels": given})
    assert again.json()["progress"]["mine"] == 3
    found = read_labels(session)
    assert sorted(label.key for label in found) == sorted(chosen)
    assert {label.by for label in found} == {"user"}
    left = user.get("/carpipe/labels/batch", params={"count": 100}).json()["photos"]
    assert not set(chosen) & {photo["key"] for photo in left}


def test_a_label_is_taken_back_and_the_photo_comes_again(clients, session):
    user = clients["op"]
    [photo] = user.get("/carpipe/labels/batch", params={"count": 1}).json()["photos"]
    given = {"key": photo["key"], "label": "no_auto", "at": "2026-01-01T00:00:00Z"}
    user.post("/carpipe/labels", json={"labels": [given]})
    [own] = user.get("/carpipe/labels/mine").json()["photos"]
    assert (own["key"], own["label"], own["at"]) == (photo["key"], "no_auto", "2026-01-01T00:00:00Z")
    assert user.get(own["url"]).headers["content-type"] == "image/jpeg"
    assert user.get(f"{own['url']}&size=large").headers["content-type"] == "image/jpeg"
    back = {"key": photo["key"], "label": "", "at": "2026-01-01T00:01:00Z", "taken_back": own["at"]}
    assert user.post("/carpipe/labels", json={"labels": [back]}).json()["progress"]["mine"] == 0
    assert user.get("/carpipe/labels/mine").json()["photos"] == []
    assert photo["key"] not in {label.key for label in read_labels(session)}
    assert photo["key"] in {one["key"] for one in user.get("/carpipe/labels/batch?count=100").json()["photos"]}


def test_a_training_is_a_run_of_the_dag_and_a_second_waits_for_it(clients):
    end_runs(clients, "train_filter")
    dag = "/api/v2/dags/train_filter"
    clients["admin"].patch(dag, json={"is_paused": False}).raise_for_status()
    try:
        assert "Start train_filter" in clients["user"].get("/carpipe/labels").text
        assert "Start train_filter" not in clients["viewer"].get("/carpipe/labels").text
        answer = clients["user"].post("/carpipe/labels/train", data={"ask": "views"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/carpipe/labels?ask=views#training")
        run = clients["viewer"].get(f"{dag}/dagRuns", params={"order_by": "-id"}).json()["dag_runs"][0]
        assert (run["triggering_user_name"], run["note"]) == ("user", "Asked for by user, on the page Labels.")
        page = clients["viewer"].get("/carpipe/labels").text
        assert f'href="/dags/train_filter/runs/{quote(run["dag_run_id"])}"' in page
        assert re.search(r"\d labels? (is|are) new since it was last trained", page)
        assert "Start train_filter" not in clients["user"].get("/carpipe/labels").text
        assert clients["user"].post("/carpipe/labels/train").status_code == 409
    finally:
        end_runs(clients, "train_filter")
        clients["admin"].patch(dag, json={"is_paused": True}).raise_for_status()


def test_views_are_saved_apart_for_the_user(clients, session):
    user, params = clients["user"], {"ask": "views"}
    for key, word in (("1", "angle-front-on-left"), ("0", "d")):
        assert f'data-key="{key}" data-word="{word}"' in user.get("/carpipe/labels", params=params).text
    [photo] = user.get("/carpipe/labels/batch", params={**params, "how": "cars", "count": 1}).json()["photos"]
    assert photo["url"].endswith("?ask=views")
    assert user.get(photo["url"]).headers["content-type"] == "image/jpeg"
    given = [{"key": photo["key"], "label": "angle-back-on-right", "at": "2026-01-01T00:00:00Z"}]
    before = read_labels(session)
    answer = user.post("/carpipe/labels", params=params, json={"labels": given}).json()
    assert (answer["saved"], answer["progress"]["by_label"]["angle-back-on-right"]) == (1, 1)
    assert [(one.key, one.view, one.by) for one in read_views(session)] == [
        (photo["key"], "angle-back-on-right", "user")
    ]
    assert read_labels(session) == before


@pytest.mark.parametrize("given", ['"key": "\\ud800"', '"key": ["\\ud800"]'], ids=["key", "no text"])
def test_a_label_with_half_a_character_is_refused_with_an_answer(clients, given):
    body = f'{{"labels": [{{{given}, "label": "auto", "at": "2026-01-01T00:00:00Z"}}]}}'
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    answer = clients["user"].post("/carpipe/labels", content=body, headers=headers)
    assert answer.status_code == 422
    assert "ud800" in answer.text


def test_a_manifest_that_was_changed_is_told_of(clients, made, session):
    _, models = made
    before = session.store.get(models[1].key)
    assert "not signed" in clients["viewer"].get("/carpipe/weights/classifier").text
    session.store.put(models[1].key, before + b" ")
    try:
        page = clients["user"].get("/carpipe/weights/classifier").text
        assert "Apps refuse the live model" in page
        assert "is not the manifest that generation" in page
        assert "does not match" in page
    finally:
        session.store.put(models[1].key, before)
    assert "does not match" not in clients["user"].get("/carpipe/weights/classifier").text


def test_what_a_newer_carpipe_has_made_is_counted(clients, made, session):
    dataset, models = made
    strange = {
        f"datasets/{'0' * 20}/manifest.json": of_form(session.store.get(dataset.key), 2),
        f"models/classifier/{'0' * 20}/manifest.json": of_form(session.store.get(models[0].key), 2),
    }
    for key, data in strange.items():
        session.store.put(key, data)
    try:
        assert "1 dataset was made by a newer carpipe" in clients["viewer"].get("/carpipe/data").text
        weights = clients["viewer"].get("/carpipe/weights/classifier").text
        assert "1 models, decisions or releases were written by a newer carpipe" in weights
    finally:
        session.store.delete(strange)
    assert "newer carpipe" not in clients["viewer"].get("/carpipe/data").text


def test_what_is_no_model_dataset_or_decision_costs_its_own_place_only(clients, made, session, caplog):
    """Who may write one prefix cannot take the page of the rollback away."""
    dataset, models = made
    model, data = ({**json.loads(session.store.get(one.key)), "files": {}} for one in (models[0], dataset))
    decision = {
        "model": models[0].key, "champion": "", "run": "r", "at": "", "outcome": "publish", "reasons": ["r"],
        "checks": [], "numbers": {},
    }  # fmt: skip
    odd = {
        f"models/classifier/{'0' * 20}": {**model, "extra": {}},
        f"models/classifier/{'1' * 20}": {**model, "extra": {**model["extra"], "metrics": [0.5]}},
        f"datasets/{'0' * 20}": {**data, "extra": {}},
        f"datasets/{'1' * 20}": {**data, "counts": {}},
    }
    entries = {f"{home}/manifest.json": body for home, body in odd.items()} | {
        f"channels/classifier/decisions/99990101T00000{number}Z-x.json": {**decision, **change}
        for number, change in enumerate(
            ({"model": "x"}, {"champion": "y"}, {"checks": [5]}, {"numbers": {"rows": [{"a": 1}, 7]}}, {"at": 5})
        )
    }
    for key, body in entries.items():
        session.store.put(key, json.dumps(body).encode())
    try:
        weights, page = (clients["viewer"].get(f"/carpipe/{path}") for path in ("weights/classifier", "data"))
        assert (weights.status_code, page.status_code) == (200, 200)
        assert models[0].key.split("/")[2][:8] in weights.text
        said = re.search(
            r"(\d+) models, decisions or releases were written by a newer carpipe, or by something", weights.text
        )
        assert said[1] == "7"
        assert "2 datasets were made by a newer carpipe, or by something else" in page.text
        shown = clients["viewer"].get(f"/carpipe/data/{'0' * 20}")
        assert (shown.status_code, "cannot be shown: extra.classes is missing" in shown.text) == (404, True)
        assert describe_datasets(session).count("manifest.json") == 1
    finally:
        session.store.delete(entries)


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "said"])
@pytest.mark.parametrize("who", ["nobody", "user"])
def test_what_is_sent_is_read_up_to_a_limit_whoever_sends_it(server, clients, places, who, chunked):
    """FastAPI parses it before it asks who that is: 180 MB of small lists took 4.5 GB."""
    # Little enough above the limit to be on its way as the answer comes: else the connection may be cut before that.
    body = b'{"labels":[' + b"[]," * 340_000 + b"[]]}"
    seen = []
    for method, path in server[1]:
        content = iter([body[:500_000], body[500_000:]]) if chunked else body
        try:
            answer = clients[who].request(
                method, fill_in(path, places), content=content, headers={"Content-Type": "application/json"}
            )
        except httpx.TransportError:  # the server has answered and closed before all was sent
            continue
        seen.append((method, path, answer.status_code))
        if answer.status_code == 413:
            assert "1,000,000 bytes are read at most" in answer.text
        else:  # a route that does not read it; or, of an unknown length, a stranger's
            assert chunked, path
            assert path != "/labels" or method == "GET" or who == "nobody", path
    assert ("POST", "/labels", 413) in seen


def test_a_promotion_is_a_run_of_the_dag(clients, places, session):
    path = fill_in("/weights/{channel}/promote", places)
    shown = channel.read_model(session.store, f"models/classifier/{places['{model}']}/manifest.json").sha256
    assert f'name="manifest_sha256" value="{shown}"' in clients["user"].get("/carpipe/weights/classifier").text
    asked = {"model": places["{model}"], "reason": "night was bad", "manifest_sha256": shown}
    answer = clients["user"].post(path, data=asked)
    assert answer.status_code == 303
    runs = clients["viewer"].get("/api/v2/dags/promote_weights/dagRuns", params={"order_by": "-id"}).json()["dag_runs"]
    assert runs[0]["conf"]["channel"] == "classifier"
    assert runs[0]["conf"]["model"] == f"models/classifier/{places['{model}']}/manifest.json"
    assert runs[0]["conf"]["reason"].startswith("night was bad (user")
    assert runs[0]["conf"]["manifest_sha256"] == shown
    assert runs[0]["triggering_user_name"] == "user"
    assert channel.read_channel(session.store, "classifier").generation == 2, "only the DAG moves the channel"
    unknown = clients["user"].post(path, data={"model": "0" * 20})
    assert unknown.status_code == 404


@pytest.mark.parametrize("reason", ["a\nb", "a\x1b[31mb", "a\0b", "a\u202eb"])
def test_a_reason_with_control_characters_is_refused_with_a_sentence(clients, places, reason):
    dag = "/api/v2/dags/promote_weights/dagRuns"
    before = clients["viewer"].get(dag).json()["total_entries"]
    asked = {"model": places["{model}"], "reason": reason}
    answer = clients["user"].post(
        fill_in("/weights/{channel}/promote", places), data=asked, headers={"Accept": "text/html"}
    )
    assert answer.status_code == 422
    assert "A reason is one line without control characters" in answer.text
    assert clients["viewer"].get(dag).json()["total_entries"] == before


@pytest.fixture
def unpaused(clients):
    """The DAG, which is paused here, is not; what is asked for stays queued all the same, there is no scheduler."""
    dag = "/api/v2/dags/promote_weights"
    clients["admin"].patch(dag, json={"is_paused": False}).raise_for_status()
    yield
    clients["admin"].patch(dag, json={"is_paused": True}).raise_for_status()


def test_a_promotion_under_way_is_shown_on_its_channel_alone(clients, places, unpaused):
    end_promotions(clients)
    clients["user"].post(fill_in("/weights/{channel}/promote", places), data={"model": places["{model}"]})
    runs = clients["viewer"].get("/api/v2/dags/promote_weights/dagRuns", params={"order_by": "-id"}).json()["dag_runs"]
    page = clients["user"].get("/carpipe/weights/classifier").text
    link = f"/dags/promote_weights/runs/{quote(runs[0]['dag_run_id'])}"
    assert f'href="{link}"' in page
    assert clients["viewer"].get(link).status_code == 200
    assert 'id="moving"' in page
    assert "<form" not in page
    other = clients["user"].get("/carpipe/weights/car-filter").text
    assert "runs/" not in other
    assert 'id="moving"' not in other


def test_a_second_promotion_waits_for_the_first(clients, places, unpaused):
    end_promotions(clients)
    path = fill_in("/weights/{channel}/promote", places)
    assert clients["user"].post(path, data={"model": places["{model}"]}).status_code == 303
    assert clients["user"].post(path, data={"model": places["{model}"]}).status_code == 409


def test_where_the_dag_is_paused_the_page_says_so_and_does_not_wait(clients, places):
    end_promotions(clients)
    conf = {"model": f"models/classifier/{places['{model}']}/manifest.json"}  # by the DAG's default channel
    run = clients["admin"].post("/api/v2/dags/promote_weights/dagRuns", json={"logical_date": None, "conf": conf})
    page = clients["user"].get("/carpipe/weights/classifier").text
    assert quote(run.json()["dag_run_id"]) in page
    assert "is paused" in page
    assert 'id="moving"' not in page
    assert "<form" in page, "one can still ask to roll back"


def test_figures_read_as_what_they_are(clients):
    text = clients["viewer"].get("/carpipe/weights/classifier").text
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", text))
    assert facts == {
        "photos": "90", "classes judged one by one": "1", "difference": "+1.2 points", "proven better": "yes",
        "proven worse": "no",
    }  # fmt: skip
    assert "75.0 %" in text
    assert "0.75" not in text


def test_a_model_card_is_a_page_and_its_html_is_text(clients, places):
    text = clients["viewer"].get(fill_in("/weights/{channel}/{model}/card", places)).text
    assert "<h1>card &lt;script&gt;alert(1)&lt;/script&gt;</h1>" in text
    assert "<td>test_accuracy</td>" in text
    assert "<img" not in text
    assert 'href="javascript:' not in text


def test_a_comparison_is_shown_where_there_is_one(clients, places, made):
    client = clients["viewer"]
    page = client.get(fill_in("/weights/{channel}/{model}/comparison.html", places))
    assert "<title>comparison</title>" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src")
    assert "sandbox allow-same-origin" in page.headers["content-security-policy"]
    card = client.get(fill_in("/weights/{channel}/{model}/card", places)).text
    assert "<h2>Against &lt;script&gt;alert(1)&lt;/script&gt;</h2>" in card
    link = f"/carpipe/weights/classifier/{places['{model}']}/comparison"
    assert link in card
    weights = client.get("/carpipe/weights/classifier").text
    assert weights.count(f'href="{link}"') == 3, "of the candidate, the model and the decision"
    assert weights.count("Against the live model") == 1
    other = {**places, "{model}": made[1][1].key.split("/")[2]}
    none = client.get(fill_in("/weights/{channel}/{model}/comparison.html", other))
    assert none.status_code == 404
    assert "The gate has compared model" in none.text
    assert "Against" not in client.get(fill_in("/weights/{channel}/{model}/card", other)).text


def test_only_a_verdict_that_came_with_a_comparison_links_to_it(clients, places):
    client = clients["admin"]
    run = client.post("/api/v2/dags/retrain_classifier/dagRuns", json={"logical_date": None}).json()
    task = f"/api/v2/dags/retrain_classifier/dagRuns/{run['dag_run_id']}/taskInstances/gate"
    key = f"models/classifier/{places['{model}']}/manifest.json"
    for compared in (False, True):
        entry = {"key": "return_value", "value": {"model": key, "champion": key, "compared": compared}}
        client.post(f"{task}/xcomEntries", json=entry).raise_for_status()
        links = client.get(f"{task}/links").json()["extra_links"]
        assert links["Evaluation"]
        assert bool(links["Comparison"]) == compared
        client.delete(f"{task}/xcomEntries/return_value")
    client.patch(f"/api/v2/dags/retrain_classifier/dagRuns/{run['dag_run_id']}", json={"state": "failed"})


def test_a_task_links_to_what_it_made(clients, places, session):
    path = fill_in("/weights/{channel}/promote", places)
    clients["user"].post(path, data={"model": places["{model}"]})
    runs = clients["admin"].get("/api/v2/dags/promote_weights/dagRuns", params={"order_by": "-id"}).json()["dag_runs"]
    task = f"/api/v2/dags/promote_weights/dagRuns/{runs[0]['dag_run_id']}/taskInstances/promote"
    key = f"models/classifier/{places['{model}']}/manifest.json"
    before = clients["viewer"].get(f"{task}/links").json()["extra_links"]
    assert set(before.values()) == {None}
    clients["admin"].post(f"{task}/xcomEntries", json={"key": "return_value", "value": key}).raise_for_status()
    links = clients["viewer"].get(f"{task}/links").json()["extra_links"]
    assert {name for name, link in links.items() if link} == {"Weights", "Model card", "Evaluation"}
    for link in filter(None, links.values()):
        assert link.startswith(f"{IN_AIRFLOW}/carpipe/"), "in the frame of Airflow"
        assert clients["viewer"].get(link.removeprefix(IN_AIRFLOW)).status_code == 200, link


def test_a_learning_curve_is_linked_from_its_task(clients, places):
    run = clients["admin"].post("/api/v2/dags/learning_curve/dagRuns", json={"logical_date": None}).json()
    task = f"/api/v2/dags/learning_curve/dagRuns/{run['dag_run_id']}/taskInstances/draw"
    key = f"stages/learning_curve/all/{places['{curve}']}/manifest.json"
    clients["admin"].post(f"{task}/xcomEntries", json={"key": "return_value", "value": key}).raise_for_status()

    links = clients["viewer"].get(f"{task}/links").json()["extra_links"]

    assert {name for name, link in links.items() if link} == {"Learning curve"}
    path = links["Learning curve"].removeprefix(IN_AIRFLOW)
    assert "curve of the test" in clients["viewer"].get(framed_by(clients["viewer"], path)).text


def test_a_validation_that_failed_is_linked_from_its_task(clients, places):
    run = clients["admin"].post("/api/v2/dags/prepare_dataset/dagRuns", json={"logical_date": None}).json()
    task = f"/api/v2/dags/prepare_dataset/dagRuns/{run['dag_run_id']}/taskInstances/validate"
    value = f"stages/validate/all/{REFUSED}/manifest.json"
    clients["admin"].post(f"{task}/xcomEntries", json={"key": "foreseen", "value": value}).raise_for_status()
    links = clients["viewer"].get(f"{task}/links").json()["extra_links"]
    assert {name for name, link in links.items() if link} == {"Dataset report", "Data Docs"}
    for link in filter(None, links.values()):
        assert link.startswith(f"{IN_AIRFLOW}/carpipe/"), "in the frame of Airflow"
        path = framed_by(clients["viewer"], link.removeprefix(IN_AIRFLOW))
        assert clients["viewer"].get(path).status_code == 200, link


def test_buttons_are_for_those_who_may(clients):
    assert "promote" in clients["admin"].get("/carpipe/weights").text.partition("<form")[2]
    assert "<form" not in clients["viewer"].get("/carpipe/weights").text
    assert 'data-may=""' in clients["viewer"].get("/carpipe/labels").text
    assert 'data-may="1"' in clients["user"].get("/carpipe/labels").text


def test_the_pages_are_in_the_navigation(clients):
    plugins = clients["viewer"].get("/api/v2/plugins").json()
    if "plugins" not in plugins:  # a viewer may not list plugins in every Airflow
        plugins = clients["admin"].get("/api/v2/plugins").json()
    [ours] = [plugin for plugin in plugins["plugins"] if plugin["name"] == "carpipe"]
    assert ours["external_views"][0]["href"] == "/carpipe/"
    assert len(ours["global_operator_extra_links"]) == 8


def params_of(client, dag):
    return client.get(f"/api/v2/dags/{dag}/details").raise_for_status().json()["params"]


def test_forms_offer_the_datasets_that_there_are(clients, made):
    ids = {made[0].key.split("/")[1]}
    for dag in ("learning_curve", "retrain_classifier"):
        schema = params_of(clients["viewer"], dag)["dataset"]["schema"]
        assert schema["enum"][0] is None
        assert ids <= {*schema["enum"]}
        assert all("8 photos (" in schema["values_display"][one] for one in ids)
        assert schema["values_display"]["null"]


def test_forms_offer_the_models_and_channels_that_there_are(clients, made):
    params = params_of(clients["viewer"], "promote_weights")
    assert {one.key for one in made[1]} <= {*params["model"]["schema"]["enum"]}
    assert params["channel"]["schema"]["enum"] == ["classifier", "car-filter"]


def test_what_forms_offer_is_not_in_the_dag_and_others_are_taken(clients, session):
    """Else an older dataset was refused, and every dataset made a new version of the DAG."""
    answer = trigger(clients["op"], "learning_curve", dataset="ce749f44")
    assert answer.status_code == 200
    path = f"/api/v2/dags/learning_curve/dagRuns/{answer.json()['dag_run_id']}"
    clients["admin"].patch(path, json={"state": "failed"}).raise_for_status()
    versions = clients["admin"].get("/api/v2/dags/learning_curve/dagVersions").json()["dag_versions"]
    assert [one["version_number"] for one in versions] == [1]


def trigger(client, dag, **conf):
    return client.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None, "conf": conf})


@pytest.mark.parametrize(
    ("dag", "conf", "says"),
    [
        ("prepare_dataset", {"min_photos": "x"}, "min_photos: expected a whole number from 1 up, or nothing, got 'x'."),
        ("learning_curve", {"shares": [1.5, 1]}, "shares: expected two or more numbers above 0 and up to 1, as [0.25, "
         "0.5, 1], got [1.5, 1]."),
        ("promote_weights", {"model": "the best"}, "model: expected the id of a model or its first digits, as ce749f44,"
         " or a key as models/<channel>/<id>/manifest.json, got 'the best'."),
        ("promote_weights", {}, "model: expected the id of a model or its first digits, as ce749f44, or a key as "
         "models/<channel>/<id>/manifest.json, got nothing."),
    ],
)  # fmt: skip
def test_nonsense_is_refused_before_there_is_a_run(clients, dag, conf, says):
    answer = trigger(clients["op"], dag, **conf)
    assert (answer.status_code, answer.json()["detail"]) == (400, f"Invalid input for param {says}")
