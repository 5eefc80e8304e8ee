"""Whatever runs a detector, and whoever made it, the boxes are the same."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.pictures.detection import openvino_runtime, ultralytics_runtime
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.detection.openvino_runtime import OpenVINONetwork
from carpipe.pictures.detection.ultralytics_runtime import UltralyticsNetwork
from carpipe.sample import DETECTOR, draw_world
from tests.pictures.detection.drawn_models import save_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
CONFIG = CropConfig(image_size=320)
NAMES = ("person", "car", "truck")
# What the drawn models say of a picture of 64 by 32 pixels, in pixels of their input of 64 by 64.
CAR, TRUCK = (8.0, 20.0, 40.0, 40.0), (10.0, 18.0, 50.0, 44.0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Of several sizes, wide and high."""
    world = draw_world(tmp_path_factory.mktemp("world"), seed=3, listings=4)
    drawn = [Image.open(world.raw / photo.key).convert("RGB") for photo in world.photos if not photo.fault]
    sizes = [(380, 250), (250, 380), (640, 480), (333, 500)]
    return [picture.resize(sizes[number % 4]) for number, picture in enumerate(drawn[:16])]


def test_a_converted_checkpoint_finds_the_boxes_of_pytorch(photos, tmp_path):
    ours = Detector(DETECTOR, config=CONFIG)._network
    theirs = UltralyticsNetwork(DETECTOR, config=CONFIG)
    assert isinstance(ours, OpenVINONetwork)

    overlaps = []
    for photo in photos:
        [mine], [expected] = ours.find([photo]), theirs.find([photo])
        assert mine.classes.tolist() == expected.classes.tolist()
        assert np.allclose(mine.scores, expected.scores, atol=1e-3)
        overlaps += [overlap(*pair) for pair in zip(mine.corners, expected.corners, strict=True)]

    assert len(overlaps) > 5
    assert min(overlaps) > 0.99


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_photos_of_one_shape_are_found_alike_alone_and_together(photos, runtime):
    """Of other sizes too, as long as they are padded to one."""
    same = [photo.resize(((380, 250), (400, 260))[number % 2]) for number, photo in enumerate(photos)]
    detector = Detector(DETECTOR, config=CropConfig(image_size=320, runtime=runtime))
    assert {detector.shape_of(photo.size) for photo in same} == {(224, 320)}

    together = detector.largest(same)

    assert sum(found is not None for found in together) > 4
    for alone, found in zip((detector.largest([photo])[0] for photo in same), together, strict=True):
        assert (alone is None) == (found is None)
        assert alone is None or np.allclose(alone.box, found.box, atol=0.2)


def test_the_boxes_of_pytorch_are_those_of_ultralytics_own_predict(photos, tmp_path):
    copy = tmp_path / "own.pt"
    copy.write_bytes(DETECTOR.read_bytes())
    model = ultralytics_runtime.import_ultralytics()(str(copy), task="detect")
    ours = UltralyticsNetwork(DETECTOR, config=CONFIG)

    for photo in photos:
        [mine] = ours.find([photo])
        theirs = model.predict(np.asarray(photo)[:, :, ::-1], imgsz=320, verbose=False)[0].boxes.cpu().numpy()
        assert mine.classes.tolist() == theirs.cls.tolist()
        assert np.allclose(mine.corners, theirs.xyxy, atol=0.5)


def test_a_checkpoint_is_converted_once(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Detector(DETECTOR, config=CONFIG)

    script = """
import sys
from carpipe.config import CropConfig
from carpipe.pictures.detection.detector import Detector
from carpipe.sample import DETECTOR
Detector(DETECTOR, config=CropConfig(image_size=320))
print({"torch", "ultralytics"} & set(sys.modules))
"""
    environment = {"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    assert subprocess.check_output([sys.executable, "-c", script], text=True, env=environment) == "set()\n"


def test_without_ultralytics_exported_detectors_work_and_checkpoints_say_what_is_missing(tmp_path):
    folder = save_model(tmp_path / "mine", layout="yolo", boxes=[(CAR, 1, 0.9)], names=NAMES)
    script = f"""
import sys
from pathlib import Path
from PIL import Image
for name in ("torch", "torchvision", "ultralytics", "tensorflow"):
    sys.modules[name] = None
from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.pictures.detection import detector, ultralytics_runtime
config = CropConfig(image_size=64)
print(detector.Detector(Path({str(folder)!r}), config=config).largest([Image.new("RGB", (64, 32))])[0].label)
ultralytics_runtime._versions = ultralytics_runtime.import_ultralytics
try:
    detector.Detector(Path({str(DETECTOR)!r}), config=config)
except InputError as error:
    print(error)
"""
    said = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()

    assert said[0] == "car"
    assert said[1].startswith("detector.pt cannot be used as a detector: it takes ultralytics, which is not installed;")


@pytest.mark.parametrize("layout", ["yolo", "yolov5", "boxes", "detr", "detr-other-order", "detr-in-one"])
@pytest.mark.parametrize("told", ["file", "settings"])
def test_each_layout_is_read_and_told_by_its_shape(layout, told, tmp_path):
    boxes = [(CAR, 1, 0.9), (TRUCK, 2, 0.6), ((0.0, 16.0, 64.0, 48.0), 0, 0.95), (CAR, 1, 0.1)]
    folder = save_model(tmp_path / "mine", layout=layout, boxes=boxes, names=NAMES if told == "file" else ())
    config = CropConfig(image_size=64, names=() if told == "file" else NAMES)

    [found] = Detector(folder, config=config).largest([Image.new("RGB", (64, 32))])

    assert (found.label, found.score) == ("truck", pytest.approx(0.6, abs=1e-3))
    # Letterboxed, the picture lies 16 pixels below the top; stretched, it is twice as high.
    x0, y0, x1, y1 = TRUCK
    expected = [x0, y0 / 2, x1, y1 / 2] if "detr" in layout else [x0, y0 - 16, x1, y1 - 16]
    assert found.box == pytest.approx(expected, abs=0.11)


def test_boxes_of_one_class_that_overlap_are_one(tmp_path):
    near = tuple(edge + 1 for edge in TRUCK)
    folder = save_model(
        tmp_path / "mine", layout="yolo", boxes=[(near, 2, 0.5), (TRUCK, 2, 0.6), (near, 1, 0.7)], names=NAMES
    )

    [boxes] = OpenVINONetwork(folder / "detector.xml", config=CropConfig(image_size=64)).find(
        [Image.new("RGB", (64, 64))]
    )

    found = dict(zip(boxes.classes.tolist(), boxes.scores.tolist(), strict=True))
    assert len(boxes.scores) == 2
    assert found == {1: pytest.approx(0.7), 2: pytest.approx(0.6)}


@pytest.mark.parametrize(
    ("pixels", "expected"), [("0-1", 51 / 255), ("imagenet", (51 - 123.675) / 58.395), ("0-255-bgr", 204.0)]
)
def test_pixels_come_as_the_network_wants_them(pixels, expected, tmp_path):
    """The model's one box begins where the mean of its first channel says."""
    folder = save_model(tmp_path / "mine", layout="boxes", boxes=[(CAR, 1, 0.9)], names=NAMES, first_channel=True)
    network = OpenVINONetwork(folder / "detector.xml", config=CropConfig(image_size=64, pixels=pixels))
    seen = []
    network._request = Listening(network._request, seen)

    network.find([Image.new("RGB", (64, 64), (51, 100, 204))])

    assert seen[0][0, 0, 0] == pytest.approx(expected, abs=0.01)


class Listening:
    """Notes what the network gives."""

    def __init__(self, request, seen):
        self._request, self._seen = request, seen

    def infer(self, inputs):
        found = self._request.infer(inputs)
        self._seen += [np.array(one) for one in found.values()]
        return found


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        ({"names": ()}, {}, "it does not say the names of its classes; set crop.names"),
        ({"names": NAMES, "metadata": {"task": "segment"}}, {}, "another task than detection: 'segment'"),
        ({"names": NAMES, "metadata": {"stride": "none"}}, {}, "a stride that is none"),
        ({"names": NAMES, "metadata": {"names": "__import__('os')"}}, {}, "names no classes"),
        ({"names": NAMES}, {"names": ("car",)}, "no layout that is known for 1 classes"),
        ({"names": NAMES}, {"layout": "boxes"}, "which is not the layout boxes"),
        ({"names": ("cat", "dog", "cow")}, {}, "knows none of car, truck; it knows cat, dog, cow"),
    ],
)
def test_a_detector_that_cannot_be_meant_is_a_sentence(options, settings, message, tmp_path):
    folder = save_model(tmp_path / "mine", layout="yolo", boxes=[(CAR, 1, 0.9)] * 9, **options)
    with pytest.raises(InputError, match=message):
        Detector(folder, config=CropConfig(image_size=64, **settings))


def test_the_names_of_coco_are_known_by_their_numbers(tmp_path):
    for names, car in (("coco",), 2), (("coco91",), 3):
        folder = save_model(tmp_path / names[0], layout="boxes", boxes=[(CAR, car, 0.9)], names=())
        [found] = Detector(folder, config=CropConfig(image_size=64, names=names)).largest([Image.new("RGB", (64, 64))])
        assert found.label == "car"


@pytest.mark.parametrize(
    ("device", "cuda", "expected"), [(True, True, "torch"), (True, False, "openvino"), (False, True, "openvino")]
)
def test_pytorch_runs_a_checkpoint_where_there_is_a_gpu(device, cuda, expected, monkeypatch, tmp_path):
    """`auto` asks PyTorch only where there is a device: to import it takes seconds."""
    asked = []
    monkeypatch.setattr(
        "carpipe.pictures.detection.ultralytics_runtime._GPU_DEVICES", (tmp_path if device else tmp_path / "no",)
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: asked.append(True) or cuda)
    monkeypatch.setattr(ultralytics_runtime, "UltralyticsNetwork", lambda *_, **__: Named("torch"))
    monkeypatch.setattr(openvino_runtime, "OpenVINONetwork", lambda *_, **__: Named("openvino"))

    assert Detector(DETECTOR, config=CONFIG)._network.by == expected
    assert bool(asked) == device


class Named:
    """A network that knows cars, and what it would be run by."""

    def __init__(self, by):
        self.names, self.by = {0: "car"}, by


def overlap(one, other):
    """Intersection over union."""
    x0, y0, x1, y1 = (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    both = max(0.0, x1 - x0) * max(0.0, y1 - y0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both)
