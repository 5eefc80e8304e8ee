"""Views of a listing by the API: where the car filter of the settings tells some, and only there."""

import io

import numpy as np
import pytest
from PIL import Image

from carpipe import manifest
from carpipe.config import CleanConfig
from carpipe.manifest import Work
from carpipe.pictures import encode as encoding
from carpipe.pictures.model_input import to_batch
from carpipe.viewpoints import VIEWS
from carpipe.weights import channel
from tests.serving.conftest import post, ready, serving, wait_for
from tests.serving.described import described
from tests.tiny import SIDE, Tiny

FILTER = Tiny(seed=5, classes=("auto", "no_auto"), views=VIEWS)


def publish_filter(session, model):
    work = Work("model", 1, "car_filter", {"views": len(model.views)}, (), home="models/car-filter")
    done = manifest.commit(session.store, work, model.files(), counts={}, extra={"classes": model.classes})
    channel.promote(session.store, "car-filter", model=done.key, reason="test", run=done.key, at="2026-01-01")


def told(photo):
    """What the filter tells of a photo's thumbnail, as the pipeline makes it."""
    clean = CleanConfig()
    pixels = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))
    small = encoding.encode_pixels(encoding.shrink(pixels, clean.thumbnail_side), quality=clean.thumbnail_quality)
    return FILTER.told(to_batch([small], SIDE))[0]


def test_a_listing_is_answered_with_views_what_is_missing_and_a_cover(session, live, cache, photos, blank):
    publish_filter(session, FILTER)
    sent = [blank, *photos[:3], b"oops"]
    with serving(session, cache, views_channel="car-filter") as client:
        ready(client)
        reply = wait_for(lambda: (found := post(client, *sent, url="/predict/listing").json()).get("views") and found)
        single = post(client, photos[0]).json()
        client_document = client.get("/openapi.json").json()
    truth = [told(photo) for photo in sent[:4]]
    assert [view["view"] for view in reply["views"][:4]] == [VIEWS[row.argmax()] for row in truth]
    assert [view["p"] for view in reply["views"][:4]] == pytest.approx([row.max() for row in truth], abs=0.02)
    assert reply["views"][4] is None
    assert reply["missing_views"] == [view for view in VIEWS if view not in {one["view"] for one in reply["views"][:4]}]
    assert reply["cover"] in (1, 2, 3)
    assert "views" not in single
    assert described(client_document, "/predict/listing", 200, reply) == []


def test_without_the_setting_or_without_such_a_filter_nothing_is_added(session, live, cache, photos, caplog):
    caplog.set_level("INFO")
    publish_filter(session, Tiny(seed=5, classes=("auto", "no_auto")))
    for settings in ({}, {"views_channel": "nobody"}, {"views_channel": "car-filter"}):
        with serving(session, cache, **settings) as client:
            ready(client)
            if settings.get("views_channel") == "car-filter":
                wait_for(lambda: "tells no views" in caplog.text)
            reply = post(client, photos[0], url="/predict/listing").json()
            assert reply["success"]
            assert not {"views", "missing_views", "cover"} & {*reply}


def test_a_filter_that_tells_views_otherwise_than_published_is_refused(session, live, cache, photos, caplog):
    broken = FILTER.files()
    other = Tiny(seed=6, classes=("auto", "no_auto"), views=VIEWS).files()
    files = {**broken, "model.xml": other["model.xml"], "model.bin": other["model.bin"]}
    work = Work("model", 1, "car_filter", {}, (), home="models/car-filter")
    done = manifest.commit(session.store, work, files, counts={}, extra={"classes": FILTER.classes})
    channel.promote(session.store, "car-filter", model=done.key, reason="test", run="x", at="2026-01-01")
    with serving(session, cache, views_channel="car-filter") as client:
        ready(client)
        wait_for(lambda: "no newer views" in caplog.text)
        assert "views" not in post(client, photos[0], url="/predict/listing").json()
