"""What Airflow makes of a night: task instances and wall time, on a bucket of many partitions.

    python benchmarks/idle_nights.py [--partitions 200] [--folder <folder>]

Starts what `make run` starts, on a small drawn world. Then adds a listing and an inventory again and again, until there
are so many partitions, and works on them in one process. After that Airflow runs `prepare_dataset`: with nothing new,
with one new partition, with a task of that night cleared, and with another threshold, so that all partitions are to do.
The alternative, tasks for every partition whatever there is to do, is the last one: it has as many as there can be.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

from kept import keep  # the module beside this one

from carpipe.config import load_config
from carpipe.local.ports import free_ports
from carpipe.local.rest import AirflowClient
from carpipe.sample import draw_world
from carpipe.steps import chain
from carpipe.steps.data.inventory import inventory
from carpipe.steps.session import Session, open_session

ROOT = Path(__file__).parents[1]
DAG = "prepare_dataset"
AT = "2026-01-01T00:00:00Z"
PHOTOS = 2  # of a listing
HOURS = 3600.0
Row = tuple[str, int, int, float]
# What comes later shows cars from outside alone, so the share that is kept rises.
SETTINGS = (ROOT / "carpipe" / "sample" / "small.toml").read_text("utf-8") + "\n[validation]\nfunnel_tolerance = 1.0\n"


def main() -> None:
    """Run the nights; print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        place = options.folder or Path(home)
        place.mkdir(parents=True, exist_ok=True)
        try:
            count, rows = nights(place, options.partitions)
        finally:
            local_run(place, "stop")
    if options.out:
        title = f"A night in Airflow on {count:,} partitions"
        keep(options.out, title=title, columns=("night", "tasks that run", "skipped", "seconds"), rows=rows)


def nights(place: Path, partitions: int) -> tuple[int, list[Row]]:
    """All of them, on a bucket made for it in an empty folder: the number of partitions, and a row for each."""
    url, user, password = started(place)
    session = opened(place)
    listings = drawn(place, partitions + 1)
    for listing in listings[:-1]:
        add(session, listing)
    chain.prepare_dataset(session, now=lambda: AT, progress=lambda *_: None)
    count = len(list(session.store.list_folders("stages/crop")))
    print(f"{count} partitions, {os.cpu_count()} cores")
    print(f"{'night':<28} {'tasks run':>9} {'skipped':>8} {'seconds':>8}")
    with AirflowClient(url, user=user, password=password) as client:
        rows = [show("nothing new", *night(client))]
        add(session, listings[-1])
        run, states, seconds = night(client)
        rows.append(show("one new partition", run, states, seconds))
        rows.append(show("its crop cleared", *cleared(client, run, "partition.crop", 0)))
        rows.append(show("another threshold: all", *night(client, car_threshold=0.71)))
    return count, rows


def started(place: Path) -> list[str]:
    """Airflow's address, user and password, after a first run on a small world."""
    for name in ("dags", "plugins"):
        (place / name).symlink_to(ROOT / name)
    draw_world(place / "world", seed=9, listings=36)
    (place / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    s3, ui = free_ports(2)
    world = place / "world"
    said = local_run(
        place, "start", "--raw", world / "raw", "--labels", world / "labels.csv", "--config", place / "settings.toml",
        "--s3-port", s3, "--ui-port", ui,
    )  # fmt: skip
    found = re.search(r"Airflow: (\S+) \((\w+) / (\S+)\)", said)
    if not found:
        raise SystemExit(said)
    return list(found.groups())


def local_run(place: Path, *arguments: object) -> str:
    """What `make run` or `make stop` prints there."""
    command = [sys.executable, "-m", "carpipe.local.run", *map(str, arguments)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def opened(place: Path) -> Session:
    """The bucket of that run."""
    text = (place / "local" / "env").read_text(encoding="utf-8")
    exports = (shlex.split(line)[1].partition("=") for line in text.splitlines())
    os.environ.update({name: value for name, _, value in exports if name != "PATH"})
    return open_session(load_config())


def drawn(place: Path, count: int) -> list[dict[str, bytes]]:
    """So many listings that are not in the bucket yet: few photos by key."""
    world = draw_world(place / "more", seed=10, listings=count)
    listings: dict[str, dict[str, bytes]] = defaultdict(dict)
    for path in sorted(world.raw.rglob("*.jpg")):
        photos = listings[path.name.split("_")[-2]]
        if len(photos) < PHOTOS:
            photos[str(path.relative_to(world.raw))] = path.read_bytes()
    return list(listings.values())[:count]


def add(session: Session, listing: dict[str, bytes]) -> None:
    """Upload a listing, which makes a partition of it."""
    for key, data in listing.items():
        session.store.put(f"raw/{key}", data)
    inventory(session)


def night(client: AirflowClient, **conf: object) -> tuple[str, Counter[str], float]:
    """Run the DAG; its run, task instances by state, and the seconds that it took."""
    return finished(client, client.trigger(DAG, conf), started=datetime.now(UTC))


def cleared(client: AirflowClient, run: str, task: str, number: int) -> tuple[str, Counter[str], float]:
    """Clear one mapped task of a run and what comes after it."""
    body = {
        "dry_run": False, "dag_run_id": run, "task_ids": [[task, number]], "include_downstream": True,
        "only_failed": False, "reset_dag_runs": True,
    }  # fmt: skip
    started = datetime.now(UTC)
    client._call("POST", f"/dags/{DAG}/clearTaskInstances", body)
    return finished(client, run, started=started)


def finished(client: AirflowClient, run: str, *, started: datetime) -> tuple[str, Counter[str], float]:
    """Wait for a run to end; of its task instances those count that have started since."""
    found = client.wait_for_run(DAG, run, timeout=2 * HOURS)
    seconds = (datetime.now(UTC) - started).total_seconds()
    if found.state != "success":
        raise SystemExit(f"{run} ended in {found.state}")
    tasks = client.task_instances(DAG, run)
    since = [task for task in tasks if task.state == "skipped" or (task.start and task.start >= started)]
    return run, Counter(str(task.state) for task in since), seconds


def show(what: str, run: str, states: Counter[str], seconds: float) -> Row:
    """Print a line of the table; returns it."""
    print(f"{what:<28} {states['success']:>9} {states['skipped']:>8} {seconds:>8.1f}", flush=True)
    return what, states["success"], states["skipped"], round(seconds, 1)


if __name__ == "__main__":
    main()
