"""The bench of the chaos tests, their seed, and the table of what they saw."""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from carpipe.sample import draw_world
from tests.chaos.bench import Bench

SEED = int(os.environ.get("CARPIPE_CHAOS_SEED") or random.SystemRandom().randrange(10**6))
ROUNDS = int(os.environ.get("CARPIPE_CHAOS_ROUNDS") or 50)


@dataclass(frozen=True)
class Row:
    """One round: what was done to which step, and how it ended."""

    case: str
    what: str
    outcome: str


ROWS: list[Row] = []
Note = Callable[[str, str, str], None]


@pytest.fixture(scope="session")
def note() -> Note:
    """Add a row to the table; printed at once too, so that a failure shows how far the rounds came."""

    def add(case: str, what: str, outcome: str) -> None:
        ROWS.append(Row(case, what, outcome))
        print(f"{case}: {what}: {outcome}")

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
    counted: dict[tuple[str, str], int] = {}
    for row in ROWS:
        counted[row.case, row.outcome] = counted.get((row.case, row.outcome), 0) + 1
    width = max(len(row.case) for row in ROWS)
    for (case, outcome), rounds in sorted(counted.items()):
        terminalreporter.write_line(f"{case:{width}}  {rounds:4d}  {outcome}")
