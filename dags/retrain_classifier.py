"""
### From a dataset to live make/model weights

Runs when `prepare_dataset` has made a dataset, and every night in any case. Trains, judges the model on
the test split, publishes it under `models/` and makes it the live model of its channel. A dataset that
was trained on with the same settings before is not trained on again.

**When it fails**, the task's log ends in one sentence that says what to do: no dataset yet (run
`prepare_dataset`), missing backbone weights, an empty split. The live weights stay as they were; go back
to older ones with `promote_weights`.
"""

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, dag, task

from carpipe_airflow import DATASET, DEFAULT_ARGS, WEIGHTS, open_task_session, run_facts, setting

SETTINGS = {
    "head_epochs": "classifier.head_epochs",
    "finetune_epochs": "classifier.finetune_epochs",
    "batch": "classifier.batch",
}


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 3 * * *", timezone="UTC", run_immediately=timedelta(0)), assets=[DATASET]
    ),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["carpipe"],
    params={
        "dataset": Param(
            None,
            type=["null", "string"],
            description="Manifest key under `datasets/`. Empty: the one just made, or the newest.",
        ),
        "head_epochs": setting("classifier.head_epochs", "integer", "Epochs with the backbone frozen.", minimum=0),
        "finetune_epochs": setting("classifier.finetune_epochs", "integer", "Epochs with all layers.", minimum=0),
        "batch": setting("classifier.batch", "integer", "Photos per step.", minimum=1),
    },
)
def retrain_classifier():
    @task(inlets=[DATASET])
    def choose_dataset(*, params, inlet_events) -> str:
        from carpipe.steps.summary import find_dataset

        # Airflow's record of what was made last. The newest object would be wrong where an older dataset
        # was asked for again, and so reused.
        made = [event.extra["manifest"] for event in inlet_events[DATASET].limit(1).ascending(False)]
        return find_dataset(open_task_session(**SETTINGS), params["dataset"] or next(iter(made), None)).key

    @task(queue="gpu", pool="gpu")
    def train(dataset: str) -> str:
        from carpipe.steps.training import train

        return train(open_task_session(**SETTINGS), dataset, model="classifier").key

    @task
    def evaluate(trained: str) -> str:
        from carpipe.steps.training import evaluate

        return evaluate(open_task_session(**SETTINGS), trained).key

    @task(outlets=[WEIGHTS])
    def publish(evaluated: str, *, outlet_events) -> str:
        from carpipe.steps.training import publish

        release = publish(open_task_session(**SETTINGS), evaluated, model="classifier", **run_facts())
        outlet_events[WEIGHTS].extra = {"channel": release.channel, "manifest": release.model}
        return release.model

    publish(evaluate(train(choose_dataset())))


retrain_classifier()
