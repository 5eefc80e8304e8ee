"""
### From photos under `raw/` to a dataset

Takes what is new under `raw/`, cleans it, keeps exterior photos of cars, crops the largest vehicle, and
makes a dataset of everything there is: identified vehicles, classes, a split without leaks, Great
Expectations, TFRecord shards. Each partition goes its own way up to `identify`.

**Before anything runs** the log of `plan` says what will: photos per stage, what is reused, minutes expected.

**Nothing is done twice.** Only partitions that lack a result become tasks of `partition`, and only those whose rows
have changed tasks of `pack`. Where none are, these tasks are skipped, and all others run. Clear and rerun any task, or
trigger the DAG again: what has a manifest in the bucket is reused, and the task's log says so.

**When it fails**, the task's log ends in one sentence that says what to do. Network trouble has been
retried by then; wrong input has not, since that cannot help.

| task | fails when | then |
| --- | --- | --- |
| `wait_for_upload` | the uploader's marker did not come | clear it later, or start with `wait_for` empty |
| `inventory` | no photos, or none with a name in the layout | upload photos, or correct the bucket |
| `quantize` | a network cannot be put into 8-bit numbers | see its log, set `filter.runtime` or `crop.runtime` |
| `plan` | no car filter is published, weights or taxonomy are missing | run `train_filter`; set `crop.weights` |
| `clean`, `crop` | very many photos are unreadable, or do not come as stored | look at those it names; see below |
| `crop` | the detector cannot be used | see its log, correct `crop.weights`, clear `plan` and what follows |
| `classes` | no model has enough photos | lower `min_photos`, clear `plan` and what follows |
| `validate` | the data breaks an expectation | open the report that the message names; see below |
| any | the S3 server refuses the credentials | correct the connection `aws_default` (or `AWS_*`), clear the task |

**Settings are read by `plan`**, and by `inventory` and `quantize` before it. All later tasks take those, also when they
are cleared on another day, or on a machine with another file. Clear `plan` and what follows to have them read anew.

**When it is late** (20 hours, `CARPIPE_DEADLINE_H`), see what is running or queued: a pool without slots, no worker on
the queue, many new photos (`plan` says how many), or a marker that is waited for.

`clean` and `crop` fail so when the storage, or what is between, is in trouble, and are tried again. If it is well,
trigger the DAG once with `accept_unreadable`: such photos are then broken ones, and later runs reuse that.

`validate` also fails when a stage keeps another share of its photos than before. After a change of weights or settings
that you wanted, trigger the DAG once with `funnel_tolerance` 1.
"""

import logging
from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task, task_group

from carpipe_airflow.batches import batches, flat
from carpipe_airflow.dag_defaults import DATASET, DEFAULT_ARGS, deadline
from carpipe_airflow.form import AFTER_A_FAILURE, setting
from carpipe_airflow.marker_wait import wait_for_marker, wait_params
from carpipe_airflow.pages.links import FORESEEN, full_address
from carpipe_airflow.refusal import without_traceback
from carpipe_airflow.task_session import MAP_LABEL, label, open_task_session, partition_of, run_facts

log = logging.getLogger(__name__)

# The task whose settings are those of the run.
FIXES = "plan"
# What tasks say beside what others are mapped over.
CROPS, PACKED = "crops", "packed"
# Where there is nothing to map over Airflow skips the mapped tasks; what comes after them still has to run.
EVEN_IF_SKIPPED = "none_failed"

SETTINGS = {
    "min_photos": "classes.min_photos",
    "max_photos": "classes.max_photos",
    "taxonomy": "classes.taxonomy",
    "car_threshold": "filter.threshold",
    "funnel_tolerance": "validation.funnel_tolerance",
    "detector": "crop.weights",
    "accept_unreadable": "clean.accept_unreadable",
}


@dag(
    schedule=CronTriggerTimetable("0 1 * * *", timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    deadline=deadline(),
    default_args=DEFAULT_ARGS,
    description="Photos under raw/ to a dataset: only what is new is worked on.",
    doc_md=__doc__,
    tags=["carpipe"],
    params={
        "min_photos": setting(
            "classes.min_photos",
            "integer",
            "Photos per model, at least",
            "A model with fewer photos is not in the dataset.",
            minimum=1,
        ),
        "max_photos": setting(
            "classes.max_photos",
            "integer",
            "Photos per model, at most",
            "Of a model with more, whole vehicles are left out. 0 takes all.",
            minimum=0,
        ),
        "car_threshold": setting(
            "filter.threshold",
            "number",
            "How sure the car filter must be",
            "A photo is kept when the probability of a car is at least this.",
            minimum=0,
            maximum=1,
        ),
        "taxonomy": setting(
            "classes.taxonomy",
            "string",
            "Taxonomy",
            "Which models are one class: published, identity (each model is a class), or the path of a YAML file on "
            "the workers.",
            examples=["published", "identity"],
            minLength=1,
        ),
        "detector": setting(
            "crop.weights",
            "string",
            "Detector",
            "What finds the cars: the path of a file on the workers, or s3: and a key in the bucket.",
            minLength=1,
        ),
        **wait_params(),
        "funnel_tolerance": setting(
            "validation.funnel_tolerance",
            "number",
            "Change that is allowed",
            "How far the share of photos that a stage keeps may be from the dataset before. 1 accepts a change that "
            "you wanted.",
            section=AFTER_A_FAILURE,
            minimum=0,
            maximum=1,
        ),
        "accept_unreadable": setting(
            "clean.accept_unreadable",
            "boolean",
            "Go on past unreadable photos",
            "Takes photos that look as if the storage had spoilt them for broken ones.",
            section=AFTER_A_FAILURE,
        ),
    },
)
def prepare_dataset():
    @task
    def inventory() -> str:
        from carpipe.steps.data.inventory import inventory

        return inventory(open_task_session(**SETTINGS)).key

    @task
    def quantize(inventory_key: str) -> str:
        """Networks in 8-bit numbers, where settings ask for them; they are made once for their weights."""
        from carpipe.steps.data.quantize import quantize

        made = quantize(open_task_session(**SETTINGS), inventory_key)
        log.info("made: %s", ", ".join(done.key for done in made) or "nothing, all that the settings ask for is there")
        return inventory_key

    @task
    def plan(inventory_key: str, *, ti) -> list[list[dict[str, str]]]:
        """The partitions that lack a result, and, beside, where the crops of all partitions are or will be."""
        from carpipe.steps.data.plan import plan
        from carpipe.steps.data.plan_text import render_plan

        session = open_task_session(fixed_by=FIXES, **SETTINGS)
        fixed = plan(session, inventory_key)
        log.info("this run will do:\n%s", render_plan(fixed.forecast, session.config.cost))
        ti.xcom_push(CROPS, fixed.crops)
        return batches(
            [
                {"manifest": part["manifest"], "car_filter": fixed.car_filter, "inventory": inventory_key}
                for part in fixed.to_do
            ]
        )

    @task(map_index_template=MAP_LABEL)
    def clean(parts: list[dict[str, str]]) -> list[str]:
        from carpipe.steps.data.clean import clean

        session = open_task_session(fixed_by=FIXES, **SETTINGS)
        named = label([part["manifest"] for part in parts])
        return [clean(session, key, inventory=part["inventory"]).key for key, part in zip(named, parts, strict=True)]

    @task(map_index_template=MAP_LABEL)
    def filter_cars(cleaned: list[str], parts: list[dict[str, str]]) -> list[str]:
        from carpipe.steps.data.filter import filter_cars

        session = open_task_session(fixed_by=FIXES, **SETTINGS)
        return [filter_cars(session, key, weights=parts[0]["car_filter"]).key for key in label(cleaned)]

    @task(map_index_template=MAP_LABEL)
    def crop(filtered: list[str]) -> list[str]:
        from carpipe.steps.data.crop import crop

        session = open_task_session(fixed_by=FIXES, **SETTINGS)
        return [crop(session, key).key for key in label(filtered)]

    @task_group
    def partition(parts: list[dict[str, str]]) -> list[str]:
        return crop(filter_cars(clean(parts), parts))

    @task(trigger_rule=EVEN_IF_SKIPPED)
    def identify(crops: list[str], cropped: list[list[str]], inventory_key: str) -> str:
        """Of all partitions: those that `plan` found, and those that were worked on."""
        from carpipe.steps.data.identify import identify

        latest = {partition_of(key): key for key in [*crops, *flat(cropped)]}
        return identify(
            open_task_session(fixed_by=FIXES, **SETTINGS), list(latest.values()), inventory=inventory_key
        ).key

    @task
    def classes(identified: str) -> str:
        from carpipe.steps.data.classes import classes

        return classes(open_task_session(fixed_by=FIXES, **SETTINGS), identified).key

    @task
    def split(classed: str) -> str:
        from carpipe.steps.data.split import split

        return split(open_task_session(fixed_by=FIXES, **SETTINGS), classed).key

    @task
    def validate(splitted: str, *, ti) -> str:
        from carpipe.steps.data.validate import validate, validate_work

        session = open_task_session(fixed_by=FIXES, **SETTINGS)
        ti.xcom_push(FORESEEN, validate_work(session, splitted).key)
        with without_traceback():
            return validate(session, splitted, at=run_facts()["at"], page=full_address).key

    @task
    def to_pack(splitted: str, *, ti) -> list[list[str]]:
        """The partitions whose rows have changed, and, beside, where the shards of all partitions are or will be."""
        from carpipe.steps.data.pack import find_unpacked

        found = find_unpacked(open_task_session(fixed_by=FIXES, **SETTINGS), splitted)
        ti.xcom_push(PACKED, found.packed)
        return batches(found.to_do)

    @task(map_index_template=MAP_LABEL)
    def pack(cropped: list[str], splitted: str) -> list[str]:
        from carpipe.steps.data.pack import pack_many

        return [done.key for done in pack_many(open_task_session(fixed_by=FIXES, **SETTINGS), splitted, label(cropped))]

    @task(outlets=[DATASET], trigger_rule=EVEN_IF_SKIPPED)
    def dataset(splitted: str, validated: str, packed: list[str], *, outlet_events) -> str:
        from carpipe.steps.data.dataset import dataset

        done = dataset(open_task_session(fixed_by=FIXES, **SETTINGS), splitted, validated, packed)
        outlet_events[DATASET].extra = {"manifest": done.key}
        return done.key

    stock = inventory()
    if marker := wait_for_marker():
        marker >> stock
    planned = plan(quantize(stock))
    cropped = partition.expand(parts=planned)
    splitted = split(classes(identify(planned[CROPS], cropped, stock)))
    validated = validate(splitted)
    unpacked = to_pack(splitted)
    packed = pack.partial(splitted=splitted).expand(cropped=unpacked)
    validated >> packed >> dataset(splitted, validated, unpacked[PACKED])


prepare_dataset()
