"""A training under way as curves, held against figures made by hand."""

import math

import pytest

from carpipe.steps.models.progress import progress_key, tell_progress
from carpipe.steps.views.training import BOTTOM, LEFT, RIGHT, TOP, show_training

HISTORY = [
    {"epoch": 1, "finetune": 0.0, "loss": 2.0, "val_loss": 3.0, "accuracy": 0.2, "val_accuracy": 0.1, "seconds": 30.0},
    {"epoch": 2, "finetune": 0.0, "loss": 1.5, "val_loss": 2.0, "accuracy": 0.4, "val_accuracy": 0.3, "seconds": 30.0},
    {"epoch": 3, "finetune": 1.0, "loss": 1.0, "val_loss": 1.5, "accuracy": 0.6, "val_accuracy": 0.5, "seconds": 31.0},
]


def tell(session, history, *, section="classifier"):
    event = {"phase": "finetune", "epochs": 20, "history": history}
    tell_progress(session.store, progress_key(section, "night"), prefix="runs/train/x", event=event)


def points(line):
    return [tuple(map(float, point.split(","))) for point in line.points.split()]


def test_loss_and_top1_of_both_kinds_of_photos_are_drawn_by_epoch(cache, session):
    tell(session, HISTORY)
    shown = show_training(cache, "classifier", "night")
    assert (shown.epoch, shown.epochs, shown.phase, shown.seconds) == (3, 20, "the whole network", 31.0)
    loss, top1 = shown.curves
    assert (loss.low, loss.high, top1.low, top1.high) == ("1.00", "3.00", "10.0 %", "60.0 %")
    assert [line.name for line in loss.lines] == ["training", "validation"]
    middle = (LEFT + RIGHT) / 2
    training, validation = map(points, loss.lines)
    assert training == [(LEFT, (TOP + BOTTOM) / 2), (middle, BOTTOM - (BOTTOM - TOP) / 4), (RIGHT, BOTTOM)]
    assert validation[0] == (LEFT, TOP)
    assert loss.said == "Loss by epoch: training 1.00, validation 1.50 in the last one"
    assert LEFT < top1.turn < RIGHT, "where the whole network began to be trained"


def test_the_first_epoch_is_a_point_and_no_phase_has_ended(cache, session):
    tell(session, HISTORY[:1])
    [loss, _] = show_training(cache, "classifier", "night").curves
    assert points(loss.lines[0]) == [((LEFT + RIGHT) / 2, BOTTOM)]
    assert loss.turn is None


@pytest.mark.parametrize("history", [[], [{"epoch": 1, "loss": math.nan, "val_loss": math.inf}]])
def test_what_is_no_number_is_not_drawn(cache, session, history):
    tell(session, history)
    shown = show_training(cache, "classifier", "night")
    assert (shown.curves if shown else []) == []


def test_a_run_that_tells_nothing_and_a_channel_that_nothing_trains_for_have_no_curves(cache, session):
    tell(session, HISTORY, section="car_filter")
    assert show_training(cache, "classifier", "night") is None
    assert show_training(cache, "other", "night") is None
    assert show_training(cache, "car-filter", "night").epoch == 3
