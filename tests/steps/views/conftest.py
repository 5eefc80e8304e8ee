"""A bucket made by hand, read as the pages read it."""

import pytest

from carpipe.steps.cache import ResultCache
from tests.plugins import bucket


@pytest.fixture
def made(session):
    return bucket.fill(session)


@pytest.fixture
def cache(session, made):
    return ResultCache(session)
