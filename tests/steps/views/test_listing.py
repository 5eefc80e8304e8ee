"""The views of one listing, out of a dataset made by hand: told, missing, and the cover."""

import io
import json
import uuid

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from carpipe import manifest
from carpipe.cli import main
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.photos import blobs_to_parquet, to_parquet
from carpipe.steps import results
from carpipe.steps.views.listing import describe_listing, listing_views

LISTING, OTHER = (str(uuid.UUID(int=number)) for number in (1, 2))
PARTITION = "p00000-a"
SIZE = (100, 80)
WHOLE, CUT = [10.0, 10.0, 90.0, 70.0], [0.0, 10.0, 90.0, 70.0]


def crop(*, blurred=False):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).resize((320, 240))
    sink = io.BytesIO()
    (image.filter(ImageFilter.GaussianBlur(8)) if blurred else image).save(sink, "JPEG")
    return sink.getvalue()


def photo(number, view, *, box=None, listing=LISTING):
    return {
        "key": f"audi_a3_2001/1_{number}_{listing}_{uuid.UUID(int=10 + number)}.jpg", "listing_uuid": listing,
        "photo": number, "partition": PARTITION, "width": SIZE[0], "height": SIZE[1], "box": box, "view": view,
        "view_p": 0.9 if view else None,
    }  # fmt: skip


def dataset(session, rows, crops, *, told=("front", "in", "back"), columns=()):
    """The chain of results that `listing_views` goes back."""
    store = session.store

    def commit(stage, partition, inputs, files=None, **facts):
        home = "datasets" if stage == "dataset" else ""
        return manifest.commit(store, Work(stage, 1, partition, {}, inputs, home=home), files or {}, counts={}, **facts)

    filtered = commit("filter", PARTITION, (), extra={"views": {"recommended": list(told)}})
    found = {row["key"]: crops[row["photo"]] for row in rows if row["photo"] in crops}
    cropped = commit("crop", PARTITION, (filtered.key,), {results.CROPS: blobs_to_parquet(found)})
    key = cropped.key
    for stage in ("identify", "classes", "split"):
        key = commit(stage, "all", (key,)).key
    table = pd.DataFrame(rows).drop(columns=[*columns])
    return commit("dataset", "all", (key,), {results.PHOTOS: to_parquet(table)}).key


ROWS = [
    photo(1, "back", box=WHOLE),
    photo(2, "angle-front-on-left", box=CUT),
    photo(3, "angle-front-on-right", box=WHOLE),
    photo(4, "angle-front-on-left", box=WHOLE),
    photo(10, "in"),
    photo(5, None),
    photo(1, "front", box=WHOLE, listing=OTHER),
]
CROPS = {1: crop(), 2: crop(), 3: crop(blurred=True), 4: crop()}


def test_the_sharp_whole_three_quarter_front_is_the_cover(session):
    found = listing_views(session, LISTING, dataset(session, ROWS, CROPS))
    assert [one["view"] for one in found.photos] == [
        "back", "angle-front-on-left", "angle-front-on-right", "angle-front-on-left", None, "in",
    ]  # fmt: skip
    assert found.cover == 3
    assert found.missing == ["front"], "of those that the filter tells"
    text = describe_listing(found)
    assert text.splitlines()[3].startswith("cover  angle-front-on-left (0.90)")
    assert "  front: front" in text
    json.dumps(found.photos)


def test_the_command_shows_it(session, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    command = ["listings", "show", LISTING, "--dataset", dataset(session, ROWS, CROPS)]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[3].startswith("cover  angle-front-on-left (0.90)")
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cover"] == 3


def test_what_there_is_nothing_of_is_a_sentence(session):
    key = dataset(session, ROWS, CROPS)
    with pytest.raises(InputError, match=r"No photo of .* is of the listing"):
        listing_views(session, str(uuid.UUID(int=9)), key)
    with pytest.raises(InputError, match="expected its uuid"):
        listing_views(session, "audi", key)


CARS = [
    *({**row, "vehicle": "car"} for row in ROWS),
    {**photo(7, "front", listing=str(uuid.UUID(int=3))), "vehicle": "another"},
]


def test_other_listings_of_the_same_car_are_named(session):
    found = listing_views(session, LISTING, dataset(session, CARS, CROPS))
    assert found.others == [OTHER]
    assert describe_listing(found).endswith(f"other listings of the same car:\n  {OTHER}")


def test_where_no_view_is_told_that_is_said_and_the_rest_is_shown(session):
    untold = listing_views(session, LISTING, dataset(session, CARS, CROPS, columns=("view", "view_p")))
    assert (len(untold.photos), untold.others, untold.cover) == (6, [OTHER], None)
    text = describe_listing(untold)
    assert "says nothing of views" in text
    assert "no view is missing" not in text
    assert text.endswith(OTHER)
