"""Datasets and their photos as a server finds them, with an index of their own."""

import tempfile
from pathlib import Path

from carpipe.steps.views import datasets
from carpipe.steps.views.photo_indexes import PhotoIndexes


def index_of(session, dataset):
    """The index of a dataset's photos; its file is gone once it is open."""
    with tempfile.TemporaryDirectory() as folder:
        found = PhotoIndexes(folder=Path(folder)).find(session.store, dataset, patience_s=60)
        found.select("SELECT 1")
    return found


def show_dataset(cache, dataset):
    """A dataset in full, by its id."""
    done = datasets.find_dataset(cache, dataset)
    return datasets.show_dataset(cache, done, index_of(cache.session, done))
