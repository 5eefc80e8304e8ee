"""Files of backbones are looked at before Keras opens them: code and bombs never get that far."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from carpipe.errors import InputError
from carpipe.training import keras_file
from tests.training.backbones import small


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "mine.keras"
    small().save(path)
    return path


def rewritten(path, target, **changed):
    """The archive with other members; None leaves one out."""
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    members |= {name.replace("__", "."): data for name, data in changed.items()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)
    return target


def with_layer(path, target, **layer):
    """The archive with its last layer replaced."""
    with zipfile.ZipFile(path) as source:
        config = json.loads(source.read("config.json"))
    config["config"]["layers"][-1] |= layer
    return rewritten(path, target, config__json=json.dumps(config))


def test_what_keras_saves_passes(sound):
    keras_file.check(sound)


@pytest.mark.parametrize("name", ["ConvNeXtTiny", "EfficientNetV2B0", "MobileNetV3Small"])
def test_the_backbones_of_keras_pass(name, tmp_path):
    """ConvNeXt has layers of its own, and MobileNetV3 operations that are no layers."""
    network = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(64, 64, 3))
    network.save(tmp_path / "saved.keras")

    keras_file.check(tmp_path / "saved.keras")


def test_what_it_was_compiled_with_is_not_read(sound, tmp_path):
    with zipfile.ZipFile(sound) as source:
        config = json.loads(source.read("config.json"))
    config["compile_config"] = {"loss": {"module": "mine", "class_name": "Loss", "registered_name": "mine>Loss"}}

    keras_file.check(rewritten(sound, tmp_path / "a.keras", config__json=json.dumps(config)))


LAMBDA = {"class_name": "Lambda", "module": "keras.layers", "config": {"function": "4wAAAA"}}
CODE = {
    "a Lambda": LAMBDA,
    "a function": {"config": {"activation": {"class_name": "function", "module": "os", "config": "system"}}},
    "a Lambda in a list": {"config": {"layers": [[LAMBDA]]}},
    "what loads a saved model": {"class_name": "TFSMLayer", "module": "keras.layers"},
    "what reads a file of words": {"class_name": "StringLookup", "module": "keras.layers"},
    "a lambda as a value": {"config": {"activation": {"class_name": "__lambda__", "config": {"value": "4wAAAA"}}}},
}
STRANGE = {
    "a class of somebody": {"class_name": "Mine", "module": "mine", "registered_name": "mine>Mine"},
    "a class without a module": {"class_name": "Mine", "module": None},
    "a registered class": {"class_name": "Dense", "module": "keras.src.layers.core", "registered_name": "mine>Dense"},
    "what fetches files": {"class_name": "get_file", "module": "keras.utils"},
    "what loads models": {"class_name": "load_model", "module": "keras.src.saving.saving_api"},
    "what changes Keras": {"class_name": "enable_unsafe_deserialization", "module": "keras.config"},
    "another public name": {"class_name": "Variable", "module": "keras"},
    "another package": {"class_name": "Popen", "module": "subprocess"},
    "a prefix": {"class_name": "Dense", "module": "keras.layersx"},
}


@pytest.mark.parametrize("kind", CODE)
def test_code_is_refused_unopened(kind, sound, tmp_path):
    with pytest.raises(
        InputError, match=r"a\.keras holds .*: code, or a layer that opens files, and neither is loaded"
    ):
        keras_file.check(with_layer(sound, tmp_path / "a.keras", **CODE[kind]))


@pytest.mark.parametrize("kind", STRANGE)
def test_classes_of_others_are_refused_unopened(kind, sound, tmp_path):
    with pytest.raises(InputError, match=r"a\.keras holds .*no class of Keras for layers"):
        keras_file.check(with_layer(sound, tmp_path / "a.keras", **STRANGE[kind]))


def test_what_is_no_archive_is_said(tmp_path):
    for number, data in enumerate((b"", b"oops", b"\x89HDF\r\n\x1a\n" + bytes(100))):
        (tmp_path / f"{number}.keras").write_bytes(data)
        with pytest.raises(InputError, match=rf"{number}\.keras is no \.keras file.*Make one with `model\.save"):
            keras_file.check(tmp_path / f"{number}.keras")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"metadata__json": None}, r"it holds config\.json, model\.weights\.h5, expected metadata\.json"),
        ({"assets/vocabulary__txt": b"x"}, r"it holds assets/vocabulary\.txt, config\.json"),
        ({"model__weights__h5": b"x"}, "is no .keras file"),
        ({"config__json": b"[" * 100_000}, "is nested more than 50 deep|is no .*"),
        ({"config__json": b"[]"}, "is no Keras model"),
    ],
    ids=["less", "more", "no weights", "deep", "a list"],
)
def test_odd_archives_are_refused(changed, message, sound, tmp_path):
    with pytest.raises(InputError, match=message):
        keras_file.check(rewritten(sound, tmp_path / "a.keras", **changed))


def test_two_members_of_one_name_are_refused(sound, tmp_path):
    path = rewritten(sound, tmp_path / "a.keras")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", "{}")

    with pytest.raises(InputError, match=r"it holds config\.json, config\.json"):
        keras_file.check(path)


def test_a_zip_bomb_is_not_unpacked(sound, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_file, "MAX_UNPACKED_BYTES", 2**22)
    path = rewritten(sound, tmp_path / "a.keras", model__weights__h5=bytes(2**23))
    assert path.stat().st_size < 2**15

    with pytest.raises(InputError, match=r"it unpacks to 8,\d+,\d+ bytes, expected at most 4,194,304"):
        keras_file.check(path)


def test_weights_that_say_they_are_huge_are_not_read(sound, tmp_path):
    sink = io.BytesIO()
    with h5py.File(sink, "w") as file:
        file.create_dataset("layers/dense/vars/0", (2**14, 2**15), np.float32, chunks=(2**10, 2**10), compression=9)
    path = rewritten(sound, tmp_path / "a.keras", model__weights__h5=sink.getvalue())
    assert path.stat().st_size < 2**15

    with pytest.raises(InputError, match=r"holds 2,147,483,648 bytes of weights, expected at most 1,073,741,824"):
        keras_file.check(path)
