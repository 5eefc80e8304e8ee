"""The bench of the chaos tests, their seed, and the table of what they saw."""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import pytest

from carpipe.sample import draw_world
from tests.chaos.bench import Bench, Recovered

SEED = int(os.environ.get("CARPIPE_CHAOS_SEED") or random.SystemRandom().randrange(10**6))
ROUNDS = int(os.environ.get("CARPIPE_CHAOS_ROUNDS") or 50)


@dataclass(frozen=True)
class Row:
    """One round: what was done to which step, how it ended, and how long the retry took until all was well."""

    case: str
    what: str
    outcome: str
    recovered: Recovered | None


ROWS: list[Row] = []
Note = Callable[..., None]


@pytest.fixture(scope="session")
def note() -> Note:
    """Add a row to the table; printed at once too, so that a failure shows how far the rounds came."""

    def add(case: str, what: str, outcome: str, recovered: Recovered | None = None) -> None:
        ROWS.append(Row(case, what, outcome, recovered))
        print(f"{case}: {what}: {outcome}" + (f" after {recovered.seconds:.1f} s" if recovered else ""))

    return add


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Chance that can be had again: `make chaos SEED=...`."""
    print(f"seed {SEED}: replay with `make chaos SEED={SEED}`")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A server of its own: it gets killed."""
    bench = Bench(tmp_path_factory.mktemp("chaos"))
    yield bench
    bench.server.stop()


@pytest.fixture(scope="package")
def raw(tmp_path_factory: pytest.TempPathFactory):
    """Some ninety photos of sixteen cars."""
    return draw_world(tmp_path_factory.mktemp("world"), seed=5, listings=16).raw


@pytest.fixture(scope="package")
def short(bench: Bench, raw) -> Bench:
    """A bench on which the steps of the short form were rehearsed; the others are when they are asked for."""
    bench.set_up(raw)
    bench.rehearse("publish")
    return bench


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table at the end."""
    if not ROWS:
        return
    terminalreporter.section(f"pulled plugs, seed {SEED}")
    counted: dict[tuple[str, str], list[Row]] = {}
    for row in ROWS:
        counted.setdefault((row.case, row.outcome), []).append(row)
    width = max(len(row.case) for row in ROWS)
    for (case, outcome), rows in sorted(counted.items()):
        found = [row.recovered for row in rows if row.recovered]
        seconds = sorted(one.seconds for one in found)
        took = f"; recovered in {median(seconds):.1f} s, at most {seconds[-1]:.1f} s" if found else ""
        objects = f"; {sum(one.objects for one in found):,} results compared" if found else ""
        terminalreporter.write_line(f"{case:{width}}  {len(rows):4d}  {outcome}{took}{objects}")
