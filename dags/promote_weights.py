"""
### Make a published model the live one

Moves a channel to any model under `models/`: forward, or back to an older one when the live one
disappoints. Consumers follow within their polling interval; the change and its reason are kept in
`channels/<name>/history/`.

**When it fails**, there is no such model (`carpipe weights list <channel>` lists them), or
somebody else moved the channel at the same moment: look at what is live now, and run it again. Or the model's
manifest is not what it was when it was live, or it is not signed as the settings want it: the message says which,
and `carpipe weights verify` looks again. A message about it that could not be sent fails nothing: see the task's log.
"""

from airflow.sdk import dag, task

from carpipe_airflow.dag_defaults import DEFAULT_ARGS, WEIGHTS
from carpipe_airflow.form import RARELY, field, model_field, required, value_now
from carpipe_airflow.notify import announce, tell_published
from carpipe_airflow.task_session import open_task_session, run_facts

# The setting that names the channel of the classifier.
CHANNEL = "classifier.channel"


@dag(
    schedule=None,
    default_args=DEFAULT_ARGS,
    description="Make another model live, an older one too.",
    doc_md=__doc__,
    tags=["carpipe"],
    params={
        "model": model_field(),
        "channel": required(
            "Channel",
            "The channel that the model is of. Apps follow it.",
            default=value_now(CHANNEL) or "classifier",
            expected="the name of a channel",
            choices="channels",
        ),
        "reason": required(
            "Reason",
            "One line. Kept in the history of the channel.",
            default="by hand",
            expected="a line of text",
            pattern=r"^[^\x00-\x1f\x7f]+$",
        ),
        "manifest_sha256": field(
            None,
            "string",
            "sha256 of the manifest",
            "No other manifest than this one goes live. Left empty: as it is now, or as it was when it was live.",
            expected="the 64 hexadecimal digits of a sha256, or nothing",
            section=RARELY,
            pattern="^([0-9a-f]{64})?$",
        ),
    },
)
def promote_weights():
    @task(outlets=[WEIGHTS], on_success_callback=tell_published)
    def promote(*, params, outlet_events) -> str:
        from carpipe.steps.models.publish import promote

        session = open_task_session()
        meant = {"reason": params["reason"], "manifest_sha256": params["manifest_sha256"] or ""}
        release = promote(session, params["channel"], params["model"], **meant, **run_facts())
        outlet_events[WEIGHTS].extra = {"channel": release.channel, "manifest": release.model}
        announce(session, release)
        return release.model

    promote()


promote_weights()
