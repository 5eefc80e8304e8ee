"""
### Would more photos help?

Trains the classifier on shares of the training photos, a quarter, a half and all of them by default, and judges each on
the same test photos. The page says what the last doubling brought, overall and by class. Nothing goes live.

Start it by hand. It takes about as long as trainings of these shares one after the other: `1.75` times a cold one by
default, less where all photos were trained on cold before, since that model is judged then. The pool `gpu` says how
many train at a time. A nightly training that waits goes before the next point.

Choose the dataset in the form; it shows how the epochs and the batch are set. They are the same for all shares, and
those of `retrain_classifier`.

A point is made once: another run with more shares reuses those that are there. The page is linked from the task
`draw`, and from the dataset on the page Data.

**When it fails**, the task's log ends in one sentence that says what to do: no dataset yet (run `prepare_dataset`), a
share that is too small for the classes, missing backbone weights. A training that was killed goes on from its last
epoch when the task is tried again or cleared. A `point` that stays scheduled waits for a slot of pool `gpu`.
"""

from airflow.sdk import dag, task

from carpipe.steps.results import CURVE_SHARES
from carpipe_airflow.dag_defaults import DEFAULT_ARGS
from carpipe_airflow.form import TRAINING, dataset_field, epochs, field, setting
from carpipe_airflow.gpu_pods import gpu_task
from carpipe_airflow.task_session import MAP_LABEL, open_task_session, run_facts, show

# The task whose settings are those of the run.
FIXES = "choose_shares"
SETTINGS = {
    "head_epochs": "classifier.head_epochs",
    "finetune_epochs": "classifier.finetune_epochs",
    "batch": "classifier.batch",
}


@dag(
    schedule=None,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    description="Would more photos help? Models that learnt from shares of them.",
    doc_md=__doc__,
    tags=["carpipe"],
    params={
        "dataset": dataset_field("the newest"),
        "shares": field(
            list(CURVE_SHARES),
            "array",
            "Shares of the vehicles",
            "The model is trained once on each share of the training vehicles. Two or more; left empty: a quarter, a "
            "half and all of them.",
            expected="two or more numbers above 0 and up to 1, as [0.25, 0.5, 1]",
            minItems=2,
            items={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        ),
        **epochs("classifier", section=TRAINING),
        "batch": setting(
            "classifier.batch", "integer", "Photos per step", "More need more memory.", section=TRAINING, minimum=1
        ),
    },
)
def learning_curve():
    @task
    def choose_dataset(*, params) -> str:
        from carpipe.steps.data.datasets import find_dataset

        return find_dataset(open_task_session(**SETTINGS), params["dataset"] or None).key

    @task
    def choose_shares(dataset: str, *, params) -> list[float]:
        from carpipe.steps.models.learning_curve import check_points

        return check_points(open_task_session(fixed_by=FIXES, **SETTINGS), dataset, params["shares"] or CURVE_SHARES)

    @task(map_index_template=MAP_LABEL, **gpu_task())
    def point(share: float, dataset: str) -> str:
        from carpipe.steps.models.learning_curve import learning_curve_point

        session = open_task_session(fixed_by=FIXES, **SETTINGS)
        show(f"{100 * share:g} %")
        return learning_curve_point(session, dataset, share).key

    @task
    def draw(dataset: str, points: list[str]) -> str:
        from carpipe.steps.models.learning_curve import draw_learning_curve

        return draw_learning_curve(
            open_task_session(fixed_by=FIXES, **SETTINGS), dataset, list(points), at=run_facts()["at"]
        ).key

    dataset = choose_dataset()
    draw(dataset, point.partial(dataset=dataset).expand(share=choose_shares(dataset)))


learning_curve()
