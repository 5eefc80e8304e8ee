"""Why a photo is not in a dataset: each reason by the word that tables have for it, in plain English."""

# The stages that may put a photo out, in their order; a later version may have others.
STAGES = ("inventory", "clean", "filter", "crop", "identify", "classes", "split")
# A later version may have others: a word that is not here is shown alone.
REASONS = {
    "name_not_understood": "the name is not <make>_<model>_<year>/<number>_<number>_<uuid>_<uuid>.jpg (listing, photo)",
    "forgotten": "its listing was forgotten on request, and has come back",
    "missing": "gone from raw/ since it was listed",
    "empty": "file of zero bytes",
    "not_an_image": "no decoder knows the bytes",
    "unsupported_format": "a picture, video or document of a format that is not read; the column `format` says which",
    "truncated": "the picture breaks off before its end",
    "damaged": "part of the picture is missing or was overwritten",
    "too_small": "a side is shorter than clean.min_side",
    "bomb": "costs more to decode than a photo may: more pixels (clean.max_pixels), bytes, scans or parts; not decoded",
    "poison": "decoding it crashed its process, or took more time (clean.timeout_s) or memory than it may",
    "not_a_car": "p(car) is below filter.threshold",
    "no_vehicle": "the detector found no vehicle",
    "box_too_small": "the largest vehicle fills less of the frame than crop.min_box_share",
    "deleted": "no longer under raw/",
    "superseded": "overwritten in raw/ later; the newer version counts",
    "banner": "the same picture is in many listings: a dealer's banner, not their car",
    "duplicate": "the same picture as one that stays: the same file, encoded anew, or edited",
    "said_not_a_car": "a person has said of its listing that it is not a car of any class",
    "said_cannot_tell": "a person has said of its listing that nobody can tell which class it is of",
    "erased_class": "the taxonomy gives the model no class",
    "too_few_photos": "its model has fewer photos than classes.min_photos",
    "over_cap": "its model has more photos than classes.max_photos; whole vehicles go",
    "too_few_vehicles": "the vehicles of its class do not reach all three splits",
    "other_class": "its vehicle is mostly in another class",
    "in_two_splits": "its vehicle turned out to be in two splits; test wins over val over train",
}
# Where the code's own words would not do.
_WORDS = {
    "empty": "empty file",
    "bomb": "too costly to decode",
    "poison": "crashes its decoder",
    "banner": "dealer's banner",
    "said_not_a_car": "not a car, a person says",
    "said_cannot_tell": "class unknown, a person says",
    "over_cap": "over the cap of its model",
    "erased_class": "model without a class",
}


def in_words(reason: str) -> str:
    """A reason as people read it: `not a car` of `not_a_car`."""
    return _WORDS.get(reason, reason.replace("_", " "))
