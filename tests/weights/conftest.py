"""A published model."""

import pytest

from tests.tiny import Tiny, go_live, publish


@pytest.fixture(scope="module")
def files():
    return Tiny().files()


@pytest.fixture
def model(session, files):
    made = publish(session, files)
    go_live(session, made)
    return made
