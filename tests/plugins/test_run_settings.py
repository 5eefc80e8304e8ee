"""The settings of a run go from the task that plans it to all others."""

import logging
from types import SimpleNamespace

import pytest


class Tasks:
    """XComs of one run: each `ti` of it reads and writes here."""

    def __init__(self):
        self.kept = {}

    def ti(self, task_id):
        return SimpleNamespace(
            task_id=task_id,
            xcom_push=lambda key, value: self.kept.update({(task_id, key): value}),
            xcom_pull=lambda *, task_ids, key: self.kept.get((task_ids, key)),
        )


@pytest.fixture
def tasks(session, running, monkeypatch, tmp_path):
    """Open a session in a task of a run, under a configuration file that says what is given."""
    file = tmp_path / "carpipe.toml"
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    monkeypatch.setenv("CARPIPE_CONFIG", str(file))
    monkeypatch.setenv("CARPIPE_S3_CONNECTION", "")
    run = Tasks()

    def open_in(task_id, *, threshold, shown=None, **conf):
        from airflow.sdk import DAG, Param

        from carpipe_airflow.task_session import open_task_session

        file.write_text(f"[filter]\nthreshold = {threshold}\n")
        dag = DAG("test", schedule=None, params={"sure": Param(shown)})
        started = SimpleNamespace(conf=conf)
        with running(ti=run.ti(task_id), dag=dag, dag_run=started, params={"sure": shown, **conf}):
            return open_task_session(fixed_by="plan", sure="filter.threshold").config.filter.threshold

    return open_in


def test_a_file_that_is_edited_at_night_changes_no_run_that_is_under_way(tasks, caplog):
    assert tasks("plan", threshold=0.8) == 0.8
    with caplog.at_level(logging.WARNING):
        assert tasks("partition.clean", threshold=0.6) == 0.8
    assert "goes on with the settings that it was planned with: filter.threshold 0.8 (here 0.6)" in caplog.text
    assert "clear the task `plan` and all that comes after it" in caplog.text


def test_whoever_clears_the_plan_has_them_read_anew(tasks):
    tasks("plan", threshold=0.8)
    assert tasks("plan", threshold=0.6) == 0.6
    assert tasks("dataset", threshold=0.6) == 0.6


def test_a_run_that_an_earlier_version_has_planned_goes_on(tasks):
    assert tasks("dataset", threshold=0.6) == 0.6


def test_what_a_form_has_shown_and_nobody_has_sent_changes_nothing(tasks):
    """A scheduled run: the machine that has read the DAG may have another file."""
    assert tasks("plan", threshold=0.8, shown=0.6) == 0.8


def test_what_is_sent_counts_and_the_log_says_what_it_changes(tasks, caplog):
    with caplog.at_level(logging.INFO):
        assert tasks("plan", threshold=0.8, shown=0.6, sure=0.6) == 0.6
    assert "started with other settings than those of here: filter.threshold 0.6 (here 0.8)" in caplog.text


def test_a_form_that_was_sent_as_it_was_says_nothing(tasks, caplog):
    with caplog.at_level(logging.INFO):
        assert tasks("plan", threshold=0.8, shown=0.8, sure=0.8) == 0.8
    assert "other settings" not in caplog.text


def test_a_field_that_was_emptied_leaves_it_to_the_settings(tasks):
    assert tasks("plan", threshold=0.8, shown=0.6, sure=None) == 0.8
