import json

import pytest

from carpipe.evaluation.decision import Decision


@pytest.mark.parametrize("outcome", ["publish", "ask", "refuse"])
def test_a_check_that_failed_refuses_and_says_so_first(outcome):
    decision = Decision(outcome, ("Better.",)).with_check("servable", False, "OpenVINO does not load it.")

    assert decision.outcome == "refuse"
    assert decision.reasons == ("The check servable failed: OpenVINO does not load it.", "Better.")


@pytest.mark.parametrize("outcome", ["publish", "ask", "refuse"])
def test_a_check_that_passed_changes_nothing_but_is_kept(outcome):
    decision = Decision(outcome, ("Better.",)).with_check("golden", True, "at most 0.0004 apart")

    assert (decision.outcome, decision.reasons) == (outcome, ("Better.",))
    assert decision.render() == f"gate: {outcome}\n  Better.\n  check golden: ok, at most 0.0004 apart"


def test_a_failed_check_is_not_healed_by_a_later_one():
    decision = Decision("publish", ()).with_check("a", False, "no").with_check("b", True, "yes")

    assert decision.outcome == "refuse"
    assert [check.ok for check in decision.checks] == [False, True]


def test_a_decision_is_json():
    decision = Decision("ask", ("Look.",), {"low": 0.1}).with_check("golden", True, "same")

    assert json.loads(json.dumps(decision.to_json())) == {
        "outcome": "ask",
        "reasons": ["Look."],
        "numbers": {"low": 0.1},
        "checks": [{"name": "golden", "ok": True, "message": "same"}],
    }
