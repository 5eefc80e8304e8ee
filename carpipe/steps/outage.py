"""Tells a storage in trouble from broken photos: a proxy's error pages must not drop thousands of them."""

from collections.abc import Mapping
from typing import Any

from carpipe import manifest
from carpipe.errors import UnavailableError
from carpipe.manifest import Work
from carpipe.steps.inventory import read_inventory
from carpipe.steps.session import Session

# Not `missing`: users may delete photos. But `poison`: a decoder that always dies is broken itself.
UNREADABLE = ("empty", "not_an_image", "truncated", "poison")
# So many times the share of the run's other partitions is a jump.
JUMP = 3.0
# How seldom chance alone may raise the alarm, per partition.
CHANCE = 1e-3


def check_readable(session: Session, work: Work, counts: Mapping[str, Any], *, inventory: str) -> None:
    """Raise UnavailableError where many more photos are unreadable than can be.

    That is: more than `clean.max_unreadable` and more than three times the share of the run's other partitions,
    by a one-sided binomial test, so a few broken photos in a small partition are no alarm.
    """
    unreadable, total = _unreadable(counts), int(counts["in"])
    limit = session.config.clean.max_unreadable
    if unreadable <= limit * total:
        return
    share = _share_elsewhere(session, work, inventory)
    from scipy.stats import binomtest

    expected = min(1.0, max(limit, JUMP * share))
    if binomtest(unreadable, total, expected, alternative="greater").pvalue < CHANCE:
        raise UnavailableError(
            f"{unreadable:,} of the {total:,} photos of partition {work.partition} are unreadable, {share:.1%} of "
            "those in the other partitions. The storage, or what is between, seems to be in trouble, so none of them "
            f"is dropped. If the photos are really broken, raise clean.max_unreadable ({limit:g})."
        )


def _unreadable(counts: Mapping[str, Any]) -> int:
    return sum(int(counts["dropped"].get(reason, 0)) for reason in UNREADABLE)


def _share_elsewhere(session: Session, work: Work, inventory: str) -> float:
    """Share of unreadable photos in those of the other partitions that were cleaned by now."""
    from carpipe.steps.partition import clean_work

    found = [0, 0]
    for part in read_inventory(session, inventory).partitions:
        if part["partition"] == work.partition:
            continue
        if done := manifest.find(session.store, clean_work(session, part["manifest"], part["partition"])):
            found[0] += _unreadable(done.counts)
            found[1] += int(done.counts["in"])
    return found[0] / found[1] if found[1] else 0.0
