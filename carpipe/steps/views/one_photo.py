"""One photo of a dataset in full: what each stage found, the pictures of its listing and car, and what people said."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carpipe.called import Called
from carpipe.errors import InputError
from carpipe.reasons import STAGES
from carpipe.steps.views.asked import UNKNOWN, Asked, why_out
from carpipe.steps.views.originals import EDITED, NEAR, OLDER, SAME
from carpipe.steps.views.photos import read_rows
from carpipe.viewpoints import WORDS

if TYPE_CHECKING:
    from carpipe.photo_index import PhotoIndex

SHOWN = 60  # pictures of a listing, and of other listings of its car
# Later stages may have dropped a photo that stays instead of its copies.
UNTIL_THEN = STAGES[: STAGES.index("identify") + 1]


@dataclass(frozen=True)
class Finding:
    """What a stage says of a photo, in a sentence. Stages behind the one that put it `out` say nothing."""

    stage: str
    said: str
    out: bool = False


@dataclass(frozen=True)
class Picture:
    """A photo as one of many: its row, and what to call it."""

    row: int
    key: str
    dropped: str
    split: str


@dataclass(frozen=True)
class PhotoView:
    """A photo in full.

    Attributes:
        photo: its row of the index, by column.
        findings: in the order of the stages.
        listing: all photos of its listing, itself among them, in the seller's order.
        others: photos of other listings that show the same car.
        same_file: other photos that are the same file, byte for byte.
        original: of a copy, the photo that stays in its place, and how the two are alike; null of others.
    """

    photo: Mapping[str, Any]
    findings: Sequence[Finding]
    listing: Sequence[Picture]
    others: Sequence[Picture]
    same_file: Sequence[Picture]
    original: tuple[Picture, str] | None


@dataclass(frozen=True)
class Fate:
    """What became of a photo in a dataset; `row` is None where it is not in it."""

    dataset: Called
    row: int | None
    said: str


def show_photo(index: "PhotoIndex", row: int, *, asked: Callable[[str], Asked] = lambda _: UNKNOWN) -> PhotoView:
    """The photo of a row. Raises InputError where there is none.

    Args:
        asked: by partition, what the stages asked of its photos.
    """
    found = read_rows(index, [row])
    if not found:
        raise InputError(f"The dataset has no photo in row {row}.")
    photo = found[0]
    return PhotoView(
        photo,
        tuple(findings(photo, asked(photo["partition"] or ""))),
        pictures(index, "listing_uuid = ?", [photo["listing_uuid"]]),
        pictures(index, "vehicle = ? AND listing_uuid <> ?", [photo["vehicle"], photo["listing_uuid"]]),
        pictures(index, "sha256 = ? AND row <> ?", [photo["sha256"], row]),
        original(index, photo),
    )


def original(index: "PhotoIndex", photo: Mapping[str, Any]) -> tuple[Picture, str] | None:
    """What stays in the dataset instead of a copy, and how the two are alike; None of what is no copy."""
    if photo["dropped"] == "superseded":
        newer = pictures(index, "key = ? AND row > ?", [photo["key"], photo["row"]])
        return (newer[-1], OLDER) if newer else None
    if photo["dropped"] != "duplicate":
        return None
    for how, condition in ((NEAR, "NOT edited"), (EDITED, "true")):
        # The nearest first: files of the same bytes, then those that links lead to.
        for files in _rounds(index, photo["sha256"], condition):
            where = "sha256 IN (SELECT unnest(?)) AND coalesce(dropped_by NOT IN (SELECT unnest(?)), true)"
            if stays := pictures(index, where, [list(files), list(UNTIL_THEN)]):
                return stays[0], SAME if files == {photo["sha256"]} else how
    return None


def _rounds(index: "PhotoIndex", file: str, condition: str) -> Iterator[set[str]]:
    """Files that show the picture of a file: itself, then those one link away, then two, and so on."""
    found, fresh = {file}, {file}
    while fresh:
        yield fresh
        query = f"SELECT DISTINCT other FROM links WHERE {condition} AND one IN (SELECT unnest(?))"  # noqa: S608  # ours
        fresh = {row["other"] for row in index.select(query, [list(fresh)])} - found
        found |= fresh


def fate(index: "PhotoIndex", dataset: Called, key: str) -> Fate:
    """What became of the photo of a key in a dataset; of its last version, where there are several."""
    query = "SELECT row, dropped, split, class_name FROM photos WHERE key = ? ORDER BY row DESC LIMIT 1"
    for one in index.select(query, [key]):
        said = f"out: {one['dropped']}" if one["dropped"] else f"in: {one['split']}, class {one['class_name']}"
        return Fate(dataset, one["row"], said)
    return Fate(dataset, None, "")


def findings(photo: Mapping[str, Any], asked: Asked = UNKNOWN) -> Iterator[Finding]:
    """What each stage says of a photo, up to the one that put it out: that says which setting decided."""
    for stage in STAGES:
        if photo["dropped_by"] == stage:
            why = why_out(photo["dropped"], asked)
            yield Finding(stage, " ".join(filter(None, [_SAID[stage](photo), f"Out: {why}."])), out=True)
            return
        if said := _SAID[stage](photo):
            yield Finding(stage, said)


def _listed(photo: Mapping[str, Any]) -> str:
    if photo["listing_uuid"] is None:
        return ""
    return f"Photo {photo['photo']} of listing {photo['listing']}, {photo['size']:,} bytes."


def _cleaned(photo: Mapping[str, Any]) -> str:
    if photo["width"] is None:
        return ""
    damage, mended = photo["damage"] or 0, photo["repaired"]
    said = [f"{(photo['format'] or 'picture').upper()}, {photo['width']} × {photo['height']} pixels."]
    said += [f"{100 * damage:.1f} % of the picture may not be whole."] * bool(damage)
    said += [f"The file was mended ({mended})."] * bool(mended)
    return " ".join(said)


def _filtered(photo: Mapping[str, Any]) -> str:
    if photo["p_car"] is None:
        return ""
    view = f" Seen from: {WORDS.get(photo['view'], photo['view'])} ({photo['view_p']:.2f})." if photo["view"] else ""
    p = _rounded(photo["p_car"], down=photo["dropped"] == "not_a_car")
    return f"It shows a car from outside with a probability of {p:.2f}.{view}"


def _cropped(photo: Mapping[str, Any]) -> str:
    if photo["box"] is None or not photo["width"] or not photo["height"]:
        return ""
    left, top, right, bottom = photo["box"]
    share = (right - left) * (bottom - top) / (photo["width"] * photo["height"])
    share = _rounded(share, down=photo["dropped"] == "box_too_small")
    return f"The largest vehicle is a {photo['box_label']} ({photo['box_score']:.2f}); it fills {100 * share:.0f} %."


def _rounded(share: float, *, down: bool) -> float:
    """To hundredths. What is too little for a limit must not read as the limit itself."""
    return math.floor(100 * share) / 100 if down else round(share, 2)


def _identified(photo: Mapping[str, Any]) -> str:
    if photo["vehicle"] is None:
        return ""
    own = photo["vehicle"] == photo["listing_uuid"]
    return "No older listing shows this car." if own else "An older listing shows the same car."


def _classed(photo: Mapping[str, Any]) -> str:
    if photo["class_name"] is None:
        return ""
    said = f" A person has said of its listing: {photo['corrected']}." if photo["corrected"] else ""
    return f"Class {photo['class_name']}.{said}"


def _split(photo: Mapping[str, Any]) -> str:
    return f"In {photo['split']}, as all photos of this car." if photo["split"] else ""


_SAID = dict(zip(STAGES, (_listed, _cleaned, _filtered, _cropped, _identified, _classed, _split), strict=True))


def pictures(index: "PhotoIndex", where: str, values: Sequence[Any]) -> tuple[Picture, ...]:
    """The photos of a condition of our own, in the seller's order; `SHOWN` at most."""
    columns = "row, key, coalesce(dropped, '') AS dropped, coalesce(split, '') AS split"
    query = f"SELECT {columns} FROM photos WHERE {where} ORDER BY photo, key LIMIT {SHOWN}"  # noqa: S608  # all ours
    return tuple(Picture(**one) for one in index.select(query, values))
