"""Near hashes are found among many, all of them; pixels decide."""

import numpy as np
import pytest

from carpipe.stages.near_duplicates import candidates, differences


def all_pairs(hashes, distance):
    """The same by comparing each with each."""
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    return {(int(i), int(j)) for i, j in np.argwhere(apart <= distance) if i < j}


def found(hashes, distance):
    first, second = candidates(hashes, distance=distance)
    return set(zip(first.tolist(), second.tolist(), strict=True))


@pytest.fixture
def hashes():
    """Families of hashes, bits flipped here and there, so that pairs of every distance are among them."""
    rng = np.random.default_rng(3)
    base = rng.integers(0, 2**63, 40, dtype=np.uint64).repeat(25)
    flips = (rng.random((len(base), 64)) < 0.03).astype(np.uint8)
    return base ^ np.packbits(flips, axis=1).view(np.uint64).ravel()


@pytest.mark.parametrize("distance", [0, 1, 2, 3, 4, 5])
def test_every_near_pair_is_found_and_no_other(hashes, distance):
    expected = all_pairs(hashes, distance)

    assert len(expected) > 10
    assert found(hashes, distance) == expected


def test_the_order_of_the_hashes_does_not_matter(hashes):
    shuffled = np.random.default_rng(1).permutation(len(hashes))
    back = {tuple(sorted((int(shuffled[i]), int(shuffled[j])))) for i, j in found(hashes[shuffled], 3)}

    assert back == found(hashes, 3)


def test_a_picture_found_thousands_of_times_hangs_together_without_all_pairs():
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first, second = candidates(np.full(3000, 7, np.uint64), distance=3)

    assert len(first) < 3000 * 70
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(3000, 3000))
    assert connected_components(graph, directed=False)[0] == 1


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_to_compare(number):
    assert found(np.zeros(number, np.uint64), 3) == set()


def test_differences_are_of_the_pixels_and_contrast_of_the_flatter_one():
    pictures = np.tile(np.array([[0, 200, 0, 200], [10, 200, 0, 190], [90, 110, 90, 110]], np.uint8), 384)
    pictures[:, 1024:] = [[0], [100], [200]]  # the colours are another's business

    difference, contrast = differences((np.array([0, 0]), np.array([1, 2])), pictures)

    assert difference.tolist() == [5.0, 90.0]
    assert contrast.tolist() == [pytest.approx(pictures[1, :1024].std(), abs=1e-3), 10.0]
