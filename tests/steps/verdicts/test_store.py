"""Verdicts on advice: kept, overruled, taken back, and what is none."""

import pytest

from carpipe.errors import InputError
from carpipe.steps.verdicts.store import FOLDER, current_verdicts, keep_verdict, proposal_id

ONE = proposal_id("merge", {"a": "b", "c": "b"})


def say(session, to, *, at="2026-01-01T00:00:00Z", why=""):
    return keep_verdict(session, ONE, to, at=at, by="ann", why=why)


def test_the_last_verdict_counts_and_open_takes_it_back(session):
    assert current_verdicts(session) == {}
    say(session, "later")
    say(session, "refused", at="2026-01-02T00:00:00Z", why="=they differ, in front")
    [found] = current_verdicts(session).values()
    assert (found.to, found.by, found.why) == ("refused", "ann", "=they differ, in front")
    say(session, "open", at="2026-01-03T00:00:00Z")
    assert current_verdicts(session) == {}
    assert len([*session.store.list_objects(FOLDER)]) == 3, "nothing is overwritten"


def test_a_proposal_is_its_moves_in_any_order_and_another_one_with_others():
    assert proposal_id("merge", {"c": "b", "a": "b"}) == ONE
    assert len({ONE, proposal_id("split", {"a": "b", "c": "b"}), proposal_id("merge", {"a": "b"})}) == 3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [({"to": "never"}, "expected refused, later, open"), ({"to": "later", "why": "x" * 501}, "500 characters at most"),
     ({"to": "later", "why": "a\nb"}, "as its reason")],
)  # fmt: skip
def test_what_is_no_verdict_is_refused_with_what_is(session, given, sentence):
    with pytest.raises(InputError, match=sentence):
        say(session, **given)
    assert current_verdicts(session) == {}


def test_a_file_that_is_none_is_named(session):
    session.store.put(f"{FOLDER}/x.csv", b"proposal,to\n../x,refused\n")
    with pytest.raises(InputError, match=r"x\.csv"):
        current_verdicts(session)
