"""How fast one labels on the page Labels, in Chromium: a key for each photo, and whole pages as predicted.

    python benchmarks/labelling.py [--photos 960] [--think 1.2] [--glance 0.25] [--right 0.95] [--seed 1] [--out <json>]

A script labels drawn photos of which it knows the truth. Its thinking is added up and not slept. A key for each photo:
`--think` seconds a photo. As predicted: `--glance` seconds for each photo that one looks over, `--think` for each that
is wrong, and once more for each page. The glance is an assumption: 0.25 s is 12 s for a page of 48. What the page
itself takes (keys, clicks, pictures, saving) is measured. The filter is right about `--right` of the photos, and as
sure of the others.
"""

import argparse
import io
import os
import random
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from kept import keep  # noqa: E402  # the module beside this one
from PIL import Image  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from carpipe.local.s3server import s3server  # noqa: E402  # the tests must be found first
from carpipe.steps.data.inventory import inventory  # noqa: E402
from carpipe.steps.labels.store import current_labels  # noqa: E402
from carpipe.steps.session import Session, open_session  # noqa: E402
from tests.chromium import logged_in, press, text_of, tiles, until, until_saved  # noqa: E402
from tests.conftest import make_config  # noqa: E402
from tests.filtered import commit_filter  # noqa: E402
from tests.plugins.api_server import add_connection, api_server, log_in  # noqa: E402

GOAL = 10_000  # photos
PER_PAGE = 48
CARS = 0.55  # share of the photos
COLUMNS = (
    "way",
    "photos",
    "keys and clicks a photo",
    "photos/min",
    f"min for {GOAL:,}",
    "page alone, s/photo",
    "right",
)


@dataclass
class Way:
    """What one way of labelling came to. `thought` are seconds that were added up, `machine` seconds of the page."""

    name: str
    photos: int = 0
    pressed: int = 0
    thought: float = 0.0
    machine: float = 0.0
    right: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def row(self) -> tuple[Any, ...]:
        """It as COLUMNS."""
        per_minute = 60 * self.photos / (self.thought + self.machine)
        shares = (self.pressed / self.photos, self.machine / self.photos, self.right)
        pressed, alone, right = (f"{share:.3f}" for share in shares)
        return self.name, self.photos, pressed, round(per_minute, 1), round(GOAL / per_minute, 1), alone, right


def main(options: argparse.Namespace) -> None:
    """Print a line for each way."""
    with tempfile.TemporaryDirectory() as name, s3server(Path(name) / "s3") as s3:
        os.environ.update(s3.env())
        home = Path(name)
        rows = []
        for way in (by_key, as_predicted):
            session = open_session(make_config(f"s3://{s3.bucket}/{way.__name__}"))
            truth = fill(session, options)
            (home / way.__name__).mkdir()
            os.environ["AIRFLOW_HOME"] = str(home / way.__name__)
            with api_server(session, home / way.__name__) as (url, _):
                with log_in(url, "admin") as admin:
                    add_connection(admin, s3)
                with logged_in(url, home / f"{way.__name__}-chromium") as driver:
                    done = way(driver, truth, options)
            given = current_labels(session)
            done.photos = len(given)
            done.right = sum(truth[key] == one.label for key, one in given.items()) / len(given)
            print(*(f"{head}: {value}" for head, value in zip(COLUMNS, done.row(), strict=True)), sep="; ", flush=True)
            rows.append(done.row())
    if options.out:
        keep(
            options.out,
            title="Labelling photos on the page Labels",
            columns=COLUMNS,
            rows=rows,
            says=says(options, done),
        )


def fill(session: Session, options: argparse.Namespace) -> dict[str, str]:
    """Photos and what the filter says of them; returns the truth by key."""
    rng = random.Random(options.seed)
    truth, says_car = {}, {}
    for number in range(options.photos):
        listing, photo = (uuid.UUID(int=rng.getrandbits(128), version=4) for _ in range(2))
        key = f"audi_a3_2001/{number}_1_{listing}_{photo}.jpg"
        truth[key] = "auto" if rng.random() < CARS else "no_auto"
        car = (truth[key] == "auto") == (rng.random() < options.right)
        says_car[key] = 0.7 + 0.3 * rng.random() ** 0.2 if car else 0.7 - 0.7 * rng.random() ** 0.2
        session.store.put(f"raw/{key}", picture(rng))
    inventory(session)
    commit_filter(session, says_car.get)
    return truth


def picture(rng: random.Random) -> bytes:
    """A JPEG of 640x480, some 25 kB, as listings have them."""
    sink = io.BytesIO()
    noise = Image.frombytes("RGB", (40, 30), rng.randbytes(3600))
    noise.resize((640, 480), Image.Resampling.BICUBIC).save(sink, "JPEG", quality=80)
    return sink.getvalue()


def by_key(driver: Any, truth: dict[str, str], options: argparse.Namespace) -> Way:
    """At random, 24 a page, a key for each photo."""
    way = Way("a key for each photo")
    begin(driver, "random", 24)
    way.began = time.monotonic()
    while keys := open_keys(driver):
        press(driver, *("a" if truth[key] == "auto" else "n" for key in keys))
        way.pressed += len(keys)
        way.thought += options.think * len(keys)
        turned(driver, keys)
    return ended(driver, way)


def as_predicted(driver: Any, truth: dict[str, str], options: argparse.Namespace) -> Way:
    """The wrong ones of a page selected by clicks and labelled by a key, then the page accepted."""
    way = Way("pages as predicted")
    begin(driver, "predicted", PER_PAGE)
    way.began = time.monotonic()
    while keys := open_keys(driver):
        wrong = wrong_ones(driver, truth)
        for word, places in wrong.items():
            correct(driver, places, "a" if word == "auto" else "n")
            way.pressed += len(places) + bool(places)
        press(driver, Keys.ENTER)
        way.pressed += 1
        way.thought += options.glance * len(keys) + options.think * (1 + sum(map(len, wrong.values())))
        turned(driver, keys)
    return ended(driver, way)


def correct(driver: Any, places: list[int], key: str) -> None:
    """Select photos by clicks, and press a key for all of them."""
    found = tiles(driver)
    for place in places:
        # In the middle, where the bar of buttons does not lie over it.
        driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", found[place])
        ActionChains(driver).key_down(Keys.CONTROL).click(found[place]).key_up(Keys.CONTROL).perform()
    if places:
        press(driver, key)


CHOOSE = """const [how, count] = ['how', 'count'].map((one) => document.getElementById(one));
[how.value, count.value] = arguments; how.dispatchEvent(new Event('change'))"""


def begin(driver: Any, how: str, count: int) -> None:
    """Choose the order and the size of a page."""
    driver.set_window_size(1280, 1000)
    driver.execute_script(CHOOSE, how, str(count))
    until(driver, lambda: len(tiles(driver)) == count)
    until(driver, lambda: loaded(driver))


SHOWN = """return [...document.querySelectorAll('#grid .tile')].map((one) =>
  [one.querySelector('figcaption').title, one.className, one.getAttribute('aria-label')])"""


def open_keys(driver: Any) -> list[str]:
    """The photos of the page without a label."""
    return [key for key, classes, _ in driver.execute_script(SHOWN) if not {"auto", "no_auto"} & {*classes.split()}]


def wrong_ones(driver: Any, truth: dict[str, str]) -> dict[str, list[int]]:
    """By their true label, the places of photos that the filter is wrong about."""
    wrong: dict[str, list[int]] = {"auto": [], "no_auto": []}
    for place, (key, classes, _) in enumerate(driver.execute_script(SHOWN)):
        if f"told-{truth[key]}" not in classes.split():
            wrong[truth[key]].append(place)
    return wrong


def loaded(driver: Any) -> bool:
    """Whether all pictures of the page are there: before, it cannot be accepted."""
    script = "return [...document.querySelectorAll('#grid img')].every((one) => one.complete)"
    return bool(driver.execute_script(script))


def turned(driver: Any, keys: list[str]) -> None:
    """Wait for the next page; where there is none, the page says so."""

    def there() -> bool:
        now = open_keys(driver)
        return now[0] not in keys if now else bool(text_of(driver, "said"))

    until(driver, there)
    until(driver, lambda: loaded(driver))


def ended(driver: Any, way: Way) -> Way:
    """With the seconds of the page, until all is saved."""
    until_saved(driver)
    way.machine = time.monotonic() - way.began
    return way


def says(options: argparse.Namespace, predicted: Way) -> str:
    """What the figures mean, and how slow a glance may be for the goal in 90 minutes."""
    others = predicted.thought + predicted.machine - options.glance * predicted.photos
    slowest = 90 * 60 / GOAL - others / predicted.photos
    return (
        f"Thinking is added up: {options.think} s a photo by key; as predicted {options.glance} s a photo that is "
        f"looked over, which is an assumption, and {options.think} s for each page and each wrong photo. The filter is "
        f"right about {options.right:.0%}. Seconds of the page are measured, with those of the script that drives it. "
        "It presses without a pause, where the next page loads while a person thinks. "
        f"With glances of {slowest:.2f} s, {GOAL:,} photos take 90 minutes."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=960)
    parser.add_argument("--think", type=float, default=1.2, help="seconds for a decision")
    parser.add_argument("--glance", type=float, default=0.25, help="seconds for a photo that is looked over")
    parser.add_argument("--right", type=float, default=0.95, help="share of the photos that the filter is right about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    main(parser.parse_args())
