"""The sample world: its layout and truth, that it draws the same twice, and that the detector sees it."""

import csv
import io
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from carpipe.errors import InputError
from carpipe.sample import DETECTOR, World, draw_world, parse_boxes, read_truth, train_detector
from carpipe.sample.faults import EXPECT
from carpipe.sample.models import LOOKS
from carpipe.sample.photo import VIEWS

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
KEY = re.compile(
    rf"(?P<model>[^/]+)_(?P<year>\d{{4}})/(?P<number>\d+)_(?P<photo>\d+)_(?P<listing>{UUID})_(?P<id>{UUID})\.jpg"
)
TAXONOMY = Path(__file__).parents[3] / "shared" / "data" / "tables" / "classes_763_to_512.csv"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return draw_world(tmp_path_factory.mktemp("world"), seed=5, listings=90)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parsed(key: str) -> re.Match[str]:
    match = KEY.fullmatch(key)
    assert match, key
    return match


def test_every_file_is_named_as_a_real_bucket_names_it(world: World) -> None:
    files = {path.relative_to(world.raw).as_posix() for path in world.raw.rglob("*") if path.is_file()}
    assert files == {photo.key for photo in world.photos}
    assert {parsed(key)["model"] for key in files} == {look.name for look in LOOKS}
    assert len({parsed(key)["id"] for key in files}) == len(files)
    assert any(not key.isascii() for key in files)


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        draw_world(tmp_path / name, seed=3, listings=16)
    draw_world(tmp_path / "pool", seed=3, listings=16, workers=2)
    one = bytes_of(tmp_path / "one")
    assert one == bytes_of(tmp_path / "two") == bytes_of(tmp_path / "pool")
    draw_world(tmp_path / "other", seed=4, listings=16)
    assert not set(one) & {key for key in bytes_of(tmp_path / "other") if key.startswith("raw")}


def test_progress_counts_up_to_the_number_of_files(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    world = draw_world(tmp_path, listings=8, on_progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (len(world.photos), len(world.photos))
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_a_folder_with_photos_is_left_alone(world: World) -> None:
    with pytest.raises(InputError, match="not empty"):
        draw_world(world.folder, seed=9)
    with pytest.raises(InputError, match="at least 1"):
        draw_world(world.folder, listings=0)


def test_truth_on_disk_is_the_truth_returned(world: World) -> None:
    assert read_truth(world.truth) == world.photos
    assert sum(world.counts("kind").values()) == len(world.photos)
    assert set(world.counts("view")) == set(VIEWS)
    assert set(world.counts("fault")) == {*EXPECT, ""}
    assert set(world.counts("kind")) == {"original", "fault", "relist_exact", "relist_near", "banner"}
    assert 0.02 <= world.counts("kind")["fault"] / len(world.photos) <= 0.03
    for photo in world.photos:
        assert (photo.kind == "fault") == bool(photo.fault)
        assert photo.expect == EXPECT.get(photo.fault, "keep")
        assert (photo.label == "auto") == bool(photo.boxes)


def test_photos_to_keep_decode_in_full_and_photos_to_drop_do_not(world: World) -> None:
    for photo in world.photos:
        data = (world.raw / photo.key).read_bytes()
        if photo.expect == "keep":
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                assert min(image.size) >= 250, photo
        elif photo.fault in ("empty", "html", "truncated_10", "truncated_50", "truncated_97"):
            assert not decodes(data), photo


def decodes(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except OSError:
        return False
    return True


def test_boxes_lie_in_the_upright_frame_and_the_listing_car_is_the_largest(world: World) -> None:
    exteriors = [photo for photo in world.photos if photo.boxes and photo.expect == "keep"]
    for photo in exteriors:
        with Image.open(world.raw / photo.key) as stored:
            width, height = ImageOps.exif_transpose(stored).size
        boxes = parse_boxes(photo.boxes)
        for box in boxes:
            assert 0 <= box.x0 < box.x1 <= width, photo
            assert 0 <= box.y0 < box.y1 <= height, photo
        model = parsed(photo.key)["model"]
        assert boxes[0].kind == next(look.kind for look in LOOKS if look.name == model)
        assert boxes[0].area == max(box.area for box in boxes)
        assert boxes[0].area > 0.08 * width * height, photo
    several = sum(len(parse_boxes(photo.boxes)) > 1 for photo in exteriors)
    assert 0.1 < several / len(exteriors) < 0.5


def test_copies_share_the_vehicle_and_show_the_same(world: World) -> None:
    pixels = defaultdict(set)
    for photo in world.photos:
        if photo.kind in ("original", "relist_exact"):
            pixels[photo.vehicle].add((photo.kind, (world.raw / photo.key).read_bytes()))
    copies = [photo for photo in world.photos if photo.kind == "relist_exact"]
    assert copies
    twins = sum(("original", (world.raw / p.key).read_bytes()) in pixels[p.vehicle] for p in copies)
    assert twins >= len(copies) - 2  # the original of a copy may be among the broken files
    for vehicle in {photo.vehicle for photo in world.photos if photo.kind.startswith("relist")}:
        listings = {parsed(photo.key)["listing"] for photo in world.photos if photo.vehicle == vehicle}
        assert len(listings) == 2


def test_a_banner_is_one_picture_in_many_listings(world: World) -> None:
    banners = [photo for photo in world.photos if photo.kind == "banner"]
    pictures = Counter((world.raw / photo.key).read_bytes() for photo in banners)
    assert len(pictures) <= 3 < len(banners)


def test_one_listing_lies_in_two_years_and_numbers_repeat_across_models(world: World) -> None:
    years, numbers = defaultdict(set), defaultdict(set)
    for photo in world.photos:
        match = parsed(photo.key)
        years[match["listing"]].add(match["year"])
        numbers[match["number"]].add(match["model"])
    assert sorted(map(len, years.values()))[-2:] == [1, 2]
    assert max(map(len, numbers.values())) > 1


def test_labels_are_true_and_cover_whole_listings(world: World) -> None:
    with world.labels.open(encoding="utf-8", newline="") as file:
        labels = {row["key"]: row["label"] for row in csv.DictReader(file)}
    readable = {photo.key: photo for photo in world.photos if photo.expect == "keep"}
    assert 0.3 < len(labels) / len(readable) < 0.5
    assert all(readable[key].label == label for key, label in labels.items())
    listings = {parsed(key)["listing"] for key in labels}
    assert set(labels) == {key for key in readable if parsed(key)["listing"] in listings}


@pytest.mark.skipif(not TAXONOMY.exists(), reason="the published tables are not at hand")
def test_the_models_are_models_of_the_published_taxonomy() -> None:
    with TAXONOMY.open(encoding="utf-8", newline="") as file:
        classes = {row["car_model"]: row["class_name"] for row in csv.DictReader(file)}
    chosen = {look.name: classes[look.name] for look in LOOKS}
    assert chosen["volkswagen_golf-gti"] == chosen["volkswagen_golf"]
    assert chosen["nissan_qashqai+2"] == chosen["nissan_qashqai"]
    assert [name for name, merged in chosen.items() if not merged] == ["mini_cooper"]


def test_importing_the_sample_loads_nothing_heavy() -> None:
    code = "import sys, carpipe.sample; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "carpipe" in loaded
    assert not {"torch", "ultralytics", "pandas", "numpy", "PIL", "cv2"} & set(loaded)


def test_the_detector_finds_the_largest_car_of_an_unseen_world(tmp_path: Path) -> None:
    score = train_detector.measure(DETECTOR, draw_world(tmp_path / "unseen", seed=99, listings=15))
    assert score.exteriors >= 50
    assert score.recall >= 0.95
    assert score.right_class >= 0.8
    assert score.false_positive_rate <= 0.05


def test_the_weights_are_small_and_do_not_tell_where_they_were_made() -> None:
    data = DETECTOR.read_bytes()
    assert len(data) < 4_000_000
    places = ("/tmp/", "/home/", "/root/", Path(__file__).parents[2].as_posix())
    assert not [place for place in places if place.encode() in data]
