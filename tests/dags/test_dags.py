"""The DAGs as Airflow reads them: they parse, are documented, and know which errors a retry can help."""

from datetime import timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DAGS = ("prepare_dataset", "promote_weights", "retrain_classifier", "train_filter")


@pytest.fixture(scope="module")
def dags(tmp_path_factory):
    """The DAG files, parsed by Airflow with a home of its own."""
    home = tmp_path_factory.mktemp("airflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(home))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        patch.setenv("AIRFLOW__CORE__UNIT_TEST_MODE", "False")
        patch.syspath_prepend(str(ROOT / "plugins"))
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return bag.dags


def test_the_four_dags_are_there(dags):
    assert sorted(dags) == sorted(DAGS)


@pytest.mark.parametrize("name", DAGS)
def test_a_dag_says_what_to_do_when_it_fails(dags, name):
    assert "**When it fails**" in dags[name].doc_md
    assert dags[name].tags == {"carpipe"}
    assert dags[name].catchup is False


@pytest.mark.parametrize("name", DAGS)
def test_every_param_has_a_schema_and_a_meaning(dags, name):
    for param in dags[name].params.dump():
        schema = dags[name].params.get_param(param)
        assert schema.description, param
        assert schema.schema.get("type"), param


@pytest.mark.parametrize("name", DAGS)
def test_every_task_retries_with_backoff(dags, name):
    for task in dags[name].tasks:
        assert task.retries == 3, task.task_id
        assert task.retry_exponential_backoff, task.task_id


@pytest.mark.parametrize(
    ("error", "action"),
    [
        ("UnavailableError", "RETRY"),
        ("ConflictError", "RETRY"),
        ("InputError", "FAIL"),
        ("ConfigError", "FAIL"),
        ("AccessError", "FAIL"),
        ("ValidationError", "FAIL"),
        ("MissingError", "FAIL"),
    ],
)
def test_only_errors_that_may_pass_are_retried(dags, error, action):
    from carpipe import errors

    policy = dags["prepare_dataset"].get_task("inventory").retry_policy

    assert policy.evaluate(getattr(errors, error)("x"), 1, 3).action.name == action


def test_an_unforeseen_error_is_retried(dags):
    policy = dags["prepare_dataset"].get_task("inventory").retry_policy

    assert policy.evaluate(MemoryError(), 1, 3).action.name == "DEFAULT"


def test_stages_are_mapped_over_partitions_with_labels(dags):
    dag = dags["prepare_dataset"]

    for name in ("partition.clean", "partition.filter_cars", "partition.crop"):
        assert dag.get_task(name).get_closest_mapped_task_group() is not None
        assert dag.get_task(name).map_index_template == "{{ partition }}"
    assert dag.get_task("pack").is_mapped


@pytest.mark.parametrize("name", ["train_filter", "retrain_classifier"])
@pytest.mark.parametrize("task_id", ["train", "evaluate", "gate"])
def test_networks_run_on_the_gpu_workers(dags, name, task_id):
    task = dags[name].get_task(task_id)
    assert (task.queue, task.pool) == ("gpu", "gpu")


@pytest.mark.parametrize("name", ["train_filter", "retrain_classifier"])
def test_weights_go_live_by_the_gate_or_by_a_person(dags, name):
    publish, approve = dags[name].get_task("publish"), dags[name].get_task("approve")

    assert publish.upstream_task_ids == {"gate", "decide", "approve"}
    assert publish.trigger_rule == "none_failed_min_one_success"
    assert dags[name].get_task("decide").downstream_task_ids == {"approve", "publish"}
    # Nobody's answer is a no.
    assert approve.defaults == ["Reject"]
    assert approve.response_timeout < timedelta(days=1)


@pytest.mark.parametrize(
    ("outcome", "chosen"),
    [("publish", "publish"), ("ask", "approve"), ("refuse", None), ("nothing_to_do", None)],
)
def test_the_gates_outcome_chooses_the_way(dags, outcome, chosen):
    assert dags["retrain_classifier"].get_task("decide").python_callable({"outcome": outcome}) == chosen
