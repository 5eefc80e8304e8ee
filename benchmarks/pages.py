"""The pages inside Airflow on a dataset of the published size: milliseconds and bytes of each, beside pandas.

    python benchmarks/pages.py [--photos 1629153] [--rounds 9] [--out results.json]

Makes the photo table of a dataset with made names and scores, commits it to an embedded S3 server, with an inventory
and what the car filter says of it, starts a real Airflow API server, and asks for each page as a browser would. What it
is held against is what one would write first: the same question to the same table, held in memory by pandas.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pandas as pd
from kept import keep  # the module beside this one

sys.path.insert(0, str(Path(__file__).parents[1]))

from carpipe import manifest
from carpipe.config import load_config
from carpipe.local.s3server import s3server
from carpipe.manifest import Work
from carpipe.photos import to_parquet
from carpipe.steps import results
from carpipe.steps.data import inventory
from carpipe.steps.session import Session, open_session
from tests.plugins import api_server as servers

LISTING = (6, 24)  # photos
MODELS, MAKES, PARTITION = 763, 60, 8192
# Share of photos that is out, and why.
OUT = {"truncated": 0.012, "not_a_car": 0.52, "no_vehicle": 0.02, "duplicate": 0.03}
STAGES = {"truncated": "clean", "not_a_car": "filter", "no_vehicle": "crop", "duplicate": "identify"}
SEED = 20
# Each draws anew: the first one reads what all of them draw from.
FIRST, *ORDERS = (
    f"/carpipe/labels/batch?ask={ask}&how={how}"
    for ask in ("cars", "views")
    for how in ("random", "unsure", "predicted", "cars")
)


def main() -> None:
    """Print a line per page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1_629_153)
    parser.add_argument("--rounds", type=int, default=9, help="requests for each page")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    table = make_table(options.photos)
    with (
        tempfile.TemporaryDirectory() as home,
        s3server(Path(home) / "s3") as server,
        pages(server, table, Path(home)) as (
            client,
            dataset,
        ),
    ):
        first = until_read(client, dataset)
        print(f"{len(table):,} photos are read in {first:.1f} s when somebody first looks at them\n")
        print(f"{'page':<42} {'ms':>7} {'slowest':>8} {'kB':>6} {'pandas, ms':>11}")
        once = {"data, a dataset's first look": f"/carpipe/data/{dataset}", "labels, the first photos of all": FIRST}
        rows = [row(client, name, [path]) for name, path in once.items()]
        rows.append(row(client, "labels, the first photos of an order", ORDERS))
        rows += [
            row(client, name, [path] * options.rounds, question=question, table=table)
            for name, (path, question) in addresses(dataset, table).items()
        ]
    if options.out:
        keep(
            options.out,
            title=f"Pages on a dataset of {len(table):,} photos",
            columns=("page", "milliseconds", "slowest", "kB", "pandas in memory, milliseconds"),
            rows=rows,
            says=f"The table is read in {first:.1f} s, once per dataset and machine. Milliseconds are the median of "
            f"{options.rounds} requests; pandas answers the question of the page alone, of a table that takes "
            f"{table.memory_usage(deep=True).sum() / 1e9:.1f} GB of memory. With all that ran on the machine, its "
            f"load was {os.getloadavg()[2]:.0f}.",
        )


def make_table(photos: int) -> pd.DataFrame:
    """A photo table as `split` leaves it."""
    random = np.random.default_rng(SEED)
    sizes = random.integers(LISTING[0], LISTING[1] + 1, photos // LISTING[0] + 1)
    listing = np.repeat(np.arange(len(sizes)), sizes)[:photos]
    model = random.integers(0, MODELS, len(sizes))[listing]
    year = random.integers(1995, 2022, len(sizes))[listing]
    names = np.array([f"make{number % MAKES}_model{number}" for number in range(MODELS)])
    uuids = np.array([str(UUID(int=7919 * number + 10**30)) for number in range(len(sizes))])
    number = np.arange(photos)
    key = [
        f"{names[one]}_{when}/{which}_{photo % 24}_{uuids[which]}_{UUID(int=104_729 * photo + 10**33)}.jpg"
        for one, when, which, photo in zip(*map(np.ndarray.tolist, (model, year, listing, number)), strict=True)
    ]
    reasons = random.choice([*OUT, ""], photos, p=[*OUT.values(), 1 - sum(OUT.values())])
    dropped = pd.Series(reasons).mask(reasons == "")
    alive = dropped.isna().to_numpy()
    return pd.DataFrame(
        {
            "key": key, "size": random.integers(10**4, 10**5, photos), "model": names[model], "year": year,
            "listing": listing, "photo": number % 24, "listing_uuid": uuids[listing], "format": "jpeg", "width": 380,
            "height": 250, "sha256": [f"{one:064x}" for one in random.integers(0, 2**62, photos).tolist()],
            "damage": 0.0, "p_car": random.random(photos), "box_label": "car", "box_score": random.random(photos),
            "vehicle": uuids[listing], "class_name": pd.Series(names[model]).where(alive),
            "split": pd.Series(random.choice(["train", "val", "test"], photos, p=[0.7, 0.15, 0.15])).where(alive),
            "partition": [f"p{one // PARTITION:05d}" for one in number.tolist()],
            "dropped": dropped, "dropped_by": dropped.map(STAGES),
        }
    )  # fmt: skip


@contextlib.contextmanager
def pages(server: Any, table: pd.DataFrame, home: Path) -> Iterator[tuple[httpx.Client, str]]:
    """An API server with the table as its dataset: a client, and the id of the dataset."""
    os.environ.update(server.env(), TMPDIR=str(home))  # where no index of an earlier run is
    session = open_session(load_config(overrides={"store.url": f"s3://{server.bucket}/pages"}))
    dataset = commit(session, table)
    commit_filter(session, table)
    server_of: Any = servers  # tests have no types
    with server_of.api_server(session, home) as (url, _):
        with server_of.log_in(url, "admin") as admin:
            server_of.add_connection(admin, server)
        with server_of.log_in(url, "viewer") as client:
            client.timeout = httpx.Timeout(300)
            yield client, dataset


def commit(session: Session, table: pd.DataFrame) -> str:
    """The table as a dataset; its id."""
    kept = table["dropped"].isna()
    out = table["dropped"].value_counts()
    funnel = [{"stage": stage, "in": len(table), "dropped": {reason: int(out[reason])}, "kept": int(kept.sum())}
              for reason, stage in STAGES.items()]  # fmt: skip
    verdict = {"success": True, "expectations": 68, "failed": []}
    files = {
        results.PHOTOS: to_parquet(table),
        results.FUNNEL: results.to_json(funnel),
        results.VALIDATION: results.to_json(verdict),
    }
    extra = {
        "classes": sorted(table.loc[kept, "class_name"].unique()),
        "vehicles": int(table["vehicle"].nunique()),
        "splits": {str(name): int(number) for name, number in table["split"].value_counts().items()},
    }
    work = Work("dataset", 3, "all", {}, ("a", "b"), home="datasets")
    done = manifest.commit(session.store, work, files, counts={"in": len(table), "kept": int(kept.sum())}, extra=extra)
    return done.key.split("/")[1]


def commit_filter(session: Session, table: pd.DataFrame) -> None:
    """An inventory of the table's photos, and what the car filter says of each partition."""
    random, photos = np.random.default_rng(SEED), len(table)
    hashes = [[f"{one:016x}" for one in random.integers(0, 2**63, photos).tolist()] for _ in range(2)]
    views = np.array(["front", "back", "left", "right"])[random.integers(0, 4, photos)]
    seen = table.assign(
        etag=table["sha256"].str[:32], dhash=hashes[0], dhash_inner=hashes[1], view=views, view_p=random.random(photos)
    )
    later = ~seen["dropped_by"].isin(["clean", "filter"])
    seen.loc[later, ["dropped", "dropped_by"]] = None
    listed = ["key", "etag", "size", "model", "year", "listing", "photo", "listing_uuid"]
    parts = []
    for name, rows in seen.groupby("partition"):
        part = inventory.commit_partition(session, str(name), rows[listed].assign(dropped=None, dropped_by=None))
        work = Work("filter", 1, str(name), {}, (part["manifest"],))
        files = {
            results.PHOTOS: to_parquet(rows.drop(columns=["box_label", "box_score", "vehicle", "class_name", "split"]))
        }
        manifest.commit(session.store, work, files, counts={})
        parts.append(part)
    state = inventory.Inventory(f"{inventory.LOG}/000001.json", 1, parts, photos, photos)
    inventory.record(session, state)


def until_read(client: httpx.Client, dataset: str) -> float:
    """Seconds until the photos are shown for the first time."""
    started = time.monotonic()
    while "are being read" in client.get(f"/carpipe/photos?dataset={dataset}").raise_for_status().text:
        time.sleep(0.2)
    return time.monotonic() - started


Question = Callable[[pd.DataFrame], Any]


def addresses(dataset: str, table: pd.DataFrame) -> dict[str, tuple[str, Question | None]]:
    """By the name of a page, its address, and what pandas is asked in its place."""
    photos, middle = f"/carpipe/photos?dataset={dataset}", len(table) // 2
    listing, text = table["listing_uuid"].iloc[middle], table["key"].iloc[middle][-20:-4]
    return {
        "overview": ("/carpipe/overview", None),
        "data": (f"/carpipe/data/{dataset}", None),
        "photos": (photos, lambda rows: (len(rows), rows.iloc[:100])),
        "photos of a reason": (f"{photos}&reason=not_a_car", lambda rows: first(rows[rows["dropped"] == "not_a_car"])),
        "photos of a reason, sorted": (
            f"{photos}&reason=not_a_car&sort=-p_car",
            lambda rows: first(rows[rows["dropped"] == "not_a_car"].sort_values("p_car", ascending=False)),
        ),
        "photos of a class and split": (
            f"{photos}&class=make0_model0&split=test",
            lambda rows: first(rows[(rows["class_name"] == "make0_model0") & (rows["split"] == "test")]),
        ),
        "photos of a score": (
            f"{photos}&p_car=0.5..0.7&sort=p_car",
            lambda rows: first(rows[rows["p_car"].between(0.5, 0.7)].sort_values("p_car")),
        ),
        "the page in the middle": (
            f"{photos}&page={middle // 100}",
            lambda rows: (len(rows), rows.iloc[middle : middle + 100]),
        ),
        "photos by name, the page in the middle": (
            f"{photos}&sort=key&page={middle // 100}",
            lambda rows: (len(rows), rows.sort_values("key").iloc[middle : middle + 100]),
        ),
        "photos by a score, the page in the middle": (
            f"{photos}&sort=-p_car&page={middle // 100}",
            lambda rows: (len(rows), rows.sort_values("p_car", ascending=False).iloc[middle : middle + 100]),
        ),
        "photos by a part of many keys": (
            f"{photos}&text=make1",
            lambda rows: first(rows[rows["key"].str.lower().str.contains("make1", regex=False)]),
        ),
        "photos by a part of the key": (
            f"{photos}&text={text}",
            lambda rows: first(rows[rows["key"].str.lower().str.contains(text, regex=False)]),
        ),
        "one photo": (
            f"/carpipe/photos/{dataset}/{middle}?at={middle}",
            lambda rows: (rows[rows["listing_uuid"] == listing], rows[rows["sha256"] == rows["sha256"].iloc[middle]]),
        ),
        "classes": ("/carpipe/classes", None),
        "weights": ("/carpipe/weights", None),
        "labels": ("/carpipe/labels", None),
    }


def first(rows: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    """What a page needs: how many, and a hundred of them."""
    return len(rows), rows.iloc[:100]


def row(
    client: httpx.Client,
    name: str,
    paths: Sequence[str],
    *,
    question: Question | None = None,
    table: pd.DataFrame | None = None,
) -> list[Any]:
    """Ask for each of some addresses, print their line."""
    took, size = [], 0
    for path in paths:
        started = time.monotonic()
        answer = client.get(path)
        took.append(1000 * (time.monotonic() - started))
        answer.raise_for_status()
        size = len(answer.content)
    pandas = "" if question is None or table is None else f"{milliseconds(question, table, len(paths)):,.0f}"
    median, slowest = statistics.median(took), max(took)
    print(f"{name:<42} {median:>7,.0f} {slowest:>8,.0f} {size / 1000:>6,.0f} {pandas:>11}", flush=True)
    return [name, round(median), round(slowest), round(size / 1000), pandas]


def milliseconds(question: Question, table: pd.DataFrame, rounds: int) -> float:
    """Of an answer by pandas; median."""
    took = []
    for _ in range(rounds):
        started = time.monotonic()
        question(table)
        took.append(1000 * (time.monotonic() - started))
    return statistics.median(took)


if __name__ == "__main__":
    main()
