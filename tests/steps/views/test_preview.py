"""Photos as pages may show them."""

import io

import pytest
from PIL import Image

from carpipe.errors import InputError, MissingError
from carpipe.steps.views.preview import SIDE, Previews
from tests.plugins import bucket


def test_a_preview_is_small_and_bare(session, made):
    previews = Previews(session)
    with previews.child:
        jpeg = previews.jpeg(bucket.key(1))
        assert Image.open(io.BytesIO(jpeg)).size == (200, 120)
        assert b"private" not in jpeg
        session.store.put("raw/a/large.jpg", _large())
        assert max(Image.open(io.BytesIO(previews.jpeg("a/large.jpg"))).size) == SIDE
        session.store.put("raw/a/no.jpg", b"no photo")
        with pytest.raises(InputError, match="can be shown"):
            previews.jpeg("a/no.jpg")
        with pytest.raises(MissingError):
            previews.jpeg("a/gone.jpg")


def _large():
    sink = io.BytesIO()
    Image.new("RGB", (1600, 900)).save(sink, "JPEG")
    return sink.getvalue()
