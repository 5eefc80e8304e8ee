"""The page Weights on a real Airflow API server: a candidate that was refused, a training under way, a long history."""

import html
import re
from uuid import uuid4

import pytest

from carpipe.steps.results import read_photos
from carpipe.steps.session import open_session
from carpipe.weights import channel
from tests.conftest import make_config
from tests.plugins import bucket
from tests.plugins.api_server import add_connection, api_server, log_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WHY = ["Not proven better.", f"Look at {bucket.SCRIPT}."]
HERE = "/carpipe/weights/classifier"


@pytest.fixture(scope="module")
def session(s3):
    return open_session(make_config(f"s3://{s3.bucket}/{uuid4().hex[:12]}"))


@pytest.fixture(scope="module")
def made(session):
    """The live model, and a candidate that was refused; of both it is known what they answered."""
    dataset, (first, _) = bucket.fill(session)
    judged = [bucket.add_evaluation(session, dataset, note=note).key for note in ("live", "candidate")]
    second = bucket.add_model(session, dataset.key, accuracy=0.75, judged=judged[0], test_photos=2.0)
    for number in range(3, 47):
        model = (second, first)[number % 2].key
        at = f"2026-01-03T03:00:{number:02}Z"
        channel.promote(session.store, "classifier", model=model, reason="r", run=f"run {number}", at=at)
    trained = bucket.add_training(session, dataset, batch=64)
    figures = {"test_top5_accuracy": 1.0, "test_photos": 2.0}
    candidate = bucket.add_model(
        session, dataset.key, accuracy=0.8333, trained=trained.key, judged=judged[1], **figures
    )
    falls = [{"class_name": "volkswagen_golf", "photos": 2, "candidate": 0.5, "champion": 1.0}]
    numbers = {"photos": 2, "candidate": 0.8, "champion": 0.79, "falls": falls}
    refusal = {"outcome": "refuse", "reasons": WHY, "numbers": numbers}
    bucket.add_answers(session, second, dataset)
    bucket.decide(session, candidate.key, at="2026-02-01T00:00:00Z", champion=second.key, run="night", **refusal)
    return dataset, second, candidate


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def clients(session, made, s3, home):
    with api_server(session, home) as (url, _):
        found = {role: log_in(url, role) for role in ("viewer", "op", "admin")}
        add_connection(found["admin"], s3)
        yield found
        for client in found.values():
            client.close()


def page(clients, *, role="op", **params):
    answer = clients[role].get(HERE, params=params)
    assert answer.status_code == 200, answer.text
    return answer.text


def id_of(model):
    return model.key.split("/")[2]


def test_a_refused_candidate_is_the_first_thing_and_says_so_before_any_button(clients, made):
    _, live, candidate = made
    text = page(clients)
    assert re.search(r"<h2 id=\"candidate\">Candidate \d+ \w+ 20\d\d \d\d:\d\d <code", text)
    refused, form = text.index("The gate refused it."), text.index("<form")
    assert refused < form
    assert text.index(f'value="{id_of(candidate)}"') > form
    asked = text[form : text.index("</form>")]
    assert "The gate refused this model.</b> <span>Not proven better. Look at &lt;script&gt;" in asked
    assert f"Make {id_of(candidate)[:8]} live all the same" in asked
    assert f'href="{HERE}/{id_of(candidate)}/evaluation"' in text
    assert id_of(live)[:8] in text


def row(text, name):
    [cells] = re.findall(rf'<th scope="row" title="[^"]+">{re.escape(name)}</th>(.*)</tr>', text.split('id="live"')[0])
    return [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", cells)]


def test_its_figures_stand_beside_those_of_the_live_one(clients):
    text = page(clients)
    assert row(text, "top-1 on the same photos") == ["80.0 %", "79.0 %", "▲ +1.0 points, better"]
    assert row(text, "top-1") == ["83.3 %", "75.0 %", "▲ +8.3 points, better"]
    assert row(text, "top-5") == ["100.0 %", "–", "–"]
    assert row(text, "log loss, nats") == ["0.250", "0.250", "as before"]
    assert 'class="delta good"' in text
    assert "What the figures mean" in text


def test_data_and_runs_are_links_by_their_dates(clients, made):
    dataset, _, _ = made
    clients["admin"].post("/api/v2/dags/retrain_classifier/dagRuns", json={"logical_date": None, "dag_run_id": "night"})
    text = page(clients)
    assert re.search(rf'<a href="/carpipe/data/{id_of_dataset(dataset)}">\d+ \w+ 20\d\d \d\d:\d\d, 8 photos</a>', text)
    run = r'<a class="airflow" href="/dags/retrain_classifier/runs/night" title="night">retrain_classifier, \d+ \w+ 20'
    assert re.search(run, text)
    assert "run 46" in text, "a run that Airflow does not know has its id"


def id_of_dataset(dataset):
    return dataset.key.split("/")[1]


def test_the_history_is_short_and_whole_on_demand(clients):
    short, whole = page(clients), page(clients, history="all")
    assert "All 46 releases" in short
    assert ("run 7<" in short, "run 6<" in short) == (True, False)
    assert ("All 46 releases" in whole, "run 3<" in whole) == (False, True)


def test_models_are_ordered_and_counted_by_the_address(clients, made):
    _, live, candidate = made
    both = page(clients, models=2, sort="top-1").partition('id="models"')[2]
    assert [one[:8] for one in re.findall(r'<br><code title="([0-9a-f]+)">', both)] == [
        id_of(live)[:8], id_of(candidate)[:8],
    ]  # fmt: skip
    assert f'href="{HERE}?models=8&amp;sort=top-1#models"' in both
    assert "Show 2 more" in both
    assert "Show 2 more" not in page(clients)


@pytest.mark.parametrize(
    "params", [{"models": 0}, {"models": 10**6}, {"models": "x"}, {"sort": "name"}, {"history": "-"}]
)
def test_an_address_that_asks_for_the_impossible_is_no_page_but_a_sentence(clients, params):
    answer = clients["viewer"].get(HERE, params=params)
    assert (answer.status_code, "note bad" in answer.text) == (404, True)


def test_a_training_is_drawn_while_it_lasts_and_only_where_it_trains(clients, session, home):
    admin = clients["admin"]
    assert clients["viewer"].get(f"{HERE}/training").text.strip() == ""
    bucket.train(session, admin, home, epochs=2)
    for path in (HERE, f"{HERE}/training"):
        text = clients["viewer"].get(path).text
        assert "Loss by epoch: training 0.250, validation 0.500 in the last one" in text
        assert 'href="/dags/retrain_classifier/runs/night"' in text
        assert bucket.SCRIPT not in text
    assert clients["viewer"].get("/carpipe/weights/car-filter/training").text.strip() == ""
    bucket.train(session, admin, home, epochs=2, state="success")
    assert clients["viewer"].get(f"{HERE}/training").text.strip() == ""


def test_a_card_is_called_by_date_and_leads_back(clients, made):
    _, _, candidate = made
    text = clients["viewer"].get(f"{HERE}/{id_of(candidate)}/card").text
    assert re.search(rf'<h1>Model of \d+ \w+ 20\d\d \d\d:\d\d <small><code title="{id_of(candidate)}">', text)
    assert f'href="{HERE}"' in text


# A number of photos, and what leads to them.
COUNT = re.compile(r'<a href="(/carpipe/photos\?[^"]*)">(?:<b>)?([\d,]+)(?:</b>)?[^%<]*</a>')
COUNTED = [
    ("/weights/classifier", ["judged=", "split=train", "class="]),
    ("/overview", []),
    ("/data", ["in=yes", "passed=", "reason=", "split=test", "class="]),
    ("/classes", ["class="]),
    ("/classes/one?name=volkswagen_golf", ["judged=", "answer="]),
    ("/review", ["listing="]),
    ("/photos/{dataset}/5", ["listing="]),
]


@pytest.mark.parametrize(("path", "filters"), COUNTED)
def test_each_number_of_photos_leads_to_as_many(clients, made, session, path, filters):
    dataset, _, _ = made
    bucket.add_suspects(session, dataset, read_photos(session.store, dataset)["listing_uuid"].iloc[[5]])
    text = clients["viewer"].get(f"/carpipe{path.format(dataset=id_of_dataset(dataset))}").text
    links = {html.unescape(address): int(said.replace(",", "")) for address, said in COUNT.findall(text)}
    assert [one for one in filters if not any(one in address for address in links)] == []
    for address, number in links.items():
        found = clients["viewer"].get(address)
        assert re.search(r"<h1>(\d+) photos?</h1>", found.text)[1] == str(number), address


def test_shares_of_right_answers_lead_to_the_photos_that_were_right(clients, made):
    dataset, _, candidate = made
    address = f"/carpipe/photos?dataset={id_of_dataset(dataset)}&judged={id_of(candidate)}&right=yes"
    about = page(clients).split('id="live"')[0]
    for name in ("top-1", "top-1 on the same photos"):
        [cells] = re.findall(rf'<th scope="row" title="[^"]+">{name}</th>(.*)</tr>', about)
        assert f'href="{html.escape(address)}"' in cells
    text = clients["viewer"].get(address).text
    assert "<h1>1 photo</h1>" in text
    assert re.search(r'<option value="yes" selected>right</option>', text)
    assert "<h1>1 photo</h1>" in clients["viewer"].get(address.replace("right=yes", "right=no")).text


def test_so_do_those_of_the_live_model_on_the_same_photos(clients, made):
    dataset, live, candidate = made
    same = f"/carpipe/photos?dataset={id_of_dataset(dataset)}&judged={id_of(candidate)}&by={id_of(live)}"
    address = f"{same}&right=yes"
    about, _, decided = page(clients).partition('id="live"')
    assert f'<a href="{html.escape(address)}">79.0 %</a>' in about
    assert f'<a href="{html.escape(address)}&amp;class=volkswagen_golf">100.0 %</a>' in decided
    text = clients["viewer"].get(address).text
    assert "<h1>2 photos</h1>" in text
    assert f"Model {id_of(live)[:8]} is" in text
    assert "<h1>0 photos</h1>" in clients["viewer"].get(f"{same}&right=no").text


def test_the_share_on_new_listings_leads_to_the_photos_that_were_right(clients, made, session):
    dataset, live, _ = made
    bucket.add_score(session, live, dataset)
    address = f"/carpipe/photos?dataset={id_of_dataset(dataset)}&judged={id_of(live)}&new=yes&right=yes"
    text = clients["viewer"].get("/carpipe/overview").text
    assert f'<a href="{html.escape(address)}">50.0 %</a>' in text
    assert "<h1>1 photo</h1>" in clients["viewer"].get(address).text
    refused = clients["viewer"].get(f"{address}&by={id_of(live)}")
    assert refused.status_code == 404
    assert "leave out `by`, or `new`" in html.unescape(refused.text)


def test_labelled_photos_that_are_in_no_dataset_are_counted(clients, made, session):
    """Of those that a car filter was judged on, some were deleted since."""
    dataset, _, _ = made
    many = bucket.add_many(session, dataset)
    judged = bucket.add_evaluation(session, many, note="labels")
    photos = float(judged.counts["in"])
    car_filter = bucket.add_model(session, many.key, accuracy=0.5, judged=judged.key, test_photos=photos)
    address = f"/carpipe/photos?dataset={id_of_dataset(dataset)}&judged={id_of(car_filter)}"
    text = clients["viewer"].get(address).text
    assert "<h1>0 photos</h1>" in text
    assert f"{photos:.0f} photos that the model was judged on are not in this dataset." in text


def test_a_number_whose_photos_nobody_knows_is_plain(clients):
    """The first model has no evaluation in the bucket, and says that it was judged on 1,234."""
    text = page(clients)
    assert ">1,234</td>" in text
    assert ">1,234</a>" not in text
