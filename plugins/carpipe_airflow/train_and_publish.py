"""The tasks that `train_filter` and `retrain_classifier` have in common: from data to live weights."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import task

from carpipe.names import in_markdown
from carpipe_airflow.dag_defaults import WEIGHTS
from carpipe_airflow.gpu_pods import gpu_task
from carpipe_airflow.notify import announce, tell_published
from carpipe_airflow.pages.links import full_address
from carpipe_airflow.task_session import open_task_session, run_facts

# A person who does not answer by then means no: the weights stay packaged, `promote_weights` can publish them.
ANSWER_WITHIN = timedelta(hours=20)


def train_and_publish(source: Any, *, model: Literal["car_filter", "classifier"], settings: Mapping[str, str]) -> None:
    """Wire anything_new -> [score] -> train -> evaluate -> package -> gate -> [approve] -> publish.

    Args:
        source: a task's result, the manifest key of the dataset or label set.
        model: section of the configuration to train by.
        settings: dotted setting by name of the DAG parameter that overrides it.
    """

    gpu = gpu_task()

    @task.short_circuit
    def anything_new(source: str) -> str | None:
        from carpipe.steps.models.gate import find_nothing_new

        found = find_nothing_new(open_task_session(**settings), source, model=model, **run_facts())
        return None if found else source

    @task(**gpu)
    def score(source: str) -> str:
        from carpipe.steps.models.score import score

        return score(open_task_session(**settings), source, at=run_facts()["at"])

    @task(**gpu)
    def train(source: str) -> str:
        from carpipe.steps.models.train import train

        return train(open_task_session(**settings), source, model=model).key

    @task(**gpu)
    def evaluate(trained: str, source: str) -> str:
        from carpipe.steps.models.evaluate import evaluate

        return evaluate(open_task_session(**settings), trained, source, at=run_facts()["at"]).key

    @task
    def package(evaluated: str) -> str:
        from carpipe.steps.models.package import package

        return package(open_task_session(signs=True, **settings), evaluated, model=model).key

    @task(**gpu)
    def gate(packaged: str) -> dict[str, Any]:
        from dataclasses import asdict

        from carpipe.steps.models.gate import gate

        return asdict(gate(open_task_session(**settings), packaged, model=model, **run_facts()))

    @task.branch
    def decide(verdict: dict[str, Any]) -> str | None:
        return {"publish": "publish", "ask": "approve"}.get(verdict["outcome"])

    approve = ApprovalOperator(
        task_id="approve",
        subject="Shall these weights go live?",
        body=_question,
        defaults="Reject",
        response_timeout=ANSWER_WITHIN,
    )

    @task(outlets=[WEIGHTS], trigger_rule="none_failed_min_one_success", on_success_callback=tell_published)
    def publish(verdict: dict[str, Any], *, ti: Any, outlet_events: Any) -> str:
        from carpipe.steps.models.publish import publish

        answer = ti.xcom_pull(task_ids="approve") if verdict["outcome"] == "ask" else {}
        by = (answer.get("responded_by_user") or {}).get("name", "")
        reason = f"approved by {by}" if by else verdict["reason"]
        expected = int(verdict["generation"])
        session = open_task_session(**settings)
        release = publish(
            session,
            verdict["model"],
            model=model,
            reason=reason,
            expected=expected,
            # A gate of carpipe 0.1.0 has not said.
            manifest_sha256=verdict.get("manifest_sha256", ""),
            **run_facts(),
        )
        outlet_events[WEIGHTS].extra = {"channel": release.channel, "manifest": release.model}
        announce(session, release)
        return release.model

    new = anything_new(source)
    trained = train(new)
    if model == "classifier":
        score(new) >> trained
    verdict = gate(package(evaluate(trained, new)))
    published = publish(verdict)
    decide(verdict) >> [approve, published]
    approve >> published


def _question(context: Any, jinja_env: Any) -> str:
    """What a person decides by, Markdown: what the gate said, and where to read more about the model."""
    verdict = context["ti"].xcom_pull(task_ids="gate")
    said = [in_markdown(line.strip()) for line in verdict["text"].splitlines()[1:]]
    names = ("Model card", "Evaluation", *(["Comparison"] if verdict.get("compared") else []))
    pages = [f"[{name}]({full_address(verdict['model'], name)})" for name in names]
    return "\n".join([*(f"- {line}" for line in said), "", ", ".join(pages)])
