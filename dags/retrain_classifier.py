"""
### From a dataset to live make/model weights

Runs when `prepare_dataset` has made a dataset, and every night in any case. Trains, judges the model on the test
split, packages it under `models/`, and asks the gate whether it is better than the live one.

| the gate says | then |
| --- | --- |
| publish | the model goes live in its channel; apps follow |
| ask | `approve` waits for you, 20 hours at most: better on the whole, but something speaks against it |
| refuse | nothing changes; the log of `gate` says why, and `promote_weights` can publish it all the same |

Before that, `score` lets the live model answer the photos of listings that are newer than it is. How well it does is
in the log, on the evaluation page and in the gate's decision, and decides nothing. It also says which names and groups
of new listings may be new classes; the page Data shows them. After `evaluate`, `advise` says which classes should be
one, or several: see the page Classes. `suspects` looks for listings that may be in the wrong class: see the page
Review.

`anything_new` ends the run where dataset, settings and code are those of a model that was decided about before. Every
decision is kept in `channels/<channel>/decisions/`.

`anything_new` reads the settings, and all later tasks take those. Clear it and what follows to have them read anew.

**When it fails**, the task's log ends in one sentence that says what to do: no dataset yet (run `prepare_dataset`),
missing backbone weights, an empty split, a training longer than `time_limit_h`. A training that was killed goes on from
its last epoch when the task is tried again or cleared. A `train` that stays scheduled waits for a slot of pool `gpu`.
One that stays queued lacks a worker on queue `gpu` or, on Kubernetes, a node with a free GPU; it is queued again twice
(`task_queued_timeout`), then fails: clear it once there is one. The live weights stay as they were; go back to older
ones with `promote_weights`.
"""

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, task

from carpipe_airflow.dag_defaults import DATASET, DEFAULT_ARGS, deadline
from carpipe_airflow.form import TRAINING, dataset_field, epochs, setting
from carpipe_airflow.task_session import open_task_session
from carpipe_airflow.train_and_publish import train_and_publish

STARTS = {
    "auto": "auto: the live model, or anew where much has changed",
    "warm": "warm: the live model",
    "cold": "cold: anew, from the backbone",
}
SETTINGS = {
    "head_epochs": "classifier.head_epochs",
    "finetune_epochs": "classifier.finetune_epochs",
    "batch": "classifier.batch",
    "start": "classifier.start",
}


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 3 * * *", timezone="UTC", run_immediately=timedelta(0)), assets=[DATASET]
    ),
    catchup=False,
    max_active_runs=1,
    deadline=deadline(),
    default_args=DEFAULT_ARGS,
    description="A dataset to make and model weights, live if the gate lets them.",
    doc_md=__doc__,
    tags=["carpipe"],
    params={
        "dataset": dataset_field("the one just made, or the newest"),
        "start": setting(
            "classifier.start",
            "string",
            "Start from",
            "A warm training is short and has epochs of its own (classifier.warm_epochs).",
            enum=[*STARTS],
            values_display=STARTS,
        ),
        **epochs("classifier", section=TRAINING),
        "batch": setting(
            "classifier.batch", "integer", "Photos per step", "More need more memory.", section=TRAINING, minimum=1
        ),
    },
)
def retrain_classifier():
    @task(inlets=[DATASET])
    def choose_dataset(*, params, inlet_events) -> str:
        from carpipe.steps.data.datasets import find_dataset

        # Airflow's record of what was made last. The newest object would be wrong where an older dataset
        # was asked for again, and so reused.
        made = [event.extra.get("manifest") for event in inlet_events[DATASET].limit(1).ascending(False)]
        return find_dataset(open_task_session(**SETTINGS), params["dataset"] or next(iter(made), None)).key

    train_and_publish(choose_dataset(), model="classifier", settings=SETTINGS)


retrain_classifier()
