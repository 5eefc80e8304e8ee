"""The last lines of a run: whether the training started warm or cold."""

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.steps.views.summary import _started


def evaluation(session, **extra):
    trained = manifest.commit(session.store, Work("train", 2, "classifier", {}, ()), {}, counts={}, extra=extra)
    work = Work("evaluate", 3, "classifier", {}, (trained.key,))
    return manifest.commit(session.store, work, {}, counts={}, extra={"trained": trained.key})


def test_a_run_says_whether_its_training_started_warm(session):
    start = {"kind": "warm", "why": "the live model fits.", "chain": 1, "live": "models/classifier/a/manifest.json"}
    assert [*_started(session, evaluation(session, start=start))] == ["started warm: the live model fits."]


def test_of_a_training_of_before_or_one_that_is_gone_nothing_is_said(session):
    judged = evaluation(session)
    assert [*_started(session, judged)] == []
    session.store.delete([judged.inputs[0]])
    assert [*_started(session, judged)] == []
