"""Detectors are data: the four kinds that are taken work, and what could run code is refused before it is parsed."""

import collections
import copy
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.pictures.detection import checkpoint_pickle, files, onnx_file, openvino_file, ultralytics_runtime
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.detection.ultralytics_runtime import import_ultralytics
from carpipe.sample import DETECTOR, draw_world

SIDE = 320
CONFIG = CropConfig(image_size=SIDE)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The sample detector as each exported kind that can be written here."""
    folder = tmp_path_factory.mktemp("made")
    yolo = import_ultralytics()
    shutil.copy(DETECTOR, folder / "m.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = Path(yolo(str(folder / "m.pt")).export(format="openvino", imgsz=SIDE, verbose=False))
        onnx = to_onnx(yolo(str(folder / "m.pt")).model, folder / "m.onnx")
    return {".pt": DETECTOR, "folder": exported, ".onnx": onnx}


def to_onnx(model, file):
    """As ultralytics does, by PyTorch's exporter; the package onnx, which only checks the result, is not here."""
    from torch.onnx._internal.torchscript_exporter import onnx_proto_utils

    model = model.float().eval().fuse(verbose=False)
    for part in model.modules():
        if hasattr(part, "export"):
            part.export, part.format = True, "onnx"
    names = {"input_names": ["images"], "output_names": ["output0"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_proto_utils, "_add_onnxscript_fn", lambda proto, *_: proto)
        torch.onnx.export(model, torch.zeros(1, 3, SIDE, SIDE), file, dynamo=False, opset_version=17, **names)
    metadata = {"names": str(model.names), "stride": "32", "task": "detect", "batch": "1", "imgsz": f"[{SIDE}, {SIDE}]"}
    entries = (message(14, message(1, key.encode()) + message(2, value.encode())) for key, value in metadata.items())
    file.write_bytes(file.read_bytes() + b"".join(entries))
    return file


def message(number, payload):
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value):
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """The photo of a few in which the checkpoint is surest of a car."""
    world = draw_world(tmp_path_factory.mktemp("world"), seed=3, listings=1)
    keys = [one.key for one in world.photos if one.boxes and not one.fault]
    drawn = [Image.open(world.raw / key).convert("RGB") for key in keys[:6]]
    detector = Detector(DETECTOR, config=CONFIG)
    found = [(detector.largest([one])[0], one) for one in drawn]
    return max(found, key=lambda pair: pair[0].score if pair[0] else 0)[1]


@pytest.mark.parametrize("kind", [".pt", "folder", ".onnx"])
def test_each_kind_finds_what_the_checkpoint_finds(made, kind, photo, tmp_path):
    """Under any name: the content is what counts."""
    renamed = tmp_path / {".pt": "best.torchscript.PT", "folder": "x_saved_model", ".onnx": "a b.onnx"}[kind]
    (shutil.copytree if kind == "folder" else shutil.copy)(made[kind], renamed)
    [found] = Detector(renamed, config=CONFIG).largest([photo])
    [expected] = Detector(DETECTOR, config=CONFIG).largest([photo])
    assert expected is not None
    assert (found.label, found.score) == (expected.label, pytest.approx(expected.score, abs=0.02))
    assert np.allclose(found.box, expected.box, atol=3)


def refused(weights, monkeypatch, message):
    monkeypatch.setattr(ultralytics_runtime, "import_ultralytics", lambda: pytest.fail("it was opened"))
    with pytest.raises(InputError, match=message) as caught:
        Detector(weights, config=CONFIG)
    assert weights.name in str(caught.value)
    assert f"Taken is {files.TAKEN}" in str(caught.value)


class Runs:
    """Runs what it is given as soon as it is unpickled."""

    def __init__(self, call, *arguments):
        self.call = call, arguments

    def __reduce__(self):
        return self.call


def evil_pickles(target):
    from ultralytics.nn.modules.block import TorchVision
    from ultralytics.nn.tasks import DetectionModel

    hooked = torch.nn.Identity()
    hooked._forward_hooks = collections.OrderedDict({0: torch.nn.Identity()})
    return {
        "names posix.system": Runs(os.system, f"touch {target}"),
        "names __builtin__.eval": Runs(eval, f"open({str(target)!r}, 'w')"),
        "names _?io.open": Runs(open, str(target), "w"),
        "calls ultralytics.nn.tasks.DetectionModel": Runs(DetectionModel, "/etc/passwd"),
        "calls ultralytics.nn.modules.block.TorchVision": Runs(TorchVision, "resnet18"),
        "hangs hooks on torch.nn.modules.linear.Identity": hooked,
    }


@pytest.mark.parametrize("number", range(6))
def test_a_checkpoint_that_does_more_than_hold_layers_is_refused(number, tmp_path, monkeypatch):
    target = tmp_path / "pwned"
    message, evil = list(evil_pickles(target).items())[number]
    file = tmp_path / "best.pt"
    torch.save({"model": evil, "train_args": {}}, file)
    refused(file, monkeypatch, f"best.pt is not taken as a detector: its pickle {message}")
    assert not target.exists()


@pytest.mark.parametrize(
    "name",
    [
        "torch.hub load", "torch load", "torch.utils.cpp_extension load", "torch.storage _load_from_bytes",
        "numpy load", "numpy.testing runstring", "pathlib os", "datetime sys", "collections namedtuple",
        "torch._utils import_module",
        "torchx.nn Linear", "ultralyticsx a", "builtins eval", "codecs open", "torch.nn.parameter.x a.b",
    ],
)  # fmt: skip
def test_only_what_tensors_and_data_are_put_together_with_is_named(name):
    module, _, function = name.partition(" ")
    with pytest.raises(InputError, match=f"names {module}.{function}, which is no part of a detector"):
        checkpoint_pickle.check(f"c{module}\n{function}\n.".encode())


@pytest.mark.parametrize("name", ["torch.nn Linear", "torch.nn.modules.conv Conv2d", "torchvision x"])
def test_no_constructor_of_a_layer_is_called(name):
    module, _, layer = name.partition(" ")
    with pytest.raises(InputError, match=f"calls {module}.{layer}, which a checkpoint never does"):
        checkpoint_pickle.check(f"c{module}\n{layer}\n)R.".encode())


def test_a_key_of_tuples_in_tuples_costs_nothing():
    """Each level is the one before, twice: to hash them all would take 2 to the power of 200 steps."""
    twice = pickle.MEMOIZE + pickle.BINGET
    levels = b"".join(twice + bytes([number]) + pickle.TUPLE2 for number in range(200))
    checkpoint_pickle.check(pickle.EMPTY_DICT + pickle.NONE + levels + pickle.NONE + pickle.SETITEM + pickle.STOP)


@pytest.mark.parametrize("name", ["best.torchscript", "best.torchscript.pt", "best.pt", "best.PT"])
def test_torchscript_writes_nothing(name, tmp_path, monkeypatch):
    target = tmp_path / "pwned"

    class Writer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.path = str(target)

        def forward(self, x):
            return torch.from_file(self.path, True, 4) + x.sum()

    file = tmp_path / name
    torch.jit.script(Writer()).save(str(file))
    assert torch.jit.load(str(file))(torch.zeros(1)).shape == (4,)
    target.unlink()  # so it would have written
    refused(file, monkeypatch, "TorchScript")
    assert not target.exists()


def bytes_of_tar():
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"))
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", pickle.dumps({"model": 1}), "it should be PyTorch's ZIP archive"),
        ("a.pt", b"", "is empty"),
        ("a.pt", bytes_of_tar(), "is a tar archive"),
        ("a.pt", b"nc: 80\nbackbone: []\n", "is a text file"),
        ("a.yaml", b"nc: 80\n", "is a YAML file"),
        ("a.yml", b"nc: 80\n", "is a YAML file"),
        ("a.engine", b"\x10\0\0\0{}", "is a TensorRT engine"),
        ("a.pb", b"\x0a\x10", "is a TensorFlow graph"),
        ("a.mlmodel", b"\x08\x01", "is a Core ML model"),
        ("a.pkl", b"\x80\x04N.", "not taken"),
        ("a.mnn", b"\0\0", "not taken"),
        ("a.tflite", b"TFL3TFL3", None),
        ("a.tflite", b"\x1c\0\0\0TFLX", "it should be a flatbuffer TFL3"),
        ("a.tflite", b"PK\3\4", "a ZIP archive"),
        ("a.onnx", b"\x08\x01", "it is no ONNX model"),
        ("a.onnx", b"nc: 80\n", "it is no ONNX model"),
        ("a.onnx", b"", "it is no ONNX model"),
    ],
)
def test_what_is_no_detector_is_refused_unopened(name, content, message, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(content)
    if message:
        refused(tmp_path / name, monkeypatch, message)
    else:  # looks like one, and ultralytics finds that it is none
        with pytest.raises(InputError, match=r"a\.tflite cannot be used"):
            Detector(tmp_path / name, config=CONFIG)


def zipped(file, entries, **options):
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file


GOOD = pickle.dumps({}, protocol=2)


@pytest.mark.parametrize(
    ("entries", "options", "message"),
    [
        ([("a/data.pkl", bytes(2**20))], {"compression": zipfile.ZIP_DEFLATED}, "compressed"),
        ([("a/data.pkl", GOOD), ("b/data.pkl", GOOD)], {}, "not as PyTorch writes"),
        ([("a/data.pkl", GOOD), ("a/code/x.py", b"")], {}, "TorchScript"),
        ([("a/data.pkl", GOOD), ("a/.data/extern_modules", b"")], {}, "torch.package"),
        ([("model.json", b"{}")], {}, "not as PyTorch writes"),
        ([("a/data.pkl", b"\x80\x02r\xff\xff\xff\xff")], {}, "its pickle is broken"),
        ([("a/data.pkl", b"")], {}, "its pickle is broken"),
        ([("a/data.pkl", b"\x80\x02\x82\x01.")], {}, "extension codes"),
    ],
)
def test_archives_that_pytorch_does_not_write_are_refused(entries, options, message, tmp_path, monkeypatch):
    refused(zipped(tmp_path / "a.pt", entries, **options), monkeypatch, message)


def test_real_checkpoints_pass_the_dry_run_and_a_memo_bomb_costs_nothing():
    with zipfile.ZipFile(DETECTOR) as archive:
        checkpoint_pickle.check(archive.read("archive/data.pkl"))
    checkpoint_pickle.check(b"\x80\x02}r\xff\xff\xff\x7f.")


def in_training(yolo):
    """What ultralytics writes between the epochs: settings as it holds them, the optimizer's tensors, its history."""
    from ultralytics.cfg import get_cfg

    yolo.model.args = get_cfg(overrides={"imgsz": 64, "project": "x"})
    optimizer = torch.optim.AdamW(yolo.model.parameters())
    for weights in yolo.model.parameters():
        weights.grad = torch.ones_like(weights)
    optimizer.step()
    history = {"epoch": [1], "time": [0.5], "metrics/mAP50(B)": [np.float64(0.5)]}
    held = {"epoch": 1, "best_fitness": np.float64(0.5), "model": None, "ema": copy.deepcopy(yolo.model).half(),
            "updates": 2, "optimizer": optimizer.state_dict(), "scaler": torch.amp.GradScaler("cpu").state_dict(),
            "train_args": vars(yolo.model.args), "train_metrics": history, "train_results": history,
            "git": {"root": "/x", "branch": None}, "version": "8.3.0", "date": "2026-01-01T00:00:00"}  # fmt: skip
    yolo.save = lambda file: torch.save(held, file)


SAVED = {
    "as it is": lambda yolo: None,
    "half": lambda yolo: yolo.model.half(),
    "fused": lambda yolo: yolo.fuse(),
    "used": lambda yolo: yolo.predict(np.zeros((64, 64, 3), np.uint8), imgsz=64, verbose=False),
    "in training": in_training,
}


@pytest.mark.parametrize("model", ["yolov8n.yaml", "yolov5n.yaml", "yolo11n.yaml"])
@pytest.mark.parametrize("prepare", SAVED.values(), ids=SAVED)
def test_what_ultralytics_saves_is_taken(model, prepare, tmp_path):
    yolo = import_ultralytics()(model)
    prepare(yolo)
    yolo.save(str(tmp_path / "m.pt"))
    (tmp_path / "taken").mkdir()

    taken = files.take(tmp_path / "m.pt", tmp_path / "taken")

    import_ultralytics()(str(taken)).predict(np.zeros((64, 64, 3), np.uint8), imgsz=64, verbose=False)


def test_settings_of_a_training_are_made_empty():
    with pytest.raises(InputError, match=r"its pickle calls ultralytics\.utils\.IterableSimpleNamespace"):
        checkpoint_pickle.check(b"cultralytics.utils\nIterableSimpleNamespace\n(S'x'\ntR.")


def test_tflite_metadata_must_be_small(tmp_path, monkeypatch):
    file = tmp_path / "a.tflite"
    file.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    with zipfile.ZipFile(file, "a", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"names": "x" * 2**20}))
    refused(file, monkeypatch, "its metadata has more than")


def spoil_folder(folder, *, xml=None, metadata=None, extra=None, link=None):
    [model] = folder.glob("*.xml")
    if xml:
        model.write_bytes(xml(model.read_bytes()))
    if metadata:
        (folder / "metadata.yaml").write_bytes(metadata)
    if extra:
        (folder / extra).write_bytes(b"x")
    if link:
        model.unlink()
        model.symlink_to(link)


def entities(xml, used, content="'&h;&h;&h;&h;'"):
    """Entities in entities, used in a name."""
    declared = f"<!DOCTYPE net [<!ENTITY g {content}><!ENTITY h 'x'><!ENTITY i '&g;&g;&g;&g;'>]>".encode()
    return xml.replace(b"<net ", declared + b"<net ", 1).replace(b'name="Model0"', f'name="{used}"'.encode())


def weights_at(xml, offset):
    return xml.replace(b'offset="4000"', b'offset="%b"' % offset)


def sigmoid(xml, kind, operators):
    return xml.replace(b'type="Sigmoid" version="opset1"', b'type="%b" version="%b"' % (kind, operators))


BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]\n"


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ({"xml": lambda xml: b'<!DOCTYPE net [<!ENTITY a "b">]>' + xml}, "document type or entities"),
        ({"xml": lambda xml: entities(xml, "&i;")}, "document type or entities"),
        ({"xml": lambda xml: entities(xml, "&g;", "SYSTEM 'file:///etc/passwd'")}, "document type or entities"),
        ({"xml": lambda xml: xml.replace(b"<net ", b"<!-- <net> --><!DOCTYPE net><net ", 1)}, "document type"),
        ({"xml": lambda xml: xml.replace(b'name="x.1"', b'name="<!--"')}, "is broken"),
        ({"xml": lambda xml: xml.replace(b"<net ", b"<?xml-stylesheet href='/etc/passwd'?><net ", 1)}, "instructions"),
        ({"xml": lambda xml: xml.replace(b"<rt_info>", b"<rt_info>" + b"<a>" * 99 + b"</a>" * 99)}, "nested too deep"),
        ({"xml": lambda xml: xml.replace(b"<rt_info>", b"<rt_info><a>")}, "is broken"),
        ({"xml": lambda xml: xml + xml.partition(b"?>")[2]}, "is broken"),
        ({"xml": lambda xml: weights_at(xml, b"999999999")}, "weights outside of its .bin"),
        ({"xml": lambda xml: weights_at(xml, b"-4")}, "weights outside of its .bin"),
        ({"xml": lambda xml: weights_at(xml, b"18446744073709550752")}, "weights outside of its .bin"),
        ({"xml": lambda xml: weights_at(xml, b"0x10")}, "weights outside of its .bin"),
        ({"xml": lambda xml: weights_at(xml, b"\xd9\xa1")}, "weights outside of its .bin"),
        ({"xml": lambda xml: sigmoid(xml, b"Sigmoid", b"extension")}, "operators of 'extension'"),
        ({"xml": lambda xml: sigmoid(xml, b"Sigmoid", b"")}, "operators of ''"),
        ({"xml": lambda xml: sigmoid(xml, b"ReadValue", b"opset6")}, "the operator ReadValue"),
        ({"xml": lambda xml: xml.decode().encode("utf-16")}, "no text in UTF-8"),
        ({"xml": lambda xml: b"<model></model>"}, "no OpenVINO model"),
        ({"metadata": BOMB}, "anchors or tags"),
        ({"metadata": b"names: !!python/object/apply:os.system [touch x]\n"}, "anchors or tags"),
        ({"metadata": b"names: " + b"[" * 100 + b"]" * 100}, "nested too deep"),
        ({"xml": lambda xml: xml.replace(b"<rt_info>", b"<rt_info><![CDATA[x]]>")}, "has a CDATA section"),
        ({"metadata": b"names: [\n"}, "metadata.yaml is broken"),
        ({"metadata": b"date: 2020-13-45\n"}, "metadata.yaml is broken: a value is not"),
        ({"metadata": b"stride: " + b"9" * 5000}, "metadata.yaml is broken: a value is not"),
        ({"metadata": b"%YAML 1." + b"9" * 5000 + b"\n--- {}\n"}, "metadata.yaml is broken: a value is not"),
        ({"metadata": b'names: "\\UFFFFFFFF"\n'}, "metadata.yaml is broken"),
        ({"metadata": b"? [a]\n: b\n"}, "metadata.yaml is broken"),
        ({"extra": "other.xml"}, "without exactly one OpenVINO model"),
        ({"extra": "saved_model.pb"}, "a TensorFlow SavedModel"),
        ({"extra": "Manifest.json"}, "a Core ML package"),
    ],
)
def test_folders_with_more_than_a_model_are_refused(made, spoiled, message, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(made["folder"], tmp_path / "m_openvino_model"))
    spoil_folder(folder, **spoiled)
    refused(folder, monkeypatch, message)


@pytest.mark.parametrize("said", ['offset="0.5"', 'size="5"', 'offset="0.5" size="999999999999"'])
@pytest.mark.parametrize("kind", ["PriorBox", "LRN"])
def test_a_setting_that_is_called_as_a_place_is_none(made, tmp_path, kind, said):
    folder = Path(shutil.copytree(made["folder"], tmp_path / "m"))
    [xml], [weights] = folder.glob("*.xml"), folder.glob("*.bin")
    layer = f'<layer id="9" name="p" type="{kind}" version="opset1"><data {said}/>'
    const = '<layer id="8" name="c" type="Const" version="opset1"><data offset="0" size="999999999"/></layer>'
    before = xml.read_text()
    xml.write_text(before.replace("<layers>", f"<layers>{layer}</layer>", 1))
    openvino_file.check(xml, weights)
    for inside in (f"{layer}<body>{const}</body></layer>", f"{const}{layer}</layer>", f"{layer}</layer>{const}"):
        xml.write_text(before.replace("<layers>", f"<layers>{inside}", 1))
        with pytest.raises(InputError, match="weights outside"):
            openvino_file.check(xml, weights)


def test_links_may_lead_about_in_the_folder_and_not_out_of_it(made, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(made["folder"], tmp_path / "m"))
    [model] = folder.glob("*.xml")
    model.rename(folder / "kept")
    model.symlink_to("kept")
    assert Detector(folder, config=CONFIG)
    model.unlink()
    model.symlink_to(shutil.copy(folder / "kept", tmp_path / "outside.xml"))
    with pytest.raises(InputError, match="a link that leads out of the folder"):
        Detector(folder, config=CONFIG)


def test_a_folder_that_is_none_of_ours_and_a_pipe_are_refused(tmp_path, monkeypatch):
    (tmp_path / "x_ncnn_model").mkdir()
    refused(tmp_path / "x_ncnn_model", monkeypatch, "a folder without exactly one OpenVINO model")
    os.mkfifo(tmp_path / "a.pt")
    refused(tmp_path / "a.pt", monkeypatch, "neither a file nor a folder")


def test_an_onnx_file_keeps_its_weights_and_uses_the_operators_of_onnx(made, tmp_path, monkeypatch):
    whole = made[".onnx"].read_bytes()
    assert onnx_file.read_metadata(made[".onnx"])["names"] == "{0: 'car', 1: 'truck'}"
    outside = message(8, b"w") + message(13, message(1, b"location") + message(2, b"/etc/passwd")) + b"\x70\x01"
    in_node = message(1, message(5, message(5, outside)))
    spoiled = {
        "in other files": message(7, message(5, outside)),
        "in other files;": message(7, in_node),
        "operators of 'evil'": message(7, message(1, message(7, b"evil"))),
        "functions or training steps": message(25, b""),
        "nested too deep": message(7, nested(12)),
        "graph is broken": message(7, message(5 | 1 << 29, outside)),
        "no ONNX model": message(7 | 1 << 29, b""),
    }
    for number, (why, more) in enumerate(spoiled.items()):
        file = tmp_path / f"{number}.onnx"
        file.write_bytes(whole + more)
        refused(file, monkeypatch, why)


def nested(depth):
    return message(1, message(5, message(6, nested(depth - 1)))) if depth else b""


@pytest.mark.parametrize("name", ["yolo11n.pt", "https://x.example/a.pt", "ul://a/b", "grpc://x/y", "yolov8n"])
def test_nothing_is_looked_up_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ultralytics_runtime, "import_ultralytics", lambda: pytest.fail("it was opened"))
    with pytest.raises(InputError, match="There are no detector weights"):
        Detector(Path(name), config=CONFIG)


def test_the_safe_mode_is_on_whatever_the_environment_says():
    code = """
import os
os.environ["ULTRALYTICS_SAFE_LOAD"] = "false"
import ultralytics
from carpipe.pictures.detection.ultralytics_runtime import import_ultralytics
import_ultralytics()
from ultralytics.nn import tasks
assert tasks.SAFE_LOAD and tasks._SafeLoad.restricted()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_of_two_archives_in_one_file_the_one_that_was_looked_at_is_opened(tmp_path):
    """The end names the place of a list of parts; where there is a gap, PyTorch and Python find different ones."""
    evil, good = archive_of("evil"), archive_of("good")
    *_, size, place = struct.unpack("<4s4H2L", good[-22:-2])
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, size, evil.index(b"PK\1\2"), 0)
    two = tmp_path / "two.pt"
    two.write_bytes(evil[: evil.index(b"PK\1\2") + size] + good[:place] + good[place : place + size] + end)
    assert archived(two) == "good"
    assert torch.load(two, weights_only=True) == "evil"
    (tmp_path / "into").mkdir()

    taken = files.take(two, tmp_path / "into")

    assert torch.load(taken, weights_only=True) == archived(taken) == "good"
    assert b"evil" not in taken.read_bytes()


def archive_of(text):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(text, protocol=2))
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
    return data.getvalue()


def archived(file):
    with zipfile.ZipFile(file) as archive:
        return pickle.loads(archive.read("archive/data.pkl"))
