"""Tells a storage in trouble from broken photos: a proxy's error pages must not drop thousands of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from carpipe.errors import UnavailableError

# Not `missing`: users may delete photos. But `poison`: a decoder that always dies is broken itself.
UNREADABLE = ("empty", "not_an_image", "truncated", "poison")
# So many times the share of the run's other partitions is a jump.
JUMP = 3.0
# How seldom chance alone may raise the alarm, per partition.
CHANCE = 1e-3


def check_readable(
    partition: str, counts: Mapping[str, Any], *, limit: float, elsewhere: Iterable[Mapping[str, Any]]
) -> None:
    """Raise UnavailableError where many more photos are unreadable than can be.

    That is: more than `limit` and more than three times the share of the run's other partitions, by a one-sided
    binomial test, so a few broken photos in a small partition are no alarm.

    Args:
        partition: its id, for the message.
        counts: what `clean` did with it: `in`, and `dropped` by reason.
        limit: share of the photos, 0 to 1: `clean.max_unreadable`.
        elsewhere: counts of the run's other partitions that were cleaned by now; looked at only where need be.
    """
    unreadable, total = _unreadable(counts), int(counts["in"])
    if unreadable <= limit * total:
        return
    share = _share(elsewhere)
    from scipy.stats import binomtest

    expected = min(1.0, max(limit, JUMP * share))
    if binomtest(unreadable, total, expected, alternative="greater").pvalue < CHANCE:
        raise UnavailableError(
            f"{unreadable:,} of the {total:,} photos of partition {partition} are unreadable, {share:.1%} of "
            "those in the other partitions. The storage, or what is between, seems to be in trouble, so none of them "
            f"is dropped. If the photos are really broken, raise clean.max_unreadable ({limit:g})."
        )


def _unreadable(counts: Mapping[str, Any]) -> int:
    return sum(int(counts["dropped"].get(reason, 0)) for reason in UNREADABLE)


def _share(counts: Iterable[Mapping[str, Any]]) -> float:
    """Share of unreadable photos in those of some partitions."""
    unreadable = total = 0
    for one in counts:
        unreadable += _unreadable(one)
        total += int(one["in"])
    return unreadable / total if total else 0.0
