"""Years beside the class: what a model must hold to tell them, and what apps are answered."""

import io
import json

import numpy as np
import pytest

from carpipe.errors import InputError
from carpipe.weights.client import pull
from tests.tiny import CLASSES, SIDE, Tiny, go_live, publish
from tests.weights.test_client import KNOWING, cache, pictures  # noqa: F401  # a fixture

ROW = {"offset": 2010.0, "within": 1.5, "first": 1990, "last": 2025, "later": 1}
YEARS = {"classes": dict.fromkeys(CLASSES[:-1], ROW), "share": 0.8, "figures": {}}


def years_json(**changes):
    return json.dumps({"classes": {CLASSES[0]: ROW | changes}}).encode()


@pytest.mark.parametrize("known", [None, {**KNOWING, "offset": 1e6}])
def test_a_model_says_years_of_a_photo_and_of_a_listing(session, cache, known):  # noqa: F811
    tiny = Tiny(years=YEARS, known=known)
    go_live(session, publish(session, tiny.files()))
    model = pull(session.store, cache=cache)
    seen = pictures(40)

    found = model.see(seen)
    answers = [model.describe(row, newer=float(new)) for row, new in zip(found.probabilities, found.newer, strict=True)]

    np.testing.assert_allclose(found.newer, tiny.newer(seen), atol=1e-3)
    np.testing.assert_array_equal(found.probabilities, model.look(seen)[0])
    for answer, new in zip(answers, tiny.newer(seen), strict=True):
        expected = None if answer.name == CLASSES[-1] else model.years.interval(answer.name, new)
        assert answer.years == expected
    assert {answer.years is None for answer in answers} == {True, False}
    assert model.see(seen[:0]).newer.shape == (0,)


def test_a_car_that_is_not_known_has_no_year(session, cache):  # noqa: F811
    go_live(session, publish(session, Tiny(years=YEARS, known={**KNOWING, "offset": -1e6}).files()))
    model = pull(session.store, cache=cache)

    p, familiarity, newer = model.see(pictures(1))

    assert model.describe(p[0], familiarity=float(familiarity[0]), newer=float(newer[0])).years is None


def test_a_model_without_it_says_none(session, cache):  # noqa: F811
    go_live(session, publish(session, Tiny().files()))
    model = pull(session.store, cache=cache)

    assert model.see(pictures()).newer is None
    assert model.describe(model.predict(pictures())[0], newer=1.0).years is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "it has no 'classes'"),
        (b'{"classes": []}', "classes: expected an object"),
        (years_json(offset="2010"), "offset: expected a number, got '2010'"),
        (years_json(within=-1), "within: expected 0 to 100000, got -1"),
        (years_json(first=1999.5), "first: expected a whole number"),
        (years_json(first=10**6), "first: expected 1000 to 9999"),
        (years_json(last=1989), "last: expected 1990 to 9999, got 1989"),
    ],
)
def test_a_years_json_that_cannot_be_meant_is_refused(session, cache, content, message):  # noqa: F811
    go_live(session, publish(session, {**Tiny(years=YEARS).files(), "years.json": content}))

    with pytest.raises(InputError, match=message):
        pull(session.store, cache=cache)


def test_a_year_that_comes_out_otherwise_refuses_the_model(session, cache):  # noqa: F811
    files = Tiny(years=YEARS).files()
    golden = dict(np.load(io.BytesIO(files["golden.npz"])))
    assert golden["pictures"].shape[1] == SIDE
    for changed in (golden["year"] + 0.2, golden["year"][:-1], golden["year"][:, None]):
        sink = io.BytesIO()
        np.savez_compressed(sink, **{**golden, "year": changed})
        go_live(session, publish(session, {**files, "golden.npz": sink.getvalue()}, tag=str(changed)))

        with pytest.raises(InputError, match=r"off by 0\.2|do not say a year for each|holds a year of"):
            pull(session.store, cache=cache)


def test_a_network_that_says_no_year_does_not_go_with_a_years_json(session, cache):  # noqa: F811
    go_live(session, publish(session, {**Tiny().files(), "years.json": years_json()}))

    with pytest.raises(InputError, match=r"has a years\.json, but .* do not say a year for each"):
        pull(session.store, cache=cache)
