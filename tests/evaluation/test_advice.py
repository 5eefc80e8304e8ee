"""Advice: planted twins come first and nothing needless comes; models that are told apart; each with its price."""

import json

import numpy as np
import pytest

from carpipe.errors import InputError
from carpipe.evaluation.advice import Advice, advise_merges, advise_splits, render
from carpipe.evaluation.tell_apart import tell_all, worth_asking
from carpipe.evaluation.unseen import gather
from tests.evaluation.drawn_answers import contents, draw

NAMES = [f"make{number:02}_model" for number in range(40)]
TWINS = [NAMES[0:2], NAMES[2:4], NAMES[4:6], NAMES[6:9]]  # the last are three


@pytest.fixture(scope="module")
def planted():
    sizes = {name: 40 if place else 60 for place, name in enumerate(NAMES)}
    return draw(sizes, twins=TWINS)


@pytest.fixture(scope="module")
def merges(planted):
    return advise_merges(gather([planted]), contents(planted))


def test_all_planted_twins_are_found_and_nothing_else(merges):
    assert sorted(merge.classes for merge in merges) == [tuple(names) for names in TWINS]


def test_without_twins_nothing_is_proposed():
    for seed in range(3):
        answers = draw(dict.fromkeys(NAMES, 40), error=0.3, seed=seed)
        assert advise_merges(gather([answers]), contents(answers)) == ()


def test_a_merge_says_what_it_brings_and_what_it_costs(planted, merges):
    merge = next(one for one in merges if one.classes == tuple(TWINS[0]))
    unseen = gather([planted])
    own = unseen.photos[unseen.photos["class_name"].isin(merge.classes)]
    inside = own["answer"].isin(merge.classes)
    right = own["answer"] == own["class_name"]
    assert merge.name == NAMES[0]  # the larger one
    assert merge.gone == (NAMES[1],)
    assert merge.mended[0] == (inside & ~right).sum()
    assert merge.given_up[0] == right.sum()
    assert merge.accuracy[0] == pytest.approx(merge.mended[0] / len(unseen.photos))
    moved = contents(planted).set_index("model").loc[NAMES[1]]
    assert merge.touched == (moved["photos"], moved["listings"])


def test_links_carry_counts_both_ways_and_bounds_above_chance(merges):
    for merge in merges:
        assert len(merge.links) == len(merge.classes) * (len(merge.classes) - 1) // 2
        for link in merge.links:
            assert all(0 < taken <= cars for taken, cars in zip(link.taken, link.cars, strict=True))
            assert all(low > chance for low, chance in zip(link.bounds, link.chance, strict=True))


def test_never_all_classes_become_one():
    answers = draw({"a_a": 60, "b_b": 60}, twins=[["a_a", "b_b"]])
    assert advise_merges(gather([answers]), contents(answers)) == ()


@pytest.fixture(scope="module")
def mixed():
    """Of `wide` two models waver to different classes; of `close` neither does; `few` has too few cars to prove it."""
    models = {"wide": ["wide", "wide_gti"], "close": ["close", "close_s"], "few": ["few", "few_s"]}
    wavers = {"wide": "x_0", "wide_gti": "x_1", "few": "x_0", "few_s": "x_1"}
    sizes = {"wide": 160, "close": 160, "few": 50, **{f"x_{number}": 50 for number in range(8)}}
    return draw(sizes, wavers=wavers, models=models, error=0)


@pytest.fixture(scope="module")
def splits(mixed):
    unseen = gather([mixed])
    return advise_splits(
        tell_all(unseen, [mixed], worth_asking(unseen.photos)), unseen, contents(mixed), min_photos=150
    )


def test_models_with_too_few_cars_are_not_asked_for(mixed):
    assert worth_asking(mixed.photos) == ["close", "wide"]


def test_a_class_whose_models_are_told_apart_could_be_split(splits):
    assert [split.class_name for split in splits] == ["wide"]
    assert dict(splits[0].parts) == {"wide": ("wide",), "wide_gti": ("wide_gti",)}
    assert splits[0].told.low >= 0.95


def test_a_split_that_leaves_a_class_with_too_few_photos_is_not_proposed(mixed):
    unseen = gather([mixed])
    told = tell_all(unseen, [mixed], ["wide"])
    fewest = int(contents(mixed).query("class_name == 'wide'")["photos"].min())
    assert advise_splits(told, unseen, contents(mixed), min_photos=fewest)
    assert not advise_splits(told, unseen, contents(mixed), min_photos=fewest + 1)


def test_models_that_are_not_told_apart_stay_together():
    models = {"wide": ["wide", "wide_b", "wide_c"]}
    wavers = {"wide": "x_0", "wide_b": "x_1", "wide_c": "x_1"}
    answers = draw({"wide": 300, "x_0": 20, "x_1": 20, "x_2": 20}, wavers=wavers, models=models, error=0)
    told = tell_all(gather([answers]), [answers], ["wide"])
    assert sorted(told[0].parts) == [("wide",), ("wide_b", "wide_c")]


def test_a_model_with_few_cars_is_never_a_part_of_its_own():
    models = {"wide": ["wide", "wide_b"] * 10 + ["wide_c"]}
    wavers = {"wide": "x_0", "wide_b": "x_1", "wide_c": "x_2"}
    answers = draw({"wide": 210, "x_0": 20, "x_1": 20, "x_2": 20}, wavers=wavers, models=models, error=0)
    told = tell_all(gather([answers]), [answers], ["wide"])
    assert all(part != ("wide_c",) for part in told[0].parts)
    assert sum(told[0].cars) == 210


def test_the_sentences_have_every_figure_and_the_lines_of_the_taxonomy(merges, splits):
    text = render(Advice(100, 25, merges, splits, {"pairs": 780, "classes": 2, "small": 1}))
    assert f"Taxonomy: {NAMES[0]}: [{NAMES[0]}, {NAMES[1]}]" in text
    assert "Taxonomy: wide: [wide]; wide_gti: [wide_gti]" in text
    assert "1 more class has several models, but too few cars" in text
    assert "Nothing is changed by itself." in text
    assert "No two classes" in render(Advice(100, 25, (), ()))


def test_the_json_names_no_photo_and_no_car(planted, merges, splits):
    text = json.dumps(Advice(100, 25, merges, splits).to_json(), default=list)
    assert ".jpg" not in text
    assert not any(vehicle in text for vehicle in planted.photos["vehicle"])


def test_a_car_answers_with_all_its_photos():
    answers = draw({"a_a": 3, "b_b": 3, "c_c": 3}, error=0)
    answers.p[0] = np.float16([0.5, 0.49, 0.01])  # one of four photos is wrong, and unsure
    answers.numbers[0] = [1, 0, 2]
    unseen = gather([answers])
    assert unseen.photos["answer"][0] == "b_b"
    assert (unseen.cars["answer"] == unseen.cars["class_name"]).all()
    assert (unseen.cars["photos"] == 4).all()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda answers: [], "0 lists"),
        (lambda answers: [answers, draw({"x_x": 2, "y_y": 2})], "2 lists"),
        (lambda answers: [with_photos(answers, answers.photos.drop(columns="vehicle"))], "vehicle"),
        (lambda answers: [with_photos(answers, answers.photos.assign(class_name="z_z"))], "z_z"),
    ],
)
def test_answers_that_nothing_can_be_drawn_from_are_a_sentence(spoil, says):
    with pytest.raises(InputError, match=says):
        gather(spoil(draw({"a_a": 2, "b_b": 2})))


def with_photos(answers, photos):
    return type(answers)(photos, answers.numbers, answers.p, answers.energy, answers.classes)
