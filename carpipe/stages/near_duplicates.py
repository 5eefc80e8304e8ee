"""Near-duplicates: pictures that differ by re-encoding, scaling or a watermark, found among millions.

Two passes. `candidates` compares 64-bit difference hashes without looking at all pairs; hashes alone are
wrong often, so `differences` then looks at the pixels.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from carpipe.pictures.hashes import SIGNATURE_SIDE

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

# Blocks that must agree: with 4 of `distance + 4` blocks, 28 bits or more tell strangers apart.
AGREE = 4
# A picture is compared with so many neighbours in each grouping. Only groups that share a hash almost exactly
# (a dealer's banner, blank pictures) are larger, and those hold together through their neighbours.
NEIGHBOURS = 64
MERGE_AT = 4_000_000  # pairs, 32 MB
# 2**64 / golden ratio, odd (D. Knuth, "Sorting and Searching", 6.4): spreads values over the high bits.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
CHUNK = 16_384  # pairs whose pixels are in memory at a time: 2 x 16 MB


def candidates(hashes: NDArray[np.uint64], *, distance: int) -> Pairs:
    """Pairs (i < j) whose hashes differ in at most `distance` bits.

    Complete but for groups of more than 64 hashes that agree in the same blocks. Time grows as n log n.

    Source: G. Manku, A. Jain, A. Das Sarma, "Detecting Near-Duplicates for Web Crawling", WWW 2007: cut in
    distance + 4 blocks, two such hashes agree in at least 4 of them, so each choice of 4 blocks is a key to sort by.
    """
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    found = [np.empty(0, np.int64)]
    for blocks in combinations(_blocks(distance + AGREE), AGREE):
        found.append(_near_in_groups(hashes, np.uint64(sum(blocks)), distance))
        # Equal pictures agree in every choice: merged now and then, their pairs do not fill the memory.
        if sum(map(len, found[1:])) > MERGE_AT:
            found = [np.unique(np.concatenate(found))]
    first, second = np.divmod(np.unique(np.concatenate(found)), max(len(hashes), 1))
    one, other = order[first], order[second]
    return np.minimum(one, other), np.maximum(one, other)


def differences(
    pairs: Pairs, signatures: NDArray[np.uint8], *, rows: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far apart the pictures of each pair are, and how much contrast the flatter of the two has.

    Args:
        pairs: positions of pictures.
        signatures: uint8 (m, SIGNATURE_BYTES), of which the grey part is compared.
        rows: row in `signatures` of each picture, where they differ from the positions.

    Returns:
        Mean absolute difference of the pixels and standard deviation of the flatter one, in grey levels (0 to 255).
    """
    grey = signatures[:, : SIGNATURE_SIDE**2]
    contrast = np.array([picture.std() for picture in grey], np.float32)
    first, second = pairs if rows is None else (rows[pairs[0]], rows[pairs[1]])
    difference = np.empty(len(first), np.float32)
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        apart = grey[first[part]].astype(np.int16) - grey[second[part]]
        difference[part] = np.abs(apart).mean(axis=1)
    return difference, np.minimum(contrast[first], contrast[second])


def _blocks(number: int) -> list[int]:
    """Masks of 64 bits cut into `number` blocks of equal width, or nearly."""
    edges = [round(64 * i / number) for i in range(number + 1)]
    return [(1 << high) - (1 << low) for low, high in pairwise(edges)]


def _near_in_groups(hashes: NDArray[np.uint64], mask: np.uint64, distance: int) -> NDArray[np.int64]:
    """Pairs i * n + j, i < j, of near hashes among the neighbours in each group that agrees under the mask."""
    order, pairs = neighbours(hashes & mask)
    hashes = hashes[order]
    found = [np.empty(0, np.int64)]
    for here, there in pairs:
        near = np.bitwise_count(hashes[here] ^ hashes[there]) <= distance
        one, other = order[here[near]], order[there[near]]
        found.append(np.minimum(one, other) * np.int64(len(order)) + np.maximum(one, other))
    return np.concatenate(found)


def neighbours(values: NDArray[np.uint64]) -> tuple[NDArray[np.int64], Iterator[Pairs]]:
    """An order in which equal values are neighbours, and pairs of places in it: each with the next 64 of its group.

    Few unequal values are paired too.
    """
    keys, order = _sort_by_group(values)
    return order, _pairs_in_groups(keys)


def _pairs_in_groups(keys: NDArray[np.uint64]) -> Iterator[Pairs]:
    here = np.arange(len(keys))
    for step in range(1, NEIGHBOURS + 1):
        here = here[: np.searchsorted(here, len(keys) - step)]
        here = here[keys[here] == keys[here + step]]
        if not len(here):
            return
        yield here, here + step


def _sort_by_group(values: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Keys in order, equal for equal values, and the position of each.

    Sorting numbers is eight times as fast as sorting positions by them, so key and position share one number. The
    key is what is left of a multiplicative hash; pairs of two values with one key fail the test of distance.
    """
    bits = np.uint64(max(1, len(values) - 1).bit_length())
    packed = (values * GOLDEN >> bits << bits) | np.arange(len(values), dtype=np.uint64)
    packed.sort()
    return packed >> bits, (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
