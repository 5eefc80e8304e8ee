"""The first page on a real Airflow API server: runs that failed, what they said, and what waits for a person."""

import sqlite3
from contextlib import closing
from uuid import uuid4

import pytest

from carpipe.steps.session import open_session
from tests.conftest import make_config
from tests.plugins import bucket
from tests.plugins.api_server import add_connection, api_server, log_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

VALIDATION = "f" * 20
SAID = f"The dataset broke 2 expectations:\n- splits: {bucket.SCRIPT}\n- classes: none is empty\nSee the report."


@pytest.fixture(scope="module")
def session(s3):
    return open_session(make_config(f"s3://{s3.bucket}/{uuid4().hex[:12]}"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Airflow's."""
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def clients(session, s3, home):
    bucket.fill(session)
    bucket.refuse(session, VALIDATION)
    with api_server(session, home) as (url, _):
        found = {role: log_in(url, role) for role in ("viewer", "admin")}
        add_connection(found["admin"], s3)
        yield found
        for client in found.values():
            client.close()


def overview(clients):
    answer = clients["viewer"].get("/carpipe/overview")
    assert answer.status_code == 200, answer.text
    return answer.text


def fail(admin, dag, task, entries):
    """A run in which a task has failed and has left something."""
    run = admin.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None}).json()["dag_run_id"]
    place = f"/api/v2/dags/{dag}/dagRuns/{run}"
    for key, value in entries.items():
        answer = admin.post(f"{place}/taskInstances/{task}/xcomEntries", json={"key": key, "value": value})
        answer.raise_for_status()
    admin.patch(f"{place}/taskInstances/{task}", json={"new_state": "failed"}).raise_for_status()
    admin.patch(place, json={"state": "failed"}).raise_for_status()
    return run


def test_before_the_first_run_the_page_says_what_to_do_and_what_is_live(clients):
    text = overview(clients)
    assert "No DAG has run yet." in text
    assert "0 of 12 photos have a label" in text
    assert "top-1 75.0 %" in text
    assert "since 2 Jan 2026 03:00, generation 2" in text


def test_a_failed_validation_is_in_red_with_its_rules_and_its_report_on_two_pages(clients):
    validation = f"stages/validate/all/{VALIDATION}/manifest.json"
    fail(clients["admin"], "prepare_dataset", "validate", {"failure": SAID, "foreseen": validation})

    for text in (overview(clients), clients["viewer"].get("/carpipe/data").text):
        assert "<li>splits: &lt;script&gt;alert(1)&lt;/script&gt;</li><li>classes: none is empty</li>" in text
        assert f'href="/carpipe/data/validations/{VALIDATION}/report"' in text
        assert 'class="note bad"' in text
    report = clients["viewer"].get(f"/carpipe/data/validations/{VALIDATION}/report")
    assert f'src="/carpipe/data/validations/{VALIDATION}/report.html"' in report.text


def test_a_task_that_said_nothing_leads_to_its_log(clients):
    run = fail(clients["admin"], "train_filter", "label_set", {})
    text = overview(clients)
    assert "failed; its log says why" in text
    assert f'href="/dags/train_filter/runs/{run.replace(":", "%3A").replace("+", "%2B")}/tasks/label_set"' in text


def test_what_a_run_asks_waits_until_somebody_has_answered(clients, home):
    run = clients["admin"].post("/api/v2/dags/retrain_classifier/dagRuns", json={"logical_date": None}).json()
    with closing(sqlite3.connect(home / "airflow.db", timeout=60)) as database:
        where = "dag_id = 'retrain_classifier' AND task_id = 'approve' AND run_id = ?"
        database.execute(f"UPDATE task_instance SET state = 'awaiting_input' WHERE {where}", [run["dag_run_id"]])
        [(task,)] = database.execute(f"SELECT id FROM task_instance WHERE {where}", [run["dag_run_id"]])
        database.execute(
            "INSERT INTO hitl_detail (ti_id, options, subject, params, params_input, created_at) "
            "VALUES (?, '[]', ?, '{}', '{}', ?)",
            [task, f"Shall these weights go live? {bucket.SCRIPT}", "2026-01-01 00:00:00.000000"],
        )
        database.commit()
    assert "Shall these weights go live? &lt;script&gt;" in overview(clients)
    with closing(sqlite3.connect(home / "airflow.db", timeout=60)) as database:
        database.execute("UPDATE hitl_detail SET responded_at = '2026-01-01 00:01:00.000000'")
        database.commit()
    assert "Shall these weights go live?" not in overview(clients)


def test_a_run_that_ended_well_says_what_came_of_it(clients, session):
    admin = clients["admin"]
    run = admin.post("/api/v2/dags/retrain_classifier/dagRuns", json={"logical_date": None, "dag_run_id": "nightly"})
    run.raise_for_status()
    admin.patch("/api/v2/dags/retrain_classifier/dagRuns/nightly", json={"state": "success"}).raise_for_status()
    assert "New weights went live: Proven better. Because &lt;script&gt;" in overview(clients)


def test_a_key_in_a_sentence_is_a_link(clients, session):
    [model, *_] = [one.key for one in session.store.list_objects("models/classifier") if "manifest" in one.key]
    fail(clients["admin"], "learning_curve", "draw", {"failure": f"{model} is not signed."})
    assert f"<code>{model.split('/')[2][:8]}</code></a> is not signed." in overview(clients)
