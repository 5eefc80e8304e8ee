"""Near hashes of whole, inner and mirrored pictures are found within a model and between listings; pixels decide."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from carpipe.pictures import hashes
from carpipe.pictures.hashes import INNER
from carpipe.stages import edited_copies
from carpipe.stages.edited_copies import DISTANCE, candidates, verify


def numbers(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def flipped(hashes, bits, seed=1):
    """Each with so many other bits."""
    rng = np.random.default_rng(seed)
    masks = [sum(1 << int(bit) for bit in rng.choice(64, bits, replace=False)) for _ in hashes]
    return hashes ^ np.array(masks, np.uint64)


def pairs(whole, inner, *, model=None, listing=None):
    count = np.arange(len(whole))
    return candidates(
        whole,
        inner,
        model=np.zeros_like(count) if model is None else model,
        listing=count if listing is None else listing,
    )


@pytest.mark.parametrize(("bits", "share"), [(0, 1.0), (8, 0.99), (DISTANCE, 0.9), (DISTANCE + 1, 0.0)])
def test_nearly_all_near_pairs_are_found_and_no_others(bits, share):
    whole = numbers(1000)

    found = pairs(np.concatenate([whole, flipped(whole, bits)]), numbers(2000, seed=2))
    mine = found.take(found.other - found.one == 1000)

    assert len(found.one) - len(mine.one) <= 3, "hashes drawn at random hardly come near each other"
    assert share <= len(mine.one) / 1000 <= bool(share)
    assert len(mine.one) == len(set(mine.one.tolist()))
    assert not mine.mirrored.any()
    assert (mine.scale == 1).all()


def test_the_inner_hash_of_one_is_compared_with_the_whole_of_the_other():
    first, second = numbers(100), numbers(100, seed=4)

    found = pairs(np.concatenate([first, second]), np.concatenate([numbers(100, seed=5), flipped(first, 2)]))

    assert found.one.tolist() == list(range(100))
    assert found.scale == pytest.approx(1 - 2 * INNER), "the first shows the inner part of the second"
    turned = pairs(np.concatenate([first, second]), np.concatenate([flipped(second, 2), numbers(100, seed=5)]))
    assert turned.scale == pytest.approx(1 / (1 - 2 * INNER))


def test_mirrored_pictures_are_compared_too():
    noise = [Image.fromarray(np.random.default_rng(n).integers(0, 256, (8, 9, 3), np.uint8)) for n in range(50)]
    pictures = [small.resize((270, 200), Image.Resampling.BICUBIC) for small in noise]
    looks = [hashes.look(np.asarray(picture)) for picture in [*pictures, *map(ImageOps.mirror, pictures)]]

    found = pairs(
        *(np.array([int(getattr(look, name), 16) for look in looks], np.uint64) for name in ("dhash", "dhash_inner"))
    )

    assert found.one.tolist() == list(range(50))
    assert (found.other - found.one == 50).all()
    assert found.mirrored.all()


def test_only_within_a_model_and_between_listings():
    whole = np.full(4, 7, np.uint64)

    found = pairs(whole, numbers(4), model=np.array([0, 0, 0, 1]), listing=np.array([0, 0, 1, 2]))

    assert list(zip(found.one.tolist(), found.other.tolist(), strict=True)) == [(0, 2), (1, 2)]


def test_a_picture_found_thousands_of_times_does_not_take_all_pairs():
    found = pairs(np.full(3000, 7, np.uint64), np.full(3000, 9, np.uint64))

    assert 2999 <= len(found.one) < 3000 * edited_copies.SAMPLES * 64 / 4


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_to_compare(number):
    found = pairs(numbers(number), numbers(number))

    assert len(found.one) == 0
    empty = np.empty((0, hashes.SIGNATURE_BYTES), np.uint8)
    assert verify(found, empty, rows=np.arange(number)).tolist() == []


def test_pixels_decide(world):
    rows = [row for row in world.photos if row.label == "auto" and row.kind == "original"]
    one, other = (Image.open(world.raw / row.key).convert("RGB") for row in rows[:2])
    pictures = [one, one.crop((8, 8, one.width - 8, one.height - 8)), ImageOps.mirror(one), other]
    signatures = np.stack([np.frombuffer(hashes.look(np.asarray(picture)).signature, np.uint8) for picture in pictures])
    asked = edited_copies.Candidates(
        np.array([0, 0, 0, 0]), np.array([1, 2, 2, 3]), np.ones(4, np.float32), np.array([False, True, False, False])
    )

    difference = verify(asked, signatures, rows=np.arange(4))

    assert np.isnan(difference).tolist() == [False, False, True, True]
    assert difference[1] < 3 < 12 > difference[0]
