"""Views of a listing: mirrored ones, missing ones, and which photo comes first."""

import pytest

from carpipe.viewpoints import RECOMMENDED, VIEWS, Shot, choose_cover, is_whole, mirrored, missing_views, share_of


def test_a_mirrored_photo_shows_the_other_side():
    assert mirrored("angle-front-on-left") == "angle-front-on-right"
    assert mirrored("profile-on-right") == "profile-on-left"
    assert [view for view in VIEWS if mirrored(view) == view] == ["front", "back", "in", "d"]
    assert all(mirrored(mirrored(view)) == view for view in VIEWS)


def test_what_is_missing_is_said_in_the_usual_order():
    assert missing_views(["back", "d", "profile-on-left", "back"]) == [
        "angle-front-on-left", "angle-front-on-right", "front", "profile-on-right", "angle-back-on-left",
        "angle-back-on-right", "in",
    ]  # fmt: skip
    assert missing_views(RECOMMENDED) == []
    assert missing_views([], recommended=("in",)) == ["in"]


def car(view, *, whole=True, sharpness=100.0, share=0.3):
    return Shot(view, whole, sharpness, share)


@pytest.mark.parametrize(
    ("shots", "first"),
    [
        ([car("back"), car("front"), car("angle-front-on-right"), car("profile-on-left")], 2),
        ([car("back"), car("front")], 1),
        ([car("angle-front-on-left", sharpness=5), car("front")], 1),
        ([car("angle-front-on-left", whole=False), car("angle-front-on-right")], 1),
        ([car("front", share=0.2), car("front", share=0.5)], 1),
        ([car("front"), car("front")], 0),
        ([None, Shot("in"), car("back")], 2),
        ([Shot("in"), Shot("d")], 0),
        ([car("a view of a later version"), car("d")], 1),
        ([None, None], None),
        ([], None),
    ],
)
def test_the_cover_is_sharp_then_three_quarter_front_then_whole_then_large(shots, first):
    assert choose_cover(shots) == first


def test_a_box_at_the_edge_is_no_whole_car():
    assert is_whole([10, 10, 90, 40], (100, 50))
    assert not is_whole([0, 10, 90, 40], (100, 50))
    assert not is_whole([10, 10, 90, 50], (100, 50))
    assert share_of([0, 0, 50, 50], (100, 50)) == 0.5
