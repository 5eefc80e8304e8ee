"""Networks in 8-bit numbers are made once, of photos of the whole bucket, and refused where they say something else."""

import logging

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from PIL import Image

from carpipe import manifest, quantization
from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.pictures.detection.cut import Found
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.detection.int8 import Agreement, _head, compare
from carpipe.pictures.detection.openvino_runtime import compile_model, in_floats, read_model
from carpipe.sample import DETECTOR, draw_world
from carpipe.stages import quantize as stage
from carpipe.steps import chain, results
from carpipe.steps.data.crop import crop_work
from carpipe.steps.data.detector_network import local_detector
from carpipe.steps.data.filter_network import find_car_filter
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.plan import plan
from carpipe.steps.data.quantize import drawn_first, quantize
from carpipe.steps.data.upload import upload
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.garbage import KNOWN
from carpipe.weights.channel import read_known
from tests.chaos.bench import live_car_filter, two_classes
from tests.conftest import make_config
from tests.pictures.detection.drawn_models import save_model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")]
SETTINGS = {
    "crop__weights": str(DETECTOR),
    "crop__image_size": 320,
    "filter__threshold": 0.3,
    "classes__min_photos": 1,
    "validation__split_tolerance": 1.0,
    "validation__class_tolerance": 1.0,
    "validation__funnel_tolerance": 1.0,
}
INT8 = {"filter__runtime": "int8", "crop__runtime": "int8"}


@pytest.fixture(scope="module", autouse=True)
def few():
    """So few photos, and a filter drawn by lot, which few steps make a coarse one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CALIBRATED": 8, "MIN_CHECKED": 5, "MIN_CHECKED_BY_FILTER": 50}.items():
            patch.setattr(stage, name, value)
        patch.setattr(stage, "MIN_SAME", 0.9)
        patch.setattr(stage, "MIN_ALIKE", 0.75)
        yield


@pytest.fixture(scope="module")
def bucket(s3, tmp_path_factory):
    """Opens it with settings: two partitions, and the older one has one photo, which was overwritten since."""
    url, home = f"s3://{s3.bucket}/int8", tmp_path_factory.mktemp("world")
    world = draw_world(home / "world", seed=5, listings=24)
    first, other = sorted(world.raw.rglob("*.jpg"))[:2]
    settings = {**SETTINGS, "classes__taxonomy": str(two_classes(home, [path.name for path in world.raw.iterdir()]))}
    session = open_session(make_config(url, **settings))
    session.store.put(f"raw/{first.relative_to(world.raw)}", other.read_bytes())
    inventory(session)
    upload(session, world.raw)
    live_car_filter(session.store)
    return lambda **more: open_session(make_config(url, **{**settings, **more}))


def prepared(session):
    """A dataset, and what each stage committed for it."""
    found = {}
    done = chain.prepare_dataset(
        session, now=lambda: "2026-01-01T00:00:00Z", progress=lambda name, one: found.setdefault(name, []).append(one)
    )
    return done, found


@pytest.fixture(scope="module")
def plain(bucket):
    return prepared(bucket())


@pytest.fixture(scope="module")
def eight(bucket, plain):
    return prepared(bucket(**INT8))


def scores(session, done):
    return results.read_photos(session.store, done).set_index("key")["p_car"].dropna()


def test_both_are_made_once_and_judge_all_partitions(bucket, plain, eight):
    session = bucket(**INT8)
    car_filter, detector = eight[1]["quantize"]

    assert "quantize" not in plain[1]
    assert [len(found["filter"]) for _, found in (plain, eight)] == [2, 2]
    for done in eight[1]["filter"]:
        assert done.weights["car_filter"] == car_filter.files["model.bin"]["sha256"]
        assert car_filter.key in done.inputs  # so `gc` keeps it
    for done in eight[1]["crop"]:
        assert detector.key in done.inputs
    assert car_filter.key.split("/")[1] in KNOWN
    assert quantize(session, inventory(session).key) == []


def test_they_judge_nearly_as_before(bucket, plain, eight):
    session = bucket()
    old, new = (scores(session, found["filter"][1]) for _, found in (plain, eight))

    assert list(old.index) == list(new.index)
    assert not np.array_equal(old, new), "it is another network"
    assert np.mean((old >= 0.3) == (new >= 0.3)) > 0.75


def test_the_plan_knows_what_they_have_done(bucket, eight):
    for settings in (INT8, {}):
        session = bucket(**settings)
        planned = plan(session, inventory(session).key)
        assert planned.to_do == []


def test_before_they_are_made_nothing_is_done_without_them(bucket, eight):
    session = bucket(**INT8, crop__confidence=0.4)  # so the detector is another one
    with local_detector(session) as unmade:
        assert unmade.path is None
        with pytest.raises(InputError, match="run the step `quantize`"):
            _ = unmade.there
        before = crop_work(session, "stages/filter/p/x/manifest.json", "p", unmade.id)
    with local_detector(bucket(**INT8)) as made:
        after = crop_work(bucket(**INT8), "stages/filter/p/x/manifest.json", "p", made.id)
        assert made.id.made in after.inputs
    assert before.fingerprint != after.fingerprint


def test_apps_get_the_detector_and_the_report_tells_of_photos_alone(bucket, eight):
    store = bucket().store
    dataset, found = eight
    files = {name.removeprefix("detector/detector_int8/") for name in dataset.files if name.startswith("detector/")}
    assert files == {"detector.bin", "detector.xml", "metadata.yaml"}
    page = manifest.read_file(store, found["validate"][0], results.REPORT).decode()
    assert found["crop"][1].key in page
    assert "stages/quantize" not in page


def test_the_detector_finds_vehicles(bucket, eight, tmp_path):
    session = bucket(**INT8)
    world = draw_world(tmp_path / "world", seed=3, listings=2)
    photo = next(one for one in world.photos if one.boxes and not one.fault)
    with local_detector(session) as made:
        picture = Image.open(world.raw / photo.key).convert("RGB")
        [found] = Detector(made.path, config=session.config.crop).largest([picture])
    assert found.label in ("car", "truck")


def test_a_detector_that_finds_other_vehicles_is_refused_with_the_figures(bucket, eight, monkeypatch):
    monkeypatch.setattr(stage, "MIN_SAME", 1.01)
    refusal = r"the same vehicle on [0-9]+ of [0-9]+ photos .*, expected 101%.*delete stages/quantize/detector/"
    with pytest.raises(InputError, match=refusal), local_detector(bucket(**INT8)):
        pass


def test_a_filter_is_asked_for_its_verdict_at_each_threshold(bucket, eight, monkeypatch):
    session = bucket(**{**INT8, "filter__threshold": 0.4})
    made = quantize(session, inventory(session).key)
    assert made == [], "no threshold makes another"

    model = read_known(session.store, plan(session, inventory(session).key).car_filter).manifest
    monkeypatch.setattr(stage, "MIN_ALIKE", 1.01)
    with pytest.raises(InputError, match=r"decides the same on [0-9]+ of [0-9]+ .*101%.*delete stages/quantize/car_f"):
        find_car_filter(session, model)


def test_views_must_be_told_alike_too():
    same = stage.Judged((0.9, 0.8), ("front", "front"))
    stage.check_filter([same] * 100, threshold=0.7, made="m")
    with pytest.raises(InputError, match=r"tells the same view on 70 of 100 photos \(70\.0%\), expected 75%"):
        stage.check_filter([same] * 70 + [stage.Judged((0.9, 0.8), ("front", "back"))] * 30, threshold=0.7, made="m")
    with pytest.raises(InputError, match="decides the same on 70 of 100"):
        stage.check_filter([same] * 70 + [stage.Judged((0.71, 0.69), (None, None))] * 30, threshold=0.7, made="m")


def test_a_filter_of_too_few_photos_is_not_made():
    with pytest.raises(InputError, match=r"^57 photos are there to make a car filter .*, expected 58 at least"):
        stage.check_enough(57)
    stage.check_enough(58)


def test_too_few_photos_say_nothing_of_a_detector():
    pictures = [(f"{number}.jpg", Image.new("RGB", (320, 240))) for number in range(10)]
    with pytest.raises(InputError, match=r"^A vehicle is on 0 of the photos"):
        stage.quantize(DETECTOR, lambda: pictures, config=CropConfig(image_size=320))


def test_what_openvino_cannot_read_cannot_be_made(data):
    with pytest.raises(InputError, match=r"_int8\.tflite cannot be used as a detector: a \.tflite is run by"):
        stage.quantize(data / "weights" / "yolov8n_int8.tflite", list, config=CropConfig())


def test_boxes_agree_from_half_on():
    whole, most, half = ([0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 6.0], [0.0, 0.0, 10.0, 4.0])
    pairs = [(Found(whole, "car", 0.9), other and Found(other, "truck", 0.5)) for other in (whole, most, half, None)]

    assert compare([*pairs, (None, Found(whole, "car", 0.9))]) == Agreement(found=4, same=2)


@pytest.mark.parametrize("pixels", ["0-1", "imagenet", "0-255-bgr"])
def test_it_is_calibrated_on_what_the_network_sees(pixels, tmp_path):
    """The first number of the drawn model is the mean of its first channel, as the network itself scales it."""
    folder = save_model(
        tmp_path / "mine", layout="boxes", boxes=[((0, 0, 9, 9), 1, 0.9)], names=("a", "car"), first_channel=True
    )
    picture = np.full((64, 64, 3), (51, 100, 204), np.uint8)
    [said] = compile_model(read_model(folder / "detector.xml"), pixels=pixels).infer([picture[None]]).values()

    assert said[0, 0, 0] == pytest.approx(in_floats(picture, pixels=pixels)[0, 0].mean(), abs=1e-3)


@pytest.mark.parametrize(
    ("backbone", "called", "own"),
    [
        ("__module.model.0.conv/aten::_convolution", "__module.model.22.cv2.0/aten::_convolution",
         ["__module.model.22.dfl.conv/aten::softmax", "__module.model.22/aten::cat",
          "__module.model.22/aten::sigmoid"]),
        ("/model.0/conv/Conv", "/model.22/cv2.0/conv/Conv",
         ["/model.22/dfl/conv/Conv", "/model.22/Concat", "/model.22/Sigmoid"]),
    ],
    ids=["pytorch", "onnx"],
)  # fmt: skip
def test_the_head_is_known_by_its_names(backbone, called, own):
    flow = entry = ops.parameter([1, 4], np.float32)
    for name in (backbone, called, *own):
        flow = ops.sigmoid(flow) if name == own[-1] else ops.relu(flow)
        flow.set_friendly_name(name)
    assert {*_head(openvino.Model([flow], [entry], "drawn"))} == {*own}


def test_a_network_without_anything_to_round_is_refused():
    entry = ops.parameter([1, 4], np.float32)
    drawn = openvino.Model([ops.relu(entry)], [entry], "drawn")
    with pytest.raises(InputError, match="nncf has put nothing of this network into 8-bit numbers"):
        quantization.quantize(drawn, [np.zeros((1, 4), np.float32)])


def test_handlers_that_others_have_added_keep_their_level():
    handler = logging.NullHandler()
    logger = logging.getLogger("nncf")
    logger.addHandler(handler)
    try:
        quantization._import_nncf()
        assert (handler.level, logger.level) == (logging.NOTSET, logging.ERROR)
    finally:
        logger.removeHandler(handler)


def test_photos_are_drawn_from_all_over():
    keys = [f"a_{number:04d}" for number in range(1000)]
    first = drawn_first(keys)[:100]
    assert first == drawn_first(keys[::-1])[:100]
    assert 350 < np.mean([int(key[2:]) for key in first]) < 650
