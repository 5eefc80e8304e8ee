"""What the log says of results that are reused."""

import contextlib
import logging

import pytest

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.steps.reuse import reused, told_together


@pytest.fixture
def done(session):
    """Results of two partitions of a stage, and of another stage."""
    works = (Work("clean", 1, "p0", {}, ()), Work("clean", 1, "p1", {}, ()), Work("split", 1, "all", {}, ()))
    return [manifest.commit(session.store, work, {}, counts={}) for work in works]


def test_each_is_told_of_with_its_key(done, caplog):
    with caplog.at_level(logging.INFO):
        assert [reused(one) for one in done] == done
    assert caplog.messages[1] == f"clean p1: unchanged, reused {done[1].key}"
    assert len(caplog.messages) == 3


def test_together_they_are_one_line(done, caplog):
    with caplog.at_level(logging.INFO):
        with told_together():
            for one in done:
                reused(one)
        assert caplog.messages == ["unchanged, and reused: clean (2), split"]
        reused(done[0])
    assert len(caplog.messages) == 2


def test_where_nothing_was_reused_nothing_is_said(caplog):
    with caplog.at_level(logging.INFO), told_together():
        pass
    assert caplog.messages == []


def test_what_was_reused_is_told_of_also_where_the_work_ends_early(done, caplog):
    with caplog.at_level(logging.INFO), contextlib.suppress(ValueError), told_together():
        reused(done[2])
        raise ValueError("ends")
    assert caplog.messages == ["unchanged, and reused: split"]
