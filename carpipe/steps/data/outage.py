"""Tells a storage in trouble from broken photos: a proxy's error pages must not drop thousands of them.

Some faults are a seller's: empty files, files of other kinds, bombs, what takes too long. Others may be the storage's:
a server's page where a photo should be, a photo that ends in the middle, a decoder that dies. A storage in trouble hits
many listings alike, a seller few. So the listings that are hit are counted beside the photos, and both must be more
than can be.
"""

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from carpipe.config import CleanConfig
from carpipe.errors import UnavailableError
from carpipe.manifest import Manifest
from carpipe.pictures.formats import sniff
from carpipe.steps.data.raw import WAY_PAST, named

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# Not `missing`: users may delete photos. But `poison`: a decoder that always dies is broken itself.
SIGNS = ("truncated", "poison")
# What clean calls the pages among other files.
NO_IMAGE = "not_an_image"
PAGE = "error_page"
# So many times the share of the run's other partitions is a jump.
JUMP = 3.0
# How seldom chance alone may raise the alarm, per partition.
CHANCE = 1e-3
# In the manifest of a partition that was cleaned.
FACTS = "unreadable"
# Of a file's beginning.
BEGINNING = 512
# How pages begin: HTML, XML and JSON, after a byte order mark and blanks.
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[!?a-z]|\{\s*[\"}]|\[\s*[\"{\]])", re.IGNORECASE)
# What servers say in plain words. RFC 9110, 15.5 and 15.6.
_PHRASES = tuple(status.phrase.lower().encode() for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST)


@dataclass(frozen=True)
class Unreadable:
    """Photos that the storage may have spoilt: how many of how many, in how many listings; which kinds and keys."""

    photos: int
    hit: int
    listings: int
    listings_hit: int
    kinds: dict[str, int]
    keys: tuple[str, ...] = ()

    def to_json(self) -> dict[str, int]:
        """For the manifest: what the other partitions compare themselves with."""
        return {name: getattr(self, name) for name in ("photos", "hit", "listings", "listings_hit")}


def is_page(data: bytes) -> bool:
    """Whether it may be what a server says instead of handing over a photo: HTML, XML, JSON, or one of its sentences.

    Pictures that are XML, such as SVG, are none.
    """
    beginning = data[:BEGINNING]
    if _MARKUP.match(beginning):
        return sniff(data) is None
    return len(data) < BEGINNING and any(phrase in beginning.lower() for phrase in _PHRASES) and sniff(data) is None


def noting_pages(files: Iterable[tuple[str, bytes | None]], pages: set[str]) -> Iterator[tuple[str, bytes | None]]:
    """The files as they come; keys of those that are pages go into `pages`."""
    for key, data in files:
        if data and is_page(data):
            pages.add(key)
        yield key, data
        del data


def find_unreadable(photos: "pd.DataFrame", pages: Collection[str], *, over_time: Collection[str] = ()) -> Unreadable:
    """What of a partition's photos may be the storage's fault.

    Args:
        photos: the table after `clean`.
        pages: keys of the photos that were pages.
        over_time: keys of those that cost too much: their decoder was sound.
    """
    looked_at = photos[photos["dropped"].isna() | (photos["dropped_by"] == "clean")]
    reason = looked_at["dropped"].where(~((looked_at["dropped"] == NO_IMAGE) & looked_at["key"].isin(pages)), PAGE)
    hit = reason.isin([*SIGNS, PAGE]) & ~looked_at["key"].isin(over_time)
    listing = looked_at["listing_uuid"].fillna(looked_at["key"])
    return Unreadable(
        photos=len(looked_at),
        hit=int(hit.sum()),
        listings=int(listing.nunique()),
        listings_hit=int(listing[hit].nunique()),
        kinds=dict(Counter(reason[hit])),
        keys=tuple(looked_at["key"][hit]),
    )


def check_unless_accepted(
    photos: str, found: Unreadable, *, config: CleanConfig, elsewhere: Iterable[Manifest] = ()
) -> None:
    """As `check_readable`; a line in the log alone where somebody has decided that it is no outage."""
    try:
        check_readable(photos, found, max_unreadable=config.max_unreadable, elsewhere=elsewhere)
    except UnavailableError as error:
        if not config.accept_unreadable:
            raise
        log.warning("accepted, so the photos are dropped: %s", error)


def check_readable(photos: str, found: Unreadable, *, max_unreadable: float, elsewhere: Iterable[Manifest]) -> None:
    """Raise UnavailableError where more photos are unreadable, in more listings, than can be.

    That is: of both more than `max_unreadable` and more than three times the share of the run's other partitions, by
    one-sided binomial tests. So neither a few broken photos in a small partition nor all those of one seller are an
    alarm.

    Args:
        photos: which these are, for the message: "photos of partition p00001".
        max_unreadable: share, 0 to 1, as the setting of `clean`.
        elsewhere: what `clean` made of the run's other partitions by now; looked at only where need be.
    """
    if found.hit <= max_unreadable * found.photos or found.listings_hit <= max_unreadable * found.listings:
        return
    shares = _shares(elsewhere)
    if _is_a_jump(found.hit, found.photos, max_unreadable, shares[0]) and _is_a_jump(
        found.listings_hit, found.listings, max_unreadable, shares[1]
    ):
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(found.kinds.items()))
        raise UnavailableError(
            f"{found.hit:,} of the {found.photos:,} {photos} are unreadable ({kinds}), in {found.listings_hit:,} of "
            f"the {found.listings:,} listings; {shares[0]:.1%} of those in other partitions. They are "
            f"{named(found.keys)}. The storage, or what is between, seems to be in trouble, so none of them is "
            f"dropped. {WAY_PAST}"
        )


def _is_a_jump(hit: int, total: int, max_unreadable: float, share: float) -> bool:
    from scipy.stats import binomtest

    expected = min(1.0, max(max_unreadable, JUMP * share))
    return bool(binomtest(hit, total, expected, alternative="greater").pvalue < CHANCE)


def _shares(elsewhere: Iterable[Manifest]) -> tuple[float, float]:
    """Shares of unreadable photos, and of listings with some, in other partitions."""
    photos, listings = Counter[str](), Counter[str]()
    for done in elsewhere:
        facts = _facts(done)
        photos.update(hit=facts["hit"], total=facts["photos"])
        listings.update(hit=facts["listings_hit"], total=facts["listings"])
    return photos["hit"] / max(photos["total"], 1), listings["hit"] / max(listings["total"], 1)


def _facts(done: Manifest) -> dict[str, Any]:
    """Of a manifest from before they were written: photos for listings, all files that are no images for pages."""
    if facts := done.extra.get(FACTS):
        return dict(facts)
    hit = sum(int(done.counts["dropped"].get(reason, 0)) for reason in (*SIGNS, NO_IMAGE, "empty"))
    return {"photos": done.counts["in"], "hit": hit, "listings": done.counts["in"], "listings_hit": hit}
