"""Every step on a dataset, and the plan, at the size of the published data set: time, memory and requests.

    python benchmarks/full_size.py <tables> [--photos 0] [--partitions 0] [--out results.json]

`<tables>` holds the published `car_distribution.csv`: as many photos are made for each of its 6,273 folders as the
folder has, in listings of 6 to 24. Of the listings 1.5 % show another one's photos again; of the photos 0.5 % are
dealers' banners and 1.2 % broken. They have names, hashes and signatures, and one small picture as the crop of all: no
photo is decoded. What the stages on partitions would have committed is committed for them; then each step runs in a
process of its own. `--partitions` cuts the same photos into so many, for a bucket that has seen years of nights.
"""

import argparse
import hashlib
import multiprocessing
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pandas as pd
from kept import keep  # the module beside this one

from carpipe import manifest, storage
from carpipe import photos as table
from carpipe.config import load_config
from carpipe.local.s3server import s3server
from carpipe.manifest import Work
from carpipe.pictures.hashes import SIGNATURE_BYTES
from carpipe.stages import inventory as stage
from carpipe.steps import results
from carpipe.steps.data.clean import clean_work
from carpipe.steps.data.crop import crop_work
from carpipe.steps.data.detector_network import DetectorId, local_detector
from carpipe.steps.data.filter import filter_work
from carpipe.steps.data.filter_network import find_car_filter
from carpipe.steps.data.inventory import LOG, Inventory, commit_partition, record
from carpipe.steps.session import Session, open_session
from carpipe.weights import channel

AT = "2026-01-01T00:00:00Z"
SETTINGS = {"crop.weights": "sample:detector.pt"}
LISTING = (6, 24)  # photos
RELISTED, BANNERS, BROKEN, CARS, CROPPED = 0.015, 0.005, 0.012, 0.424, 0.98
LOOKS = 2000  # signatures that photos share
CROP = b"\xff\xd8\xff\xd9"
VERBS = ("get", "put", "head", "list", "list_with_delimiter", "delete")

Facts = dict[str, Any]


def main() -> None:
    """Make the bucket, run the steps, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--photos", type=int, default=0, help="about so many; 0: all")
    parser.add_argument("--partitions", type=int, default=0, help="0: as many as inventory cuts")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, s3server(Path(home) / "s3") as server:
        os.environ.update(server.env())
        url = f"s3://{server.bucket}/full"
        made = in_process(fill, url, options.tables, options.photos, options.partitions)
        print(f"{made['photos']:,} photos in {made['partitions']:,} partitions, {os.cpu_count()} cores")
        print(f"{'step':<12} {'seconds':>8} {'CPU s':>8} {'peak MB':>8} {'requests':>9}")
        found, keys = [], {"inventory": made["inventory"]}
        for name, step in STEPS.items():
            done = in_process(step, url, keys)
            keys |= done.pop("keys")
            found.append({"step": name, **done})
            times = f"{done['seconds']:>8.1f} {done['cpu']:>8.1f}"
            print(f"{name:<12} {times} {done['peak_mb']:>8,} {done['requests']:>9,}", flush=True)
    if options.out:
        keep(
            options.out,
            title=f"Dataset steps on {made['photos']:,} photos in {made['partitions']:,} partitions",
            columns=("step", "seconds", "CPU seconds", "peak MB", "requests"),
            rows=[(one["step"], *(one[name] for name in ("seconds", "cpu", "peak_mb", "requests"))) for one in found],
            says=f"Together they take {sum(one['seconds'] for one in found):,.0f} s, and the largest of the processes "
            f"{max(one['peak_mb'] for one in found):,} MB.",
        )


def in_process(work: Callable[..., Facts], *arguments: Any) -> Facts:
    """What it returns, from an interpreter of its own; with the time, memory and requests that it took."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measured, args=(queue, work, arguments))
    process.start()
    found: Facts = queue.get()
    process.join()
    if "error" in found:
        raise SystemExit(found["error"])
    return found


def _measured(queue: Any, work: Callable[..., Facts], arguments: tuple[Any, ...]) -> None:
    try:
        asked = count_requests()
        started = time.monotonic()
        found = work(*arguments)
        used = resource.getrusage(resource.RUSAGE_SELF)
        measured = {
            "seconds": time.monotonic() - started,
            "cpu": used.ru_utime + used.ru_stime,
            "peak_mb": used.ru_maxrss // 1024,
            "requests": asked.total(),
        }
        queue.put({**found, **measured})
    except BaseException as error:
        queue.put({"error": f"{work.__name__}: {error!r}"})
        raise


def count_requests() -> Counter[str]:
    """Count what the store asks for, by verb."""
    asked: Counter[str] = Counter()

    def counted(verb: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            asked[verb] += 1
            return real(*arguments, **options)

        return call

    for verb in VERBS:
        setattr(obstore, verb, counted(verb, getattr(obstore, verb)))
    return asked


# ---- the steps ----


def opened(url: str) -> Session:
    """The bucket, as a task opens it."""
    return open_session(load_config(overrides={**SETTINGS, "store.url": url}))


def run_plan(url: str, keys: dict[str, Any]) -> Facts:
    """What is to do: nothing before `identify`."""
    from carpipe.steps.data.plan import plan

    fixed = plan(opened(url), keys["inventory"])
    if fixed.to_do:
        raise RuntimeError(f"{len(fixed.to_do)} partitions lack a result")
    return {"keys": {"crops": fixed.crops}}


def run_identify(url: str, keys: dict[str, Any]) -> Facts:
    """Which photos show one car."""
    from carpipe.steps.data.identify import identify

    return {"keys": {"identified": identify(opened(url), keys["crops"], inventory=keys["inventory"]).key}}


def run_classes(url: str, keys: dict[str, Any]) -> Facts:
    """What they are called."""
    from carpipe.steps.data.classes import classes

    return {"keys": {"classed": classes(opened(url), keys["identified"]).key}}


def run_split(url: str, keys: dict[str, Any]) -> Facts:
    """On which side they are."""
    from carpipe.steps.data.split import split

    return {"keys": {"splitted": split(opened(url), keys["classed"]).key}}


def run_validate(url: str, keys: dict[str, Any]) -> Facts:
    """Whether that may be trained on."""
    from carpipe.steps.data.validate import validate

    return {"keys": {"validated": validate(opened(url), keys["splitted"], at=AT).key}}


def run_to_pack(url: str, keys: dict[str, Any]) -> Facts:
    """Which partitions are to be packed: all of them."""
    from carpipe.steps.data.pack import find_unpacked

    found = find_unpacked(opened(url), keys["splitted"])
    return {"keys": {"packed": found.packed, "to_pack": found.to_do}}


def run_pack(url: str, keys: dict[str, Any]) -> Facts:
    """The shards of all partitions, in one process."""
    from carpipe.steps.data.pack import pack_many

    for _ in pack_many(opened(url), keys["splitted"], keys["to_pack"]):
        pass
    return {"keys": {}}


def run_dataset(url: str, keys: dict[str, Any]) -> Facts:
    """All of it in one place."""
    from carpipe.steps.data.dataset import dataset

    return {"keys": {"dataset": dataset(opened(url), keys["splitted"], keys["validated"], keys["packed"]).key}}


STEPS: dict[str, Callable[[str, dict[str, Any]], Facts]] = {
    "plan": run_plan, "identify": run_identify, "classes": run_classes, "split": run_split, "validate": run_validate,
    "to_pack": run_to_pack, "pack": run_pack, "dataset": run_dataset,
}  # fmt: skip


# ---- the bucket ----


def fill(url: str, tables: Path, most: int, partitions: int) -> Facts:
    """Commit what inventory, clean, filter and crop would have for made photos."""
    session = opened(url)
    photos = draw(pd.read_csv(tables / "car_distribution.csv").query("total > 0"), most)
    size = -(-len(photos) // partitions) if partitions else session.config.inventory.partition_photos
    cut = list(stage.cut(photos, first=0, partition_photos=size))
    model = live_filter(session)
    with local_detector(session) as detector, ThreadPoolExecutor(4) as pool:
        entries = list(pool.map(lambda part: commit_all(session, *part, model=model, detector=detector.id), cut))
    state = record(session, Inventory(f"{LOG}/000001.json", 1, entries, len(photos), len(photos), None))
    return {"inventory": state.key, "photos": len(photos), "partitions": len(entries)}


def live_filter(session: Session) -> manifest.Manifest:
    """A car filter that is named and never asked."""
    work = Work("publish", 1, "all", {}, (), home="models/car-filter")
    done = manifest.commit(
        session.store, work, {results.MODEL: b"x"}, counts={}, extra={"classes": ["auto", "no_auto"]}
    )
    channel.promote(session.store, "car-filter", model=done.key, reason="made", run="made", at=AT)
    return done


def commit_all(
    session: Session, partition: str, photos: pd.DataFrame, *, model: manifest.Manifest, detector: DetectorId
) -> dict[str, Any]:
    """One partition's results; returns its entry of the inventory."""
    looks = photos.pop("look").to_numpy()
    before = photos[list(stage.COLUMNS)]
    entry = commit_partition(session, partition, before)
    cleaned = clean_work(session, entry["manifest"], partition)
    after = photos.drop(columns=["p_car", "found"])
    signatures = {key: SIGNATURES[look].tobytes() for key, look in zip(photos["key"], looks, strict=True)}
    blobs = {results.THUMBNAILS: {}, results.SIGNATURES: signatures, results.REPAIRED: {}}
    commit(session, cleaned, after, {name: table.blobs_to_parquet(found) for name, found in blobs.items()})
    filtered = filter_work(session, cleaned.key, partition, find_car_filter(session, model))
    after = after.assign(p_car=photos["p_car"].where(after["dropped"].isna()))
    after = table.drop(after, after["p_car"] < session.config.filter.threshold, stage="filter", reason="not_a_car")
    commit(session, filtered, after, {})
    cropped = crop_work(session, filtered.key, partition, detector)
    after = table.drop(after, ~photos["found"] & after["dropped"].isna(), stage="crop", reason="no_vehicle")
    kept = table.kept(after)["key"]
    box = pd.Series([[10.0, 10.0, 210.0, 150.0]] * len(kept), index=kept.index)
    width = pd.Series(200, index=kept.index, dtype="Int32")
    after = after.assign(box=box, box_label="car", box_score=0.9, crop_width=width, crop_height=width)
    commit(session, cropped, after, {results.CROPS: table.blobs_to_parquet(dict.fromkeys(sorted(kept), CROP))})
    return entry


def commit(session: Session, work: Work, photos: pd.DataFrame, files: dict[str, bytes]) -> None:
    """As a stage does."""
    counts = table.count(photos, stage=work.stage)
    manifest.commit(session.store, work, {results.PHOTOS: table.to_parquet(photos), **files}, counts=counts)


SIGNATURES = np.random.default_rng(3).integers(0, 256, (LOOKS, SIGNATURE_BYTES), dtype=np.uint8)


def draw(folders: pd.DataFrame, most: int) -> pd.DataFrame:
    """The photo table after `clean`, with what filter and crop will find, and the look that each photo has."""
    rng = np.random.default_rng(1)
    if most:
        folders = folders.sample(frac=min(1.0, most / folders["total"].sum()), random_state=1)
    folder = np.repeat(np.arange(len(folders)), folders["total"])
    listing = np.concatenate([*number_listings(folders["total"].tolist(), rng)])
    _, listing = np.unique(folder * 10_000 + listing, return_inverse=True)
    uuids = np.array([f"{one:08x}-0000-4000-8000-{one:012x}" for one in range(listing.max() + 1)], dtype=object)
    names = folders["car_directory"].to_numpy()[folder]
    keys = [
        f"{name}/{one}_1_{uuids[one]}_{number:08x}-0000-4000-9000-{number:012x}.jpg"
        for number, (name, one) in enumerate(zip(names, listing.tolist(), strict=True))
    ]
    photos = stage.list_photos(storage.ObjectInfo(key, hashlib.md5(key.encode()).hexdigest(), 40_000) for key in keys)
    photos = photos.sort_values("listing", kind="stable", ignore_index=True)
    return with_looks(photos, rng)


def number_listings(totals: list[int], rng: np.random.Generator) -> Iterator[np.ndarray[Any, Any]]:
    """For the photos of each folder, the number of their listing in it."""
    for total in totals:
        sizes = rng.integers(LISTING[0], LISTING[1] + 1, total // LISTING[0] + 1)
        yield np.repeat(np.arange(len(sizes)), sizes)[:total]


def with_looks(photos: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Hashes, some of them shared: by listings that show another's photos again, and by banners."""
    number = len(photos)
    source = np.arange(number)
    listing = photos["listing"].fillna(0).to_numpy(int)
    again = np.flatnonzero(rng.random(listing.max() + 1) < RELISTED)
    copied = np.isin(listing, again) & (source >= LISTING[1])
    source[copied] -= LISTING[1]  # of a listing before it, mostly of the same folder
    banners = rng.random(number) < BANNERS
    source[banners] = number + rng.integers(0, 50, banners.sum())
    hashes = rng.integers(0, 2**64, (2, number + 50), dtype=np.uint64)
    broken = (rng.random(number) < BROKEN) | photos["dropped"].notna().to_numpy()  # nobody looks at odd names
    columns: dict[str, Any] = {
        "format": "JPEG", "width": 380, "height": 250,
        "sha256": [hashlib.sha256(str(one).encode()).hexdigest() for one in source.tolist()],
        "dhash": [f"{one:016x}" for one in hashes[0, source].tolist()],
        "dhash_inner": [f"{one:016x}" for one in hashes[1, source].tolist()],
        "damage": 0.0,
    }  # fmt: skip
    photos = photos.assign(**columns, repaired=pd.Series(None, index=photos.index, dtype="str"))
    photos = photos.astype({"width": "Int32", "height": "Int32", "damage": "Float64"})
    photos.loc[broken, ["format", "width", "height", "dhash", "dhash_inner", "damage"]] = None
    photos = table.drop(photos, pd.Series(broken), stage="clean", reason="not_an_image")
    p_car = np.where(rng.random(number) < CARS, 0.99, 0.01)
    return photos.assign(p_car=p_car, found=rng.random(number) < CROPPED, look=source % LOOKS)


if __name__ == "__main__":
    main()
