"""Tell people, by mail and SNS: a task has failed for good, a nightly run is late, new weights are live.

Whom, is chosen by `CARPIPE_NOTIFY_MAIL` and `CARPIPE_NOTIFY_SNS`; nobody by default. A message that cannot be sent is
logged, and changes nothing else: it is sent after the task's state is known to Airflow.
"""

import html
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import get_current_context
from airflow.sdk.configuration import conf

from carpipe.errors import CarpipeError
from carpipe_airflow.deployment import Deployment, deployment

if TYPE_CHECKING:
    from carpipe.steps.session import Session
    from carpipe.weights.channel import Release

log = logging.getLogger(__name__)

# Of the mapped tasks that fail in a run, all for the same reason as a rule, so many are told of.
MAPPED_TOLD = 3
# Characters of a reason: that of a broken dataset lists every rule that it breaks.
REASON = 4000
NEWS = "carpipe_news"
# By this key a task that has failed says why, for pages.
FAILURE = "failure"


@dataclass(frozen=True)
class Message:
    """What people get. `subject` is one line."""

    subject: str
    text: str


def tell_failure(context: Mapping[str, Any]) -> None:
    """`on_failure_callback` of every task: DAG, task, run, reason and where the log is."""
    _leave_reason(context)
    try:
        chosen = deployment()
        if (chosen.mail or chosen.sns) and not _told_often_enough(context["ti"]):
            _send(chosen, failure_message(context), context)
    except Exception:
        log.exception("nobody was told of the failure")


def _leave_reason(context: Mapping[str, Any]) -> None:
    """Leave the sentence of the failure with the task, for the first page of carpipe's."""
    try:
        context["ti"].xcom_push(key=FAILURE, value=_reason(context.get("exception")))
    except Exception:
        log.exception("pages will not say why the task failed")


def announce(session: "Session", release: "Release") -> None:
    """Note what a task has published, for `tell_published` to tell of when the task has succeeded."""
    from carpipe.steps.models.publish import describe_release

    try:
        chosen = deployment()
        if chosen.mail or chosen.sns:
            news = Message(f"carpipe: new weights in channel {release.channel}", describe_release(session, release))
            get_current_context()[NEWS] = news  # type: ignore[literal-required]  # ours
    except Exception:
        log.exception("nobody will be told of generation %d", release.generation)


def tell_published(context: Mapping[str, Any]) -> None:
    """`on_success_callback` of tasks that publish: channel, generation, figures and reason."""
    try:
        if NEWS in context:
            text = f"{context[NEWS].text}\n\nlog: {context['ti'].log_url}"
            _send(deployment(), Message(context[NEWS].subject, text), context)
    except Exception:
        log.exception("nobody was told of the new weights")


async def tell_late(context: Mapping[str, Any]) -> None:
    """Callback of a missed deadline; runs in the triggerer."""
    from asgiref.sync import sync_to_async

    message = late_message(context)
    log.warning("%s", message.subject)
    try:
        # In a thread of its own: a mail server that hangs must not hold up other triggers.
        await sync_to_async(_send, thread_sensitive=False)(deployment(), message, context)
    except Exception:
        log.exception("nobody was told that the run is late")


def failure_message(context: Mapping[str, Any]) -> Message:
    """What is said of a task that has failed."""
    ti = context["ti"]
    rows = [
        ("DAG", ti.dag_id),
        ("task", ti.task_id + (f", {context['partition']}" if context.get("partition") else "")),
        ("run", ti.run_id),
        ("reason", _reason(context.get("exception"))),
        ("log", ti.log_url),
    ]
    return Message(f"carpipe: {ti.dag_id}.{ti.task_id} failed", _table(rows))


def late_message(context: Mapping[str, Any]) -> Message:
    """What is said of a run that has missed its deadline."""
    run = context["dag_run"]
    dag, run_id = run["dag_id"], run["dag_run_id"]
    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    rows = [
        ("DAG", dag),
        ("run", run_id),
        ("reason", f"it was to be done by {context['deadline']['deadline_time']}, and is not"),
        ("page", f"{base}/dags/{dag}/runs/{quote(run_id)}"),
    ]
    return Message(f"carpipe: {dag} is late", _table(rows))


def _reason(error: BaseException | str | None) -> str:
    """The sentence of one of carpipe's errors, which says what to do; of others their kind, too."""
    text = str(error) if isinstance(error, CarpipeError | str) else f"{type(error).__name__}: {error}"
    return text[:REASON] if error is not None else "unknown; the log may say more"


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name + ':':<8} {value}" for name, value in rows)


def _told_often_enough(ti: Any) -> bool:
    """Whether so many of these mapped tasks have failed by now that one more is no news."""
    if ti.map_index is None or ti.map_index < 0:
        return False
    failed = ti.get_ti_count(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], states=["failed"])
    return int(failed) >= MAPPED_TOLD


def _send(chosen: Deployment, message: Message, context: Mapping[str, Any]) -> None:
    """By every way that is chosen; where one fails, by the others all the same."""
    for way, notifier in _notifiers(chosen, message):
        try:
            # Not called, which would render what others have written as a template.
            notifier.notify(context)
            log.info("sent by %s: %s", way, message.subject)
        except Exception:
            log.exception("could not be sent by %s: %s", way, message.subject)


def _notifiers(chosen: Deployment, message: Message) -> Iterator[tuple[str, Any]]:
    if chosen.mail:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        yield (
            "mail",
            SmtpNotifier(
                to=list(chosen.mail),
                subject=message.subject,
                html_content=f'<pre style="white-space: pre-wrap">{html.escape(message.text)}</pre>',
                smtp_conn_id=chosen.mail_connection,
            ),
        )
    if chosen.sns:
        from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

        yield (
            "SNS",
            SnsNotifier(
                target_arn=chosen.sns,
                # arn:aws:sns:<region>:<account>:<topic>
                region_name=(chosen.sns.split(":") + [""] * 4)[3] or None,
                # SNS refuses longer subjects, and other letters in them.
                subject=message.subject.encode("ascii", "replace").decode()[:99],
                message=message.text,
                aws_conn_id=chosen.connection or None,
            ),
        )
