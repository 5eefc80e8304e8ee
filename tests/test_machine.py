"""What the machine lacks is never said of the bytes that were looked at: shown without a handle for any file."""

import contextlib
import errno
import os
import resource
from pathlib import Path

import pytest

from carpipe.config import CropConfig
from carpipe.errors import InputError, UnavailableError
from carpipe.machine import looking_at
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.detection.openvino_runtime import read_model
from carpipe.sample import DETECTOR
from carpipe.weights import plain_files
from carpipe.weights.runtime import Network
from tests.tiny import SIDE, Tiny


@contextlib.contextmanager
def no_handles():
    """No file can be opened while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def wrapped(error):
    outer = ValueError("what a library makes of it")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENOSPC, "No space left on device"),
        PermissionError(errno.EACCES, "Permission denied"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("can't start new thread"),
        RuntimeError("model.xml: Resource temporarily unavailable"),
        ImportError("libx.so: failed to map segment from shared object"),
        ImportError("libGL.so.1: cannot open shared object file"),
        wrapped(MemoryError()),
        wrapped(wrapped(OSError(errno.EIO, "Input/output error"))),
    ],
    ids=repr,
)
def test_what_the_machine_lacks_is_no_verdict(error):
    said = "The file x could not be looked at on this machine: "
    with pytest.raises(UnavailableError, match=said), looking_at("The file x"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("broken"),
        OSError("cannot identify image file"),
        OSError(errno.EINVAL, "Invalid argument"),
        FileNotFoundError(errno.ENOENT, "No such file"),
        ModuleNotFoundError("No module named 'models'"),
        RuntimeError("shapes do not fit"),
        InputError("it is none"),
    ],
    ids=repr,
)
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, looking_at("The file x", Path("nowhere")):
        raise error
    assert caught.value is error


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Sound ones of each kind: a published network, a backbone, a detector."""
    import keras

    from tests.training.backbones import small

    folder = tmp_path_factory.mktemp("sound")
    for name, data in Tiny().files().items():
        if "/" not in name:
            (folder / name).write_bytes(data)
    small().save(folder / "mine.keras")
    keras.backend.clear_session()
    (folder / "detector.pt").write_bytes(DETECTOR.read_bytes())
    return folder


def load_backbone(folder):
    from carpipe.training.backbone import load_backbone

    return load_backbone(folder / "mine.keras", side=SIDE)


def load_network(folder):
    from carpipe.training.predict import load_network

    return load_network(folder / "mine.keras")


READERS = {
    "network": lambda folder: Network(folder / "model.xml"),
    "detector": lambda folder: Detector(folder / "detector.pt", config=CropConfig(image_size=320)),
    "converted": lambda folder: read_model(folder / "model.xml"),
    "backbone": load_backbone,
    "keras": load_network,
    "plain file": lambda folder: plain_files.read(folder / "labels.json", max_bytes=10**6),
    "held against": lambda folder: plain_files.holds(folder / "labels.json", sha256="0" * 64, max_bytes=10**6),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_files_are_not_called_broken_where_none_can_be_opened(files, read):
    read(files)
    with no_handles(), pytest.raises((UnavailableError, OSError), match="Too many open files"):
        read(files)
