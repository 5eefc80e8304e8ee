"""Views that a model tells, by the client: as published, or the model is refused."""

import io
import json

import numpy as np
import pytest

from carpipe.errors import InputError
from carpipe.weights.client import pull
from tests.tiny import SIDE, Tiny, go_live, publish

TELLING = Tiny(views=("front", "back", "in"))
PICTURES = np.random.default_rng(3).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


def test_views_come_with_the_probabilities(session, tmp_path):
    go_live(session, publish(session, TELLING.files()))
    model = pull(session.store, cache=tmp_path)
    p, views = model.look_round(PICTURES)
    np.testing.assert_allclose(views, TELLING.told(PICTURES), atol=1e-4)
    np.testing.assert_allclose(p, model.predict(PICTURES), atol=1e-6)
    assert (model.views.names, model.views.recommended) == (TELLING.views, TELLING.views)
    assert model.look_round(PICTURES[:0])[1].shape == (0, 3)
    with pytest.raises(InputError, match="The model takes uint8"):
        model.look_round(PICTURES.astype(np.float32))


def test_a_model_without_views_tells_none(session, tmp_path):
    go_live(session, publish(session, Tiny().files()))
    model = pull(session.store, cache=tmp_path)
    assert model.views is None
    assert model.look_round(PICTURES)[1] is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"views": [], "recommended": []}, "expected a list of views"),
        ({"views": ["front", "front", "in"], "recommended": []}, "expected views that differ"),
        ({"views": ["front", "back", "in"], "recommended": ["top"]}, "expected views that it tells"),
        ({"views": ["1", "2", "3"], "recommended": [1, 2]}, "expected views that it tells"),
        ({"views": ["front", "back", "in"], "recommended": ["in", "in"]}, "expected views that it tells, each once"),
        ({"views": ["front", "back", "in"]}, "it has no 'recommended'"),
        ([], "is not what the contract says"),
        ({"views": ["front", "back"], "recommended": []}, "do not say 2 views for each"),
    ],
)
def test_a_views_json_that_cannot_be_meant_is_refused(session, tmp_path, content, said):
    go_live(session, publish(session, {**TELLING.files(), "views.json": json.dumps(content).encode()}))
    with pytest.raises(InputError, match=said):
        pull(session.store, cache=tmp_path)


def test_a_network_without_views_does_not_go_with_a_views_json(session, tmp_path):
    files = {**Tiny().files(), "views.json": TELLING.files()["views.json"]}
    go_live(session, publish(session, files))
    with pytest.raises(InputError, match="do not say 3 views for each"):
        pull(session.store, cache=tmp_path)


def test_views_that_are_told_otherwise_are_refused(session, tmp_path):
    other = Tiny(views=("front", "back", "in"), seed=0).files()
    with np.load(io.BytesIO(other["golden.npz"])) as golden:
        content = {**golden, "views": golden["views"][:, ::-1]}
    sink = io.BytesIO()
    np.savez_compressed(sink, **content)
    go_live(session, publish(session, {**other, "golden.npz": sink.getvalue()}))
    with pytest.raises(InputError, match="do not trust it on this machine"):
        pull(session.store, cache=tmp_path)
