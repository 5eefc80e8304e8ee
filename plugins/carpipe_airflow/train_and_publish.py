"""The tasks that `train_filter` and `retrain_classifier` have in common: from data to live weights."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from carpipe.errors import InputError
from carpipe.names import in_markdown
from carpipe_airflow.dag_defaults import WEIGHTS
from carpipe_airflow.gpu_pods import gpu_task
from carpipe_airflow.notify import announce, tell_published
from carpipe_airflow.pages.links import full_address
from carpipe_airflow.task_session import open_task_session, run_facts

# The task whose settings are those of the run.
FIXES = "anything_new"
# A person who does not answer by then means no: the weights stay packaged, `promote_weights` can publish them.
ANSWER_WITHIN = timedelta(hours=20)


Model = Literal["car_filter", "classifier"]


def train_and_publish(source: Any, *, model: Model, settings: Mapping[str, str]) -> None:
    """Wire anything_new -> [score] -> train -> evaluate -> [advise, suspects], package -> gate -> [approve] -> publish.

    Args:
        source: a task's result, the manifest key of the dataset or label set.
        model: section of the configuration to train by.
        settings: dotted setting by name of the DAG parameter that overrides it.
    """

    @task.short_circuit
    def anything_new(source: str) -> str | None:
        from carpipe.steps.models.gate import find_nothing_new

        found = find_nothing_new(open_task_session(fixed_by=FIXES, **settings), source, model=model, **run_facts())
        return None if found else source

    new = anything_new(source)
    verdict = _gate(_train(new, model=model, settings=settings), model=model, settings=settings)
    _publish(verdict, model=model, settings=settings)


def _train(new: Any, *, model: Model, settings: Mapping[str, str]) -> Any:
    """[score] -> train -> evaluate -> [advise, suspects], package, whose result is returned."""
    gpu = gpu_task()

    @task(**gpu)
    def score(source: str) -> str:
        from carpipe.steps.models.new_models import tell_new_models
        from carpipe.steps.models.score import score

        session = open_task_session(fixed_by=FIXES, **settings)
        said = score(session, source, at=run_facts()["at"])
        return f"{said} {tell_new_models(session, source)}".strip()

    # What `score` finds out decides nothing, so a night goes on without.
    @task(**gpu, trigger_rule="all_done_min_one_success")
    def train(source: str) -> str:
        from carpipe.steps.models.train import train

        return train(open_task_session(fixed_by=FIXES, **settings), source, model=model, run=run_facts()["run"]).key

    @task(**gpu)
    def evaluate(trained: str, source: str) -> str:
        from carpipe.steps.models.evaluate import evaluate

        return evaluate(open_task_session(fixed_by=FIXES, **settings), trained, source, at=run_facts()["at"]).key

    @task
    def advise(evaluated: str) -> str:
        from carpipe.steps.models.advice import propose

        return propose(open_task_session(fixed_by=FIXES, **settings), evaluated)

    @task
    def suspects(source: str) -> str:
        from carpipe.steps.listings.store import current_corrections
        from carpipe.steps.models.suspects import suspects

        session = open_task_session(fixed_by=FIXES, **settings)
        try:
            return suspects(session, source, settled={*current_corrections(session)}).key
        except InputError as error:  # no model has answered a listing that it was not trained on
            raise AirflowSkipException(str(error)) from None

    @task
    def package(evaluated: str) -> str:
        from carpipe.steps.models.package import package

        return package(open_task_session(signs=True, fixed_by=FIXES, **settings), evaluated, model=model).key

    trained = train(new)
    evaluated = evaluate(trained, new)
    if model == "classifier":
        score(new) >> trained
        advise(evaluated)
        evaluated >> suspects(new)
    return package(evaluated)


def _gate(packaged: Any, *, model: Model, settings: Mapping[str, str]) -> Any:
    """gate; its verdict."""

    @task(**gpu_task())
    def gate(packaged: str) -> dict[str, Any]:
        from dataclasses import asdict

        from carpipe.steps.models.gate import gate

        return asdict(gate(open_task_session(fixed_by=FIXES, **settings), packaged, model=model, **run_facts()))

    return gate(packaged)


def _publish(verdict: Any, *, model: Model, settings: Mapping[str, str]) -> None:
    """decide -> [approve] -> publish, by the gate's verdict."""

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
        answer = ti.xcom_pull(task_ids="approve") if verdict["outcome"] == "ask" else {}
        by = (answer.get("responded_by_user") or {}).get("name", "")
        reason = f"approved by {by}" if by else verdict["reason"]
        release = _release(open_task_session(fixed_by=FIXES, **settings), verdict, model=model, reason=reason)
        outlet_events[WEIGHTS].extra = {"channel": release.channel, "manifest": release.model}
        return str(release.model)

    published = publish(verdict)
    decide(verdict) >> [approve, published]
    approve >> published


def _release(session: Any, verdict: Mapping[str, Any], *, model: Model, reason: str) -> Any:
    """Publish what the gate judged and announce it; the release."""
    from carpipe.steps.models.publish import publish

    release = publish(
        session,
        verdict["model"],
        model=model,
        reason=reason,
        expected=int(verdict["generation"]),
        # A gate of carpipe 0.1.0 has not said.
        manifest_sha256=verdict.get("manifest_sha256", ""),
        **run_facts(),
    )
    announce(session, release)
    return release


def _question(context: Any, jinja_env: Any) -> str:
    """What a person decides by, Markdown: what the gate said, and where to read more about the model."""
    verdict = context["ti"].xcom_pull(task_ids="gate")
    said = [in_markdown(line.strip()) for line in verdict["text"].splitlines()[1:]]
    names = ("Model card", "Evaluation", *(["Comparison"] if verdict.get("compared") else []))
    pages = [f"[{name}]({full_address(verdict['model'], name)})" for name in names]
    return "\n".join([*(f"- {line}" for line in said), "", ", ".join(pages)])
