"""What the page Data shows, held against a bucket made by hand."""

import pytest

from carpipe.errors import InputError
from carpipe.steps.views import datasets
from tests.indexed import show_dataset
from tests.plugins import bucket


def test_the_list_of_datasets(cache, made):
    [row] = datasets.list_datasets(cache).rows
    assert row.id == made[0].key.split("/")[1]
    assert (row.photos, row.kept, row.vehicles, row.classes) == (12, 8, 8, 2)


def test_a_dataset_in_full(cache, made):
    shown = show_dataset(cache, made[0].key.split("/")[1])
    assert [(one.stage, one.name, one.photos, one.share) for one in shown.reasons] == [
        ("clean", "truncated", 1, 1 / 12),
        ("filter", "not_a_car", 3, 0.25),
    ]
    assert sum(row.photos for row in shown.classes) == 8
    assert [(row.train, row.val, row.test) for row in shown.classes] == [(2, 2, 0), (2, 0, 2)]
    assert shown.verdict["failed"] == [bucket.SCRIPT]
    assert shown.documents == ["report.html", "data_docs/index.html"]


def test_examples_are_photos_of_their_reason(cache, made):
    dataset = made[0].key.split("/")[1]
    truncated, not_a_car = show_dataset(cache, dataset).reasons
    assert sorted(not_a_car.examples) == [0, 1, 2]
    assert list(truncated.examples) == [3]


def test_only_pages_of_a_dataset_are_documents(cache, made):
    dataset = made[0].key.split("/")[1]
    assert b"docs of the test" in datasets.read_document(cache, dataset, "data_docs/index.html")
    for name in ("photos.parquet", "data_docs/../photos.parquet"):
        with pytest.raises(InputError, match="no page"):
            datasets.read_document(cache, dataset, name)
    with pytest.raises(InputError, match="no dataset"):
        datasets.find_dataset(cache, "0" * 20)
