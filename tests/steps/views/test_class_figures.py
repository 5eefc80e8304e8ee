"""Classes one by one, against the table and the answers that were written by hand."""

import numpy as np
import pandas as pd
import pytest

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.evaluation.top_answers import keep_top, to_parquet
from carpipe.manifest import Work
from carpipe.steps.cache import ResultCache
from carpipe.steps.views.class_figures import list_classes, show_class
from carpipe.weights import channel
from tests.indexed import index_of
from tests.plugins import bucket

CLASSES = ("skoda_octavia", "volkswagen_golf")
REPORT = """,precision,recall,f1-score,support
skoda_octavia,1.0,0.5,0.667,2
volkswagen_golf,0.5,1.0,0.667,1
accuracy,0.667,0.667,0.667,0.667
macro avg,0.75,0.75,0.667,3
weighted avg,0.8,0.667,0.667,3
"""


@pytest.fixture
def index(session, made):
    return index_of(session, made[0])


@pytest.fixture
def judged(session, made, index):
    """A live model with a report by class and answers: of two photos of skoda_octavia, one is taken for a golf."""
    rows = index.select("SELECT key, class_name FROM photos WHERE dropped IS NULL ORDER BY class_name, row LIMIT 2")
    photos = pd.DataFrame({"key": [one["key"] for one in rows], "class_name": ["skoda_octavia"] * 2})
    p = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    top = keep_top(photos, p, energy=np.zeros(2, np.float32), temperature=1.0, classes=CLASSES)
    work = Work("evaluate", 1, "classifier", {}, ("x",))
    evaluated = manifest.commit(session.store, work, {"top_test.parquet": to_parquet(top)}, counts={})
    work = Work("model", 3, "classifier", {"h5": False}, (evaluated.key,), home="models/classifier")
    extra = {"contract": 1, "classes": list(CLASSES), "metrics": {}, "dataset": made[0].key, "trained": "stages/x"}
    model = manifest.commit(session.store, work, {"report_test.csv": REPORT.encode()}, counts={}, extra=extra)
    channel.promote(session.store, "classifier", model=model.key, reason="r", run="x", at="2026-01-05T00:00:00Z")
    return photos["key"].tolist()


def test_without_a_model_that_says_it_classes_have_photos_and_no_figures(cache, index):
    lines = list_classes(cache, index)
    assert [(one.name, one.photos, one.known, one.taken_for) for one in lines] == [
        ("skoda_octavia", 4, None, ""),
        ("volkswagen_golf", 4, None, ""),
    ]
    assert lines[0].models == ["skoda_octavia"]


def test_what_the_live_model_takes_a_class_for_is_shown_with_pictures(session, index, judged):
    cache = ResultCache(session)
    view = show_class(cache, index, "skoda_octavia")
    assert (view.line.known.recall, view.line.known.photos, view.line.taken_for) == (0.5, 2, "volkswagen_golf")
    [one] = view.confusions
    assert (one.other, one.photos, one.share, [photo.key for photo in one.pictures]) == (
        "volkswagen_golf", 1, 0.5, [judged[1]],
    )  # fmt: skip
    assert sum(view.splits.values()) == view.line.photos
    assert view.examples
    assert show_class(cache, index, "volkswagen_golf").confusions == []


def test_the_least_known_come_first_where_that_is_asked(session, index, judged):
    names = [one.name for one in list_classes(ResultCache(session), index, sort="recall")]
    assert names == ["skoda_octavia", "volkswagen_golf"]


def test_a_class_that_is_none_is_said_to_be_none(cache, index):
    with pytest.raises(InputError, match="no class"):
        show_class(cache, index, bucket.SCRIPT)
