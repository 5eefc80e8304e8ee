"""From where photos show a car: the ten views, what a good listing has, and which photo to put first.

`on-left` and `on-right` are sides of the picture, not of the car: in `angle-front-on-left` the front points to the left
of the picture. A mirrored photo shows the other side's view.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Each view in plain English.
WORDS = {
    "angle-front-on-left": "three-quarter front, the front to the left",
    "angle-front-on-right": "three-quarter front, the front to the right",
    "front": "front",
    "profile-on-left": "side, the front to the left",
    "profile-on-right": "side, the front to the right",
    "angle-back-on-left": "three-quarter back, the back to the left",
    "angle-back-on-right": "three-quarter back, the back to the right",
    "back": "back",
    "in": "inside",
    "d": "detail",
}
VIEWS = tuple(WORDS)
# What a good listing has: the car from all around, and inside. A detail is no loss.
RECOMMENDED = tuple(view for view in VIEWS if view != "d")

_SIDES = {"-on-left": "-on-right", "-on-right": "-on-left"}
# The best view of a first photo, and what comes next. Sides do not matter.
_COVER = ("angle-front", "front", "profile", "angle-back", "back", "in", "d")
_RANK = {kind: rank for rank, kind in enumerate(_COVER)}
# Share of the sharpest photo's sharpness: a photo with less of it is blurred beside the others of its listing.
BLURRED = 0.25
# Share of the picture's side: a box that ends nearer to the edge touches it.
EDGE = 0.01


def mirrored(view: str) -> str:
    """What a photo of this view shows when it is mirrored."""
    for side, other in _SIDES.items():
        if view.endswith(side):
            return view.removesuffix(side) + other
    return view


def kind_of(view: str) -> str:
    """The view without the side: both sides of it are alike but mirrored."""
    return view.removesuffix("-on-left").removesuffix("-on-right")


@dataclass(frozen=True)
class Told:
    """The views that a model tells.

    Attributes:
        names: in the order of its output. A later version may know others than `VIEWS`.
        recommended: those of them that a good listing has, in their order.
    """

    names: tuple[str, ...]
    recommended: tuple[str, ...]


@dataclass(frozen=True)
class Shot:
    """A photo of a listing, as far as it decides which one is the cover.

    Attributes:
        view: the likeliest.
        whole: the car does not touch the picture's edge. False where no car was found.
        sharpness: of the car's crop, `carpipe.pictures.sharpness`; 0 where there is none.
        share: of the picture that the car's box takes; 0 where there is none.
    """

    view: str
    whole: bool = False
    sharpness: float = 0.0
    share: float = 0.0


def is_whole(box: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether a box (x0, y0, x1, y1) in pixels ends before the edge of a picture of (width, height)."""
    width, height = size
    x0, y0, x1, y1 = box
    return bool(x0 > EDGE * width and y0 > EDGE * height and x1 < (1 - EDGE) * width and y1 < (1 - EDGE) * height)


def share_of(box: Sequence[float], size: tuple[int, int]) -> float:
    """Share of a picture of (width, height) that a box in pixels takes."""
    x0, y0, x1, y1 = box
    return float((x1 - x0) * (y1 - y0) / (size[0] * size[1]))


def missing_views(found: Iterable[str], *, recommended: Sequence[str] = RECOMMENDED) -> list[str]:
    """The recommended views that none of a listing's photos shows, in their order."""
    there = {*found}
    return [view for view in recommended if view not in there]


def choose_cover(shots: Sequence[Shot | None]) -> int | None:
    """Number of the photo to put first; None where none can be used.

    Photos that are blurred beside the others come last. Then counts the view, three-quarter front before front before
    the others, then whether the whole car is in the picture, then how large it is. Of equal ones the first stays.

    Args:
        shots: in the order of the listing; None for a photo that cannot be used.
    """
    usable = [(number, shot) for number, shot in enumerate(shots) if shot]
    sharpest = max((shot.sharpness for _, shot in usable), default=0.0)

    def worth(item: tuple[int, Shot]) -> tuple[bool, int, bool, float, int]:
        number, shot = item
        blurred = shot.sharpness < BLURRED * sharpest
        return blurred, _RANK.get(kind_of(shot.view), len(_RANK)), not shot.whole, -round(shot.share, 2), number

    return min(usable, key=worth)[0] if usable else None
