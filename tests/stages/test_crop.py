"""Cropping decodes photos where a hostile one costs itself only, and changes nothing for the others."""

import io
import threading

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image

from carpipe.config import CropConfig
from carpipe.errors import CarpipeError
from carpipe.pictures import decode
from carpipe.pictures.detection.cut import crop_photo
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.isolation import Isolated
from carpipe.sample import DETECTOR, draw_world
from carpipe.stages import crop as stage
from carpipe.stages.crop import crop
from tests.pictures import hostile

CONFIG = CropConfig(image_size=320)


@pytest.fixture(scope="module")
def detector():
    return Detector(DETECTOR, config=CONFIG)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    world = draw_world(tmp_path_factory.mktemp("world"), seed=3, listings=6)
    return [(path.name, path.read_bytes()) for path in sorted(world.raw.rglob("*.jpg"))][:16]


def run(files, detector, **options):
    options = {"max_pixels": 60_000_000, **options}
    table, crops = crop(files, detector=detector, config=CONFIG, **options)
    return {row.key: row.reason for row in table.itertuples()}, crops


def test_crops_are_those_of_the_same_photos_decoded_here(photos, detector):
    reasons, crops = run(photos, detector)

    for key, data in photos:
        try:
            picture = decode.read(data, max_pixels=60_000_000, enough=decode.DETAIL)
        except decode.PhotoError:
            assert key not in crops
            continue
        image = Image.fromarray(picture.pixels)
        row, jpeg = crop_photo(image, detector.largest([image])[0], config=CONFIG)
        assert crops.get(key) == jpeg
        assert (reasons[key] if isinstance(reasons[key], str) else None) == row.get("reason")
    assert len(crops) > 3


def test_a_photo_over_its_time_or_memory_is_poison_and_the_others_are_not(photos, detector):
    expensive = hostile.png(7000, 7000, hostile.png_chunk(b"IDAT", hostile.zeros(7000 * 28_001)), colour=6)
    files = [photos[0], ("time.jpg", expensive), ("gone.jpg", None), ("empty.jpg", b""), *photos[1:4]]
    alone, _ = run(photos[:4], detector)

    reasons, _ = run(files, detector, timeout_s=0.4)
    assert {key: reasons[key] for key in ("time.jpg", "gone.jpg", "empty.jpg")} == {
        "time.jpg": "poison",
        "gone.jpg": "missing",
        "empty.jpg": "empty",
    }
    assert [str(reasons[key]) for key in alone] == [str(reason) for reason in alone.values()]

    reasons, _ = run(files, detector, memory_mb=256)
    assert reasons["time.jpg"] == "poison"
    assert [str(reasons[key]) for key in alone] == [str(reason) for reason in alone.values()]


def test_nothing_stays_when_the_photos_cannot_be_fetched(photos, detector):
    def files():
        yield from photos[:3]
        raise KeyError("the store went away")

    with pytest.raises(KeyError):
        run(files(), detector)

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("carpipe-ahead")]


def test_a_process_that_cannot_start_is_no_photo_s_fault(photos, detector, monkeypatch):
    monkeypatch.setattr(stage, "LOOK", "no_such_module:look")

    with pytest.raises(CarpipeError, match="before it saw one"):
        run(photos[:2], detector)


def test_several_decoders_change_nothing(photos, detector, caplog, monkeypatch):
    expensive = hostile.png(7000, 7000, hostile.png_chunk(b"IDAT", hostile.zeros(7000 * 28_001)), colour=6)
    files = [*photos[:6], ("time.jpg", expensive), ("gone.jpg", None), ("empty.jpg", b""), *photos[6:]]
    options = {"max_pixels": 60_000_000, "timeout_s": 0.4}
    table, crops = crop(files, detector=detector, config=CONFIG, **options)

    real, looked_at = Isolated.answers, []

    def answers(child, items):
        looked_at.append(child)
        return real(child, items)

    monkeypatch.setattr(Isolated, "answers", answers)
    for count in (2, 5):
        looked_at.clear()
        several = CONFIG.model_copy(update={"decoders": count})
        again, cut = crop(files, detector=detector, config=several, **options)
        assert len(set(map(id, looked_at))) == count
        pd.testing.assert_frame_equal(again, table)
        assert cut == crops
    assert "time.jpg is dropped as poison" in caplog.text


def test_nothing_stays_of_several_decoders(photos, detector, monkeypatch):
    several = CONFIG.model_copy(update={"decoders": 3})

    def files():
        yield from photos * 2
        raise KeyError("the store went away")

    class Broken:
        on_gpu = False
        shape_of = detector.shape_of

        def largest(self, pictures):
            raise RuntimeError("the GPU has gone")

    with pytest.raises(KeyError):
        crop(files(), detector=detector, config=several, max_pixels=60_000_000)
    with pytest.raises(RuntimeError, match="the GPU has gone"):
        crop(photos * 4, detector=Broken(), config=several, max_pixels=60_000_000)
    monkeypatch.setattr(stage, "LOOK", "no_such_module:look")
    with pytest.raises(CarpipeError, match="before it saw one"):
        crop(photos, detector=detector, config=several, max_pixels=60_000_000)

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("carpipe-ahead")]
    assert not [child for child in psutil.Process().children() if "isolation_child" in " ".join(child.cmdline())]


def test_photos_of_many_sizes_do_not_all_wait_in_memory(monkeypatch):
    monkeypatch.setattr(stage, "_MAX_WAITING_BYTES", 400_000)
    views = [stage.View(str(n), Image.new("RGB", (100 + n, 100)), (100 + n, 100)) for n in range(40)]

    assert most_waiting(views, 8) <= 400_000 + views[-1].bytes


def test_equally_large_photos_do_not_wait_for_a_whole_batch(monkeypatch):
    monkeypatch.setattr(stage, "_MAX_WAITING_BYTES", 100_000)
    views = [stage.View(str(n), Image.new("RGB", (100, 100)), (100, 100)) for n in range(40)]

    assert most_waiting(views, 30) <= 100_000 + views[0].bytes


def most_waiting(views, size):
    """Bytes that waited at once."""
    waiting, most = 0, 0

    def counted():
        nonlocal waiting, most
        for one in views:
            waiting += one.bytes
            most = max(most, waiting)
            yield one

    found = []
    for batch in stage._batches(counted(), size):
        waiting -= sum(one.bytes for one in batch)
        found += batch

    assert sorted(one.key for one in found) == sorted(one.key for one in views)
    return most


def test_a_photo_is_cropped_the_same_with_its_mended_file_and_without(photos, detector):
    whole = next((key, data) for key, data in photos if key in run(photos, detector)[1])
    cut = whole[1][:-2]
    mended = decode.read(cut, max_pixels=60_000_000).repaired

    assert run([("a.jpg", cut)], detector) == run([("a.jpg", mended)], detector)


def test_large_photos_come_smaller_and_their_boxes_do_not(photos, detector):
    with_car = next(data for key, data in photos if key in run(photos, detector)[1])
    image = Image.open(io.BytesIO(with_car))
    factor = -(-4200 // min(image.size))
    sink = io.BytesIO()
    image.resize((image.width * factor, image.height * factor)).save(sink, "JPEG", quality=80)

    table, _ = crop([("large.jpg", sink.getvalue())], detector=detector, config=CONFIG, max_pixels=60_000_000)

    assert np.max(table["box"][0]) > 4200 / 4
