import io
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from carpipe.errors import InputError
from carpipe.evaluation import plots
from carpipe.evaluation.plot_files import to_png
from carpipe.evaluation.tables import by_class
from tests.evaluation.make import draw, make

HISTORY = [
    {
        "epoch": epoch,
        "finetune": float(epoch > 3),
        "loss": 2 / epoch,
        "accuracy": 1 - 1 / (epoch + 1),
        "val_loss": 2 / epoch + 0.1,
        "val_accuracy": 1 - 1.2 / (epoch + 1),
    }
    for epoch in range(1, 7)
]


def opened(figure: Figure) -> Image.Image:
    image = Image.open(io.BytesIO(to_png(figure)), formats=("PNG",))
    image.load()
    return image


def ink(figure: Figure) -> int:
    """Pixels that are not white."""
    return int((np.asarray(opened(figure).convert("L")) < 250).sum())


def test_curves_have_a_panel_more_where_the_learning_rate_is_known():
    two = opened(plots.learning_curves(HISTORY))
    three = opened(plots.learning_curves([{**row, "learning_rate": 1e-3} for row in HISTORY]))

    assert three.width > 1.4 * two.width
    assert three.height == two.height


@pytest.mark.parametrize("history", [HISTORY[:1], [{**row, "val_loss": float("nan")} for row in HISTORY]])
def test_one_epoch_and_one_that_diverged_are_drawn(history):
    assert ink(plots.learning_curves(history)) > 1000


def test_where_a_training_went_on_is_marked():
    calm = plots.learning_curves(HISTORY)
    resumed = plots.learning_curves([*HISTORY[:1], {**HISTORY[1], "resumed": 1.0}, *HISTORY[2:]])

    assert ink(resumed) > ink(calm)


def test_no_history_is_named():
    with pytest.raises(InputError, match="empty"):
        plots.learning_curves([])


@pytest.mark.parametrize(("classes", "side"), [(2, 300), (12, 500), (70, 900)])
def test_a_confusion_matrix_has_room_for_its_classes(classes, side):
    figure = plots.confusion_plot(draw(classes, 400))

    assert side <= opened(figure).width <= 1100
    assert ink(figure) > 1000


def test_a_matrix_of_many_classes_shows_where_the_mistakes_are():
    """Of 100 classes only 20 is confused, with 70: the ink that this adds is far right of the diagonal."""
    names = [f"make{number // 10}_{number:03}" for number in range(100)]
    answers = np.arange(100)
    right = make(names, np.eye(100)[answers], names)
    answers[20] = 70
    wrong = make(names, np.eye(100)[answers], names)

    difference = np.abs(
        np.asarray(opened(plots.confusion_plot(wrong)).convert("L"), int)
        - np.asarray(opened(plots.confusion_plot(right)).convert("L"), int)
    )

    rows, columns = np.nonzero(difference > 60)
    assert len(rows) > 20
    assert columns.mean() > 1.5 * rows.mean()


def test_calibration_moves_the_curve():
    predictions = draw(6, 2000, sharpness=2.5)

    assert to_png(plots.reliability_diagram(predictions, 1.0)) != to_png(plots.reliability_diagram(predictions, 2.5))


@pytest.mark.parametrize("classes", [8, 40])
def test_training_photos_are_drawn_with_and_without_a_median(classes):
    test = draw(classes, 500)
    training = {name: 20 * number for number, name in enumerate(test.classes)}

    assert ink(plots.accuracy_by_training_photos(by_class(test, training=training))) > 1000


def test_the_threshold_is_marked_where_it_was_counted_by_hand():
    # At 0.7: of three cars two are said, and one photo that is none: recall 2/3, precision 2/3.
    truth = np.array([True, True, True, False, False])
    said = np.array([True, True, False, True, False])

    assert plots._operating_point(truth, said) == pytest.approx((2 / 3, 2 / 3))
    assert plots._operating_point(truth, np.zeros(5, bool)) == (0.0, 1.0)


def test_the_precision_recall_curve_is_of_two_classes():
    test = make(["auto", "no_auto"], [[0.9, 0.1], [0.2, 0.8]], ["auto", "no_auto"])
    options = {"threshold": 0.7, "temperature": 1.0}

    assert ink(plots.precision_recall_plot(test, positive="auto", **options)) > 1000
    with pytest.raises(InputError, match="car among them"):
        plots.precision_recall_plot(test, positive="car", **options)
    with pytest.raises(InputError, match="two classes"):
        plots.precision_recall_plot(draw(3, 20), positive="make_model000", **options)


def test_a_split_without_the_class_has_no_curve_but_a_picture():
    test = make(["no_auto"], [[0.2, 0.8]], ["auto", "no_auto"])

    assert ink(plots.precision_recall_plot(test, positive="auto", threshold=0.7, temperature=1.0)) > 100


def test_no_class_name_breaks_a_picture():
    names = ["$\\frac{", "a$b$c", "雪铁龙_毕加索", "x" * 300, "<script>", "_"]
    six = make(names, np.roll(np.eye(6), 1, axis=0), names)
    two = make(names[:2], [[0.9, 0.1], [0.8, 0.2]], names[:2])

    assert ink(plots.confusion_plot(six)) > 1000
    assert ink(plots.precision_recall_plot(two, positive=names[0], threshold=0.5, temperature=1.0)) > 1000


def test_equal_input_gives_an_equal_picture_and_touches_no_global_state():
    test = draw(3, 50)

    assert to_png(plots.confusion_plot(test)) == to_png(plots.confusion_plot(test))
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize("days", [0, 1, 30, 400, 4000])
def test_nights_are_drawn_over_any_time(days):
    """matplotlib warns, which is an error here, where it finds no dates to write."""
    first = datetime(2026, 2, 1, 3, tzinfo=UTC)
    shares = {"photos": 9, "accuracy": 0.6, "low": 0.5, "high": 0.7, "test_accuracy": None}
    nights = [{**shares, "at": (first + timedelta(days=days * part)).isoformat()} for part in (0, 0.5, 1)]

    assert to_png(plots.newest_curve(nights)).startswith(b"\x89PNG")
    assert to_png(plots.newest_curve([{**shares, "at": "never"}] * 2)).startswith(b"\x89PNG")
