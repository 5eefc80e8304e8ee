"""The DAGs as Airflow reads them: they parse, are documented, and know which errors a retry can help."""

from copy import copy
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DAGS = ("learning_curve", "prepare_dataset", "promote_weights", "retrain_classifier", "train_filter")


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


def test_the_five_dags_are_there(dags):
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
        assert "`" not in schema.description, f"{param}: Airflow shows it as it is"
        assert schema.schema.get("type"), param
        assert schema.schema.get("title"), param
        assert schema.schema.get("expected"), f"{param}: what is wrong with a value is said in a sentence"


def test_forms_show_what_the_settings_say(tmp_path):
    file = tmp_path / "carpipe.toml"
    file.write_text("[classes]\nmin_photos = 7\n[classifier]\nchannel = 'cars'\nstart = 'cold'\n")

    found = parsed(CARPIPE_CONFIG=str(file))

    prepare, retrain = found["prepare_dataset"].params, found["retrain_classifier"].params
    assert (prepare["min_photos"], prepare["max_photos"]) == (7, 1500)
    assert (retrain["start"], retrain["finetune_epochs"], retrain["dataset"]) == ("cold", 28, None)
    assert found["promote_weights"].params["channel"] == "cars"


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


def test_the_live_classifier_answers_what_is_new_before_it_is_trained_on(dags):
    score = dags["retrain_classifier"].get_task("score")

    assert score.upstream_task_ids == {"anything_new"}
    assert score.downstream_task_ids == {"train"}
    assert (score.queue, score.pool) == ("gpu", "gpu")
    assert not dags["train_filter"].has_task("score")
    train = dags["retrain_classifier"].get_task("train")
    assert train.trigger_rule == "all_done_min_one_success", "a night goes on where it fails"


def test_advice_on_classes_is_made_of_every_evaluation_and_nothing_waits_for_it(dags):
    advise = dags["retrain_classifier"].get_task("advise")

    assert (advise.upstream_task_ids, advise.downstream_task_ids) == ({"evaluate"}, set())
    suspects = dags["retrain_classifier"].get_task("suspects")
    assert (suspects.upstream_task_ids, suspects.downstream_task_ids) == ({"evaluate", "anything_new"}, set())
    assert not dags["train_filter"].has_task("advise")
    assert not dags["train_filter"].has_task("suspects")


def test_points_of_a_learning_curve_are_mapped_over_shares_that_were_checked(dags):
    dag = dags["learning_curve"]
    point = dag.get_task("point")

    assert point.is_mapped
    assert point.upstream_task_ids == {"choose_dataset", "choose_shares"}
    assert (point.partial_kwargs["queue"], point.partial_kwargs["pool"]) == ("gpu", "gpu")
    assert point.map_index_template == "{{ partition }}"
    assert dag.get_task("draw").upstream_task_ids == {"choose_dataset", "point"}
    assert dag.params["shares"] == [0.25, 0.5, 1]
    assert dag.timetable.can_be_scheduled is False, "by hand"


def test_a_night_trains_before_the_next_point_of_a_curve(dags):
    """Both wait for the pool; Airflow runs first what more tasks wait for."""
    night, point = dags["retrain_classifier"].get_task("train"), dags["learning_curve"].get_task("point")

    assert night.weight_rule == point.weight_rule
    assert len(night.get_flat_relative_ids(upstream=False)) > len(point.get_flat_relative_ids(upstream=False))


@pytest.mark.parametrize(("name", "model"), [("train_filter", "car_filter"), ("retrain_classifier", "classifier")])
def test_attempts_of_one_run_start_their_training_alike(dags, name, model, monkeypatch):
    call = dags[name].get_task("train").python_callable
    given = []

    def train(session, source, **facts):
        given.append((session, source, facts))
        return SimpleNamespace(key="trained")

    monkeypatch.setattr("carpipe.steps.models.train.train", train)
    monkeypatch.setitem(call.__globals__, "open_task_session", lambda **settings: "session")
    monkeypatch.setitem(call.__globals__, "run_facts", lambda: {"run": "scheduled__1", "at": "now"})

    assert call("dataset") == "trained"
    assert given == [("session", "dataset", {"model": model, "run": "scheduled__1"})]


@pytest.mark.parametrize("name", ["train_filter", "retrain_classifier"])
def test_weights_go_live_by_the_gate_or_by_a_person(dags, name):
    publish, approve = dags[name].get_task("publish"), dags[name].get_task("approve")

    assert publish.upstream_task_ids == {"gate", "decide", "approve"}
    assert publish.trigger_rule == "none_failed_min_one_success"
    assert dags[name].get_task("decide").downstream_task_ids == {"approve", "publish"}
    # Nobody's answer is a no.
    assert approve.defaults == ["Reject"]
    assert approve.response_timeout < timedelta(days=1)


@pytest.mark.parametrize("name", ["train_filter", "retrain_classifier"])
def test_who_is_asked_finds_the_gates_words_and_the_pages_of_the_model(dags, name, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/air/")
    text = "gate: ask\n  Too few.\n  Ruined: [kia](https://evil.example) <b>_rio_, www.evil.example, a@b.example."
    verdict = {"text": text, "model": f"models/classifier/{'a' * 20}/manifest.json"}
    approve = copy(dags[name].get_task("approve"))

    approve.render_template_fields({"ti": SimpleNamespace(xcom_pull=lambda task_ids: {"gate": verdict}[task_ids])})

    pages = approve.body.splitlines()[-1]
    page = f"https://airflow.example/air/plugin/carpipe/air/carpipe/weights/classifier/{'a' * 20}"
    assert approve.body.splitlines() == [
        "- Too few.",
        "- Ruined: \\[kia\\](https:\u200b//evil.example) \\<b\\>\\_rio\\_, www\u200b.evil.example, a@\u200bb.example.",
        "",
        f"[Model card]({page}/card), [Evaluation]({page}/evaluation)",
    ]
    verdict["compared"] = True
    approve = copy(dags[name].get_task("approve"))
    approve.render_template_fields({"ti": SimpleNamespace(xcom_pull=lambda task_ids: verdict)})
    assert approve.body.splitlines()[-1] == f"{pages}, [Comparison]({page}/comparison)"


@pytest.mark.parametrize(
    ("outcome", "chosen"),
    [("publish", "publish"), ("ask", "approve"), ("refuse", None), ("nothing_to_do", None)],
)
def test_the_gates_outcome_chooses_the_way(dags, outcome, chosen):
    assert dags["retrain_classifier"].get_task("decide").python_callable({"outcome": outcome}) == chosen


@pytest.mark.parametrize("name", DAGS)
def test_every_task_tells_of_its_failure(dags, name):
    for task in dags[name].tasks:
        if not task.is_mapped:
            assert [call.__name__ for call in task.on_failure_callback] == ["tell_failure"], task.task_id


@pytest.mark.parametrize(("name", "task_id"), [("retrain_classifier", "publish"), ("promote_weights", "promote")])
def test_tasks_that_publish_tell_of_it(dags, name, task_id):
    assert [call.__name__ for call in dags[name].get_task(task_id).on_success_callback] == ["tell_published"]


def parsed(**variables):
    """The DAGs of a deployment with these variables."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in variables.items():
            patch.setenv(variable, value)
        patch.syspath_prepend(str(ROOT / "plugins"))
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return bag.dags


@pytest.mark.parametrize(
    ("name", "hours"), [("prepare_dataset", 20), ("retrain_classifier", 20), ("train_filter", None)]
)
def test_nightly_runs_count_as_late(dags, name, hours):
    alerts = dags[name].deadline or []
    assert [alert.interval for alert in alerts] == ([timedelta(hours=hours)] if hours else [])
    assert [alert.callback.path for alert in alerts] == (["carpipe_airflow.notify.tell_late"] if hours else [])


def test_a_deployment_may_wait_have_no_deadline_and_ask_for_gpus(dags):
    assert "wait_for_upload" not in dags["prepare_dataset"].task_dict
    assert dags["retrain_classifier"].get_task("train").executor_config == {}

    found = parsed(CARPIPE_WAIT_FOR="raw/_complete/{{ ds }}", CARPIPE_DEADLINE_H="0", CARPIPE_GPU_POD="{}")

    prepare, retrain = found["prepare_dataset"], found["retrain_classifier"]
    assert prepare.get_task("wait_for_upload").downstream_task_ids == {"inventory"}
    assert prepare.params["wait_for"] == "raw/_complete/{{ ds }}"
    assert not prepare.deadline
    for task_id in ("train", "evaluate", "gate"):
        pod = retrain.get_task(task_id).executor_config["pod_override"]
        assert pod.spec.containers[0].resources.limits == {"nvidia.com/gpu": "1"}
    assert retrain.get_task("package").executor_config == {}


@pytest.mark.parametrize(
    "line",
    [
        "# x", "###### x", "1. x", "1) x", "12345. x", "- x", "+ x", "* x", "---", "===", "***", "> x", "| a | b |",
        "`x`", "```", "~~~", "~~x~~", "[x](http://a.b)", "![x](http://a.b/c.png)", "<b>x</b>", "&amp;", "http://a.b",
        "www.a.b", "a@b.c", "[^1]", "[ ] x", "x_y_z", "\\# x", "1\\. x", "-", "+", "#", "1.", "=", "-5 points", "1.5 %",
        "(1) x",
    ],
)  # fmt: skip
def test_what_the_gate_says_is_text_to_markdown(dags, line):
    verdict = {"text": f"gate: ask\n  {line}", "model": f"models/classifier/{'a' * 20}/manifest.json"}
    approve = copy(dags["retrain_classifier"].get_task("approve"))
    approve.render_template_fields({"ti": SimpleNamespace(xcom_pull=lambda task_ids: verdict)})
    page = MarkdownIt("gfm-like", {"linkify": False})

    shown = page.parse(approve.body)

    kinds = ["bullet_list_open", "list_item_open", "paragraph_open", "inline", "paragraph_close", "list_item_close"]
    assert [token.type for token in shown[:7]] == [*kinds, "bullet_list_close"]
    assert {child.type for child in shown[3].children} <= {"text", "text_special"}
    assert shown[3].children[0].content.replace("\u200b", "") == line
