"""A detector in 8-bit numbers is made once, from photos of the bucket, and refused where it finds other vehicles."""

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from PIL import Image

from carpipe import quantization
from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.pictures.detection.cut import Found
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.detection.int8 import Agreement, _head, compare
from carpipe.pictures.detection.openvino_runtime import compile_model, in_floats, read_model
from carpipe.sample import DETECTOR, draw_world
from carpipe.stages import quantize as stage
from carpipe.steps.data.crop import crop_work
from carpipe.steps.data.quantize import drawn_first, local_detector
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.garbage import KNOWN
from tests.conftest import make_config
from tests.pictures.detection.drawn_models import save_model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")]
SETTINGS = {"crop__weights": str(DETECTOR), "crop__image_size": 320, "crop__runtime": "int8"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    world = draw_world(tmp_path_factory.mktemp("world"), seed=3, listings=8)
    drawn = [photo for photo in world.photos if photo.boxes and not photo.fault]
    return [Image.open(world.raw / photo.key).convert("RGB") for photo in drawn]


@pytest.fixture(scope="module", autouse=True)
def few(pictures):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "CALIBRATED", 8)
        patch.setattr(stage, "MIN_CHECKED", 10)
        patch.setattr(stage, "MIN_SAME", 0.9)
        yield


@pytest.fixture(scope="module")
def session(s3):
    return open_session(make_config(f"s3://{s3.bucket}/int8", **SETTINGS))


def test_it_is_made_once_and_finds_the_same_vehicles(session, pictures):
    with local_detector(session) as unmade:
        assert unmade.path is None
        before = crop_work(session, "stages/filter/p/x/manifest.json", "p", unmade.name)
    with local_detector(session, photos=lambda: iter(pictures)) as made:
        found = Detector(made.path, config=session.config.crop).largest([pictures[0]])
        assert found[0].label in ("car", "truck")
    with local_detector(session, photos=lambda: pytest.fail("it is there")) as again:
        assert again.name == made.name

    after = crop_work(session, "stages/filter/p/x/manifest.json", "p", made.name)
    assert before.fingerprint != after.fingerprint
    assert made.name.made in after.inputs  # so `gc` keeps it
    assert made.name.made.split("/")[1] in KNOWN


def test_one_that_finds_other_vehicles_is_refused_with_the_figures(session, pictures, monkeypatch):
    with local_detector(session, photos=lambda: iter(pictures)):
        pass
    monkeypatch.setattr(stage, "MIN_SAME", 1.01)
    with (
        pytest.raises(
            InputError, match=r"the same vehicle on [0-9]+ of [0-9]+ photos .*, expected 101%.* delete stages/quantize/"
        ),
        local_detector(session, photos=lambda: pytest.fail("its verdict is kept")),
    ):
        pass


def test_too_few_photos_say_nothing(pictures):
    with pytest.raises(InputError, match=r"^A vehicle is on [0-9] of this partition's photos"):
        stage.quantize(DETECTOR, lambda: pictures[:10], config=CropConfig(image_size=320))


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


def test_photos_are_drawn_from_all_over():
    keys = [f"a_{number:04d}" for number in range(1000)]
    first = drawn_first(keys)[:100]
    assert first == drawn_first(keys[::-1])[:100]
    assert 350 < np.mean([int(key[2:]) for key in first]) < 650
