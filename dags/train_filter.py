"""
### From labels to a live car filter

Trains the model that tells exterior photos of cars (`auto`) from everything else (`no_auto`) on the
labelled photos, judges it on photos of cars it was not trained on, and makes it the live model of its
channel. `prepare_dataset` uses it from its next run on; photos that were cropped before are not
cropped again.

**When it fails**, the task's log ends in one sentence that says what to do: no labels
(`carpipe labels import <file>`), labels that match no photo, too few photos of a label, missing backbone weights.
The live filter stays as it was. A `train` that stays queued lacks a worker on queue `gpu`, one that stays scheduled a
slot of pool `gpu`.
"""

from airflow.sdk import dag, task

from carpipe_airflow.dag_defaults import DEFAULT_ARGS
from carpipe_airflow.form import epochs
from carpipe_airflow.task_session import open_task_session
from carpipe_airflow.train_and_publish import train_and_publish

SETTINGS = {
    "head_epochs": "car_filter.head_epochs",
    "finetune_epochs": "car_filter.finetune_epochs",
}


@dag(
    schedule=None,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    description="Labelled photos to the car filter's weights, live if the gate lets them.",
    doc_md=__doc__,
    tags=["carpipe"],
    params=epochs("car_filter"),
)
def train_filter():
    @task
    def label_set() -> str:
        from carpipe.steps.labels.label_set import label_set

        return label_set(open_task_session(**SETTINGS)).key

    train_and_publish(label_set(), model="car_filter", settings=SETTINGS)


train_filter()
