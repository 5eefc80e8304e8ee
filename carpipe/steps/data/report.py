"""The dataset report: gathers what the page shows, and brings it to people's disks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.backports import from_iso
from carpipe.called import call_committed
from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.data.raw import Raw, objects_named
from carpipe.steps.session import Session
from carpipe.steps.short_ids import whole_id

if TYPE_CHECKING:
    import pandas as pd

VALIDATIONS = "stages/validate/all"
PER_REASON = 12
PAIRS_SHOWN = 12
# Examples come from the newest partitions: their thumbnails are read whole, some 60 MB each.
EXAMPLE_PARTITIONS = 4
# Reasons of photos without a thumbnail of which something can be seen, and how large it is shown, in pixels.
BROKEN = ("truncated", "damaged")
REMAINS_SIDE = 160


def build_report(
    session: Session,
    splitted: Manifest,
    photos: "pd.DataFrame",
    funnel: Sequence[dict[str, Any]],
    verdict: Any,
    *,
    lineage: Mapping[str, Sequence[Manifest]],
    dataset: str,
    at: str,
    previous: Manifest | None,
) -> str:
    """The HTML page of a dataset that is about to be made.

    Args:
        photos: the photo table after `split`.
        verdict: what the validation found.
        lineage: of `lineage_of`.
        dataset: the id that it will have.
    """
    from carpipe.photos import from_parquet
    from carpipe.validation.report import ReportInput, choose_examples, choose_pairs, render_report

    pairs = from_parquet(manifest.read_file(session.store, lineage["identify"][0], results.PAIRS))
    newest = photos["partition"].unique()[-EXAMPLE_PARTITIONS:]
    examples = choose_examples(photos[photos["partition"].isin(newest)], per_reason=PER_REASON)
    shown = choose_pairs(pairs, count=PAIRS_SHOWN)
    wanted = {*examples["key"], *shown["key_a"], *shown["key_b"]}
    return render_report(
        ReportInput(
            dataset=dataset,
            made=from_iso(at),
            expectations=verdict.expectations,
            failed=verdict.failed,
            photos=photos,
            funnel=funnel,
            quotas={name: splitted.config[name] for name in ("train", "val", "test")},
            examples=examples,
            near_duplicates=pairs,
            pairs=shown,
            pictures={
                **_thumbnails(session, lineage["clean"], photos[photos["key"].isin(wanted)]),
                **_remains(session, examples[examples["dropped"].isin(BROKEN)]["key"]),
            },
            previous=_previous(session, previous) if previous else None,
            manifests={stage: [done.key for done in found] for stage, found in lineage.items()},
            config={stage: found[0].config for stage, found in lineage.items()},
            weights={role: sha256 for found in lineage.values() for role, sha256 in found[0].weights.items()},
        )
    )


def download_report(session: Session, folder: Path, dataset: str | None) -> Path:
    """Write a dataset's report and Data Docs into a folder; returns the report's path.

    Args:
        dataset: manifest key; None means the newest.

    Raises:
        InputError: the dataset has no report: it was made by an earlier version.
    """
    source = find_dataset(session, dataset)
    if results.REPORT not in source.files:
        raise InputError(f"{source.key} has no report; it was made by an earlier version of carpipe.")
    pages = [name for name in source.files if name == results.REPORT or name.startswith("data_docs/")]
    with session.progress.bar("report", total=len(pages), unit="pages") as bar:
        for name in bar.each(pages):
            results.place_in(folder, name).write_bytes(manifest.read_file(session.store, source, name))
    return folder / results.REPORT


def download_refusal(session: Session, folder: Path, validation: str) -> Path:
    """Write report and Data Docs of a validation that failed into a folder; returns the report's path.

    Args:
        validation: its id, as the error message names it, or the first digits of that.

    Raises:
        InputError: there is none, or more than one.
    """
    validation = whole_id(session.store, validation, VALIDATIONS, what="validation")
    prefix = f"{VALIDATIONS}/{validation}"
    keys = [info.key for info in session.store.list_usable(prefix)]
    page = f"{prefix}/{results.REPORT}"
    if page not in keys:
        raise InputError(f"There is no failed validation {validation} in {session.store.url}.")
    with session.progress.bar("report", total=len(keys), unit="pages") as bar:
        for key in bar.each(keys):
            results.place_in(folder, key.removeprefix(f"{prefix}/")).write_bytes(session.store.get(key))
    return folder / results.REPORT


def lineage_of(session: Session, splitted: Manifest) -> dict[str, list[Manifest]]:
    """The manifests that led to the split, from the last stage to the first."""
    store = session.store
    classed = manifest.read_many(store, splitted.inputs)
    identified = manifest.read_many(store, classed[0].inputs)
    made = results.lineage(store, manifest.read_many(store, identified[0].inputs))
    listed = manifest.read_many(store, (done.inputs[0] for done in made["clean"]))
    return {"split": [splitted], "classes": classed, "identify": identified, **made, "inventory": listed}


def _thumbnails(session: Session, cleaned: Sequence[Manifest], photos: "pd.DataFrame") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in cleaned:
        keys = photos["key"][photos["partition"] == part.partition]
        if len(keys):
            found |= results.read_blobs(session.store, part, results.THUMBNAILS, keys=keys)
    return found


def _remains(session: Session, keys: "pd.Series[str]") -> dict[str, bytes]:
    """What can still be seen of broken photos, decoded in a process of its own."""
    from carpipe.pictures import encode
    from carpipe.pictures.isolation import Isolated
    from carpipe.pictures.look import LOOK, Visible, settings_for, understood

    limits = session.config.clean
    settings = settings_for(max_pixels=limits.max_pixels, max_damage=1.0, enough=2 * REMAINS_SIDE)
    found = {}
    with Isolated(LOOK, settings, timeout_s=limits.timeout_s, memory_mb=limits.memory_mb) as child:
        for key, data in Raw(session, objects_named(session, keys)):
            (answer,) = child.run([data or b""])
            if isinstance(seen := understood(answer), Visible):
                found[key] = encode.encode_pixels(encode.shrink(seen.pixels, REMAINS_SIDE), quality=80)
    return found


def _previous(session: Session, done: Manifest) -> Any:

    from carpipe.photos import kept
    from carpipe.validation.report import PreviousDataset

    alive = kept(results.read_photos(session.store, done, columns=["class_name", "dropped"]))
    return PreviousDataset(
        dataset=done.key.split("/")[1],
        name=call_committed(done, done.counts.get("kept")).name,
        funnel=manifest.read_json(session.store, done, results.FUNNEL),
        classes={str(name): int(number) for name, number in alive["class_name"].value_counts().items()},
        splits=done.extra["splits"],
    )
