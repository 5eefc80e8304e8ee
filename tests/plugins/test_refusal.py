"""What a task says that refuses bad data."""

import logging

import pytest

from carpipe.errors import InputError, ValidationError

SAID = "The dataset broke 1 expectation of 2:\n- no car has wings\nDataset report: http://airflow/report"


def refused(error):
    from carpipe_airflow.refusal import RefusalError, without_traceback

    with pytest.raises(RefusalError) as stopped, without_traceback():
        raise error
    return stopped.value


def test_bad_data_is_told_line_by_line(caplog):
    with caplog.at_level(logging.ERROR):
        refused(ValidationError(SAID))
    assert caplog.messages == SAID.splitlines()
    assert not any(record.exc_info for record in caplog.records)


def test_airflow_takes_it_for_the_end_of_the_task_and_carpipe_for_the_error():
    """A SystemExit is the one kind of failure that Airflow logs without a traceback."""
    from airflow.sdk import RetryAction

    from carpipe_airflow.dag_defaults import RETRIES
    from carpipe_airflow.notify import failure_message
    from tests.plugins.test_notify import failed

    found = refused(ValidationError(SAID))

    assert isinstance(found, SystemExit)
    assert found.code == 1
    assert found.__cause__ is None
    assert found.__suppress_context__
    assert RETRIES.evaluate(found, 1, 3).action is RetryAction.FAIL
    assert "- no car has wings" in failure_message(failed(found)).text


def test_other_errors_go_on_as_they_are():
    from carpipe_airflow.refusal import without_traceback

    with pytest.raises(InputError), without_traceback():
        raise InputError("x")
