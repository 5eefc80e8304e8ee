"""How far a training is, as it tells whoever looks."""

import logging

import pytest

from carpipe.steps.models.progress import HOME, progress_key, read_progress, tell_progress

EPOCH = {"event": "epoch", "epoch": 1, "phase": "head", "epochs": 3, "checkpoint": "x.tar", "loss": 0.5}
KEY = progress_key("classifier", "night")


def tell(session, losses, **other):
    history = [{"epoch": number, "loss": loss} for number, loss in enumerate(losses, start=1)]
    tell_progress(session.store, KEY, prefix="runs/train/x", event={**EPOCH, "history": history, **other})


def test_each_epoch_is_told_in_the_place_of_the_one_before(session):
    assert read_progress(session.store, "classifier", "night") is None
    for losses in ([0.5], [0.5, 0.25]):
        tell(session, losses)
        told = read_progress(session.store, "classifier", "night")
        assert [one["loss"] for one in told.history] == losses
    assert (told.phase, told.epochs, told.prefix) == ("head", 3, "runs/train/x")
    assert [info.key for info in session.store.list_objects(HOME)] == [KEY]


def test_another_run_and_another_model_have_told_nothing(session):
    tell(session, [0.5])
    assert read_progress(session.store, "classifier", "next night") is None
    assert read_progress(session.store, "car_filter", "night") is None


@pytest.mark.parametrize(
    "spoilt",
    [b"oops", b"[]", b'{"form": 2}', b'{"prefix": "", "phase": "", "epochs": 1, "history": [5]}', b" " * (2**20 + 1)],
)
def test_what_cannot_be_read_is_no_progress(session, spoilt, caplog):
    caplog.set_level(logging.INFO)
    session.store.put(KEY, spoilt)
    assert read_progress(session.store, "classifier", "night") is None
    assert "how far the training of night is cannot be told" in caplog.text


def test_a_loss_that_is_no_number_is_told_too(session):
    tell(session, [float("nan")])
    assert len(read_progress(session.store, "classifier", "night").history) == 1
