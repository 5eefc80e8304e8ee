"""The likeliest classes of each photo, as they are kept."""

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax

from carpipe.errors import InputError
from carpipe.evaluation.top_answers import TOP, from_parquet, keep_top, to_parquet
from carpipe.photos import has_keys, without
from tests.evaluation.make import draw


def keep(test, *, temperature=1.0, energy=None):
    energy = np.zeros(len(test.photos), np.float32) if energy is None else energy
    photos = test.photos[["key", "class_name"]]
    return keep_top(photos, test.p, energy=energy, temperature=temperature, classes=test.classes)


def test_what_is_read_is_what_was_kept():
    test = draw(40, 300)
    energy = np.linspace(-9, 3, 300, dtype=np.float32)
    kept = keep(test, energy=energy)

    read = from_parquet(to_parquet(kept))

    assert read.photos.equals(kept.photos)
    assert read.classes == test.classes
    np.testing.assert_array_equal(read.numbers, kept.numbers)
    np.testing.assert_array_equal(read.p, kept.p)
    np.testing.assert_array_equal(read.energy, energy)


def test_they_are_the_likeliest_ones_calibrated():
    test = draw(40, 200)

    kept = keep(test, temperature=2.0)

    whole = softmax(np.log(test.p.astype(float)) / 2.0, axis=1)
    best = np.sort(whole, axis=1)[:, ::-1][:, :TOP]
    np.testing.assert_allclose(kept.p, best, rtol=2e-3, atol=1e-7)
    assert kept.answer.tolist() == [test.classes[number] for number in test.answer]


def test_how_likely_the_given_class_is_is_kept_calibrated():
    test = draw(40, 200)
    named = test.photos.assign(class_name=test.photos["class_name"].mask(test.photos.index == 7, "no class of it"))
    kept = keep_top(named, test.p, energy=np.zeros(200), temperature=2.0, classes=test.classes)

    whole = softmax(np.log(test.p.astype(float)) / 2.0, axis=1)
    given = pd.Index(test.classes).get_indexer(pd.Index(test.photos["class_name"]))
    wanted = np.where(np.arange(200) == 7, np.nan, whole[np.arange(200), given])
    np.testing.assert_allclose(from_parquet(to_parquet(kept)).photos["p_given"], wanted, rtol=1e-4)


def test_of_equally_likely_classes_the_first_is_the_answer():
    test = draw(30, 4)
    even = keep_top(test.photos[["key"]], np.full((4, 30), 1 / 30, np.float32), energy=np.zeros(4), temperature=1.0,
                    classes=test.classes)  # fmt: skip

    assert even.numbers.tolist() == [list(range(TOP))] * 4


def test_a_model_of_few_classes_keeps_them_all():
    test = draw(2, 50)

    kept = from_parquet(to_parquet(keep(test)))

    assert kept.p.shape == (50, 2)
    np.testing.assert_allclose(kept.p.sum(axis=1), 1, atol=1e-3)


def test_five_hundred_classes_take_a_few_bytes_a_photo():
    """Real keys have 64 random hex digits, 32 bytes that nothing can compress."""
    test = draw(512, 5000)
    digits = np.random.default_rng(0).integers(0, 16, (5000, 64))
    keys = [f"{name}_2014/1_1_{''.join(map('{:x}'.format, row))}.jpg"
            for name, row in zip(test.photos["class_name"], digits, strict=True)]  # fmt: skip
    kept = keep_top(pd.DataFrame({"key": keys}), test.p, energy=np.random.default_rng(1).normal(size=5000),
                    temperature=1.0, classes=test.classes)  # fmt: skip

    size = len(to_parquet(kept))

    assert size / 5000 < 100, "200,000 photos take 20 MB; all probabilities would take 410"


def test_a_photo_can_be_taken_out_as_of_any_table_of_photos():
    test = draw(12, 20)
    data = to_parquet(keep(test))
    gone = test.photos["key"].iloc[3]

    assert has_keys(data)
    left = without(data, {gone})

    table = pq.read_table(io.BytesIO(left))
    assert table.num_rows == 19
    assert gone not in table["key"].to_pylist()
    assert from_parquet(left).p.shape == (19, TOP)


@pytest.mark.parametrize("change", ["nothing", "names", "columns"])
def test_what_is_no_such_file_is_a_sentence(change):
    data = to_parquet(keep(draw(12, 20)))
    table = pq.read_table(io.BytesIO(data))
    if change == "nothing":
        data = b"oops"
    else:
        table = table.replace_schema_metadata() if change == "names" else table.drop_columns(["p"])
        sink = io.BytesIO()
        pq.write_table(table, sink)
        data = sink.getvalue()

    with pytest.raises(InputError, match="cannot be read as Parquet"):
        from_parquet(data)


def test_a_number_without_a_name_is_a_sentence():
    kept = keep(draw(12, 20))
    short = to_parquet(keep_top(kept.photos, draw(12, 20).p, energy=kept.energy, temperature=1.0, classes=["a", "b"]))

    with pytest.raises(InputError, match="no name"):
        from_parquet(short)
