"""The real S3 server for all tests, and small pieces of the world to test on."""

import contextlib
import gc
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from carpipe.config import Config, load_config
from carpipe.local.s3server import S3Settings, s3server
from carpipe.sample import World, draw_world
from carpipe.steps.session import Session, open_session
from tests.between import between
from tests.listing import odd_listings

SAMPLE = Path(__file__).parents[1] / "carpipe" / "sample" / "sample.toml"
DATA = Path(os.environ.get("CARPIPE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def log_is_heard() -> None:
    """Commands say for their whole process how much is logged (`--quiet`). Here they share it with other tests."""
    logging.getLogger("carpipe").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def data() -> Path:
    """Real photos with truth; they may not be given away, so most machines do not have them."""
    if not (DATA / "truth.csv").exists():
        pytest.skip("no real photos here: set CARPIPE_TEST_DATA to their folder")
    return DATA


# Authorities of the machine that tests run on are none of theirs.
os.environ.pop("AWS_CA_BUNDLE", None)
# Each test process has an S3 server; on few cores its threads would only wait for each other.
os.environ.setdefault("GOMAXPROCS", "1")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    """One server a test process; its settings are also in the environment."""
    with s3server(tmp_path_factory.mktemp("s3"), grace=0.0) as settings:
        kept = dict(os.environ)
        os.environ.update(settings.env())
        yield settings
        os.environ.clear()
        os.environ.update(kept)


@pytest.fixture
def as_nobody() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Within it, this process has no rights on what `chmod` has closed, as in a container that does not run as root."""

    @contextlib.contextmanager
    def acting() -> Iterator[None]:
        mine = os.geteuid()
        os.seteuid(mine or 65534)
        try:
            yield
        finally:
            os.seteuid(mine)

    return acting


@pytest.fixture
def make_session(s3: S3Settings) -> Callable[..., Session]:
    """Open sessions on one bucket prefix of the test's own, with settings by dotted key."""
    url = f"s3://{s3.bucket}/{uuid4().hex[:12]}"

    def make(**settings: Any) -> Session:
        return open_session(make_config(url, **settings))

    return make


def make_config(url: str, **settings: Any) -> Config:
    """Settings of the sample world; `classes__min_photos=3` sets classes.min_photos."""
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    return load_config(SAMPLE, {"store.url": url, **dotted})


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    """A session with the sample world's settings on a prefix of the test's own."""
    return make_session()


@pytest.fixture
def odd(s3: Any) -> Iterator[Any]:
    """The S3 server, with listings that hold whatever keys a test wants (`odd.keys`)."""
    with odd_listings(s3.endpoint) as server:
        yield server


@pytest.fixture
def proxy(s3: Any) -> Iterator[Any]:
    """The S3 server, with a proxy before it that changes what is read as a test wants (`proxy.change`)."""
    with between(s3.endpoint) as server:
        yield server


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A small sample world: about 350 photos."""
    return draw_world(tmp_path_factory.mktemp("world"), seed=5, listings=44)


def pytest_collection_finish() -> None:
    """What is there before the first test stays to the end: nobody has to look through it for garbage."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow modules first: the workers then end at about the same time."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
