"""Which files are detectors, told by their content before a library parses a byte of them.

Taken are what cannot run code of its own: checkpoints of ultralytics (.pt, for its safe mode), .tflite, .onnx, and
OpenVINO folders. A library goes by names, so what is taken is copied under a name of ours: a file is never opened as
another kind than the one it was looked at as, and never changes in between.
"""

import os
import shutil
import stat
import zipfile
from pathlib import Path
from typing import NoReturn

from carpipe.errors import InputError
from carpipe.machine import looking_at
from carpipe.names import brief
from carpipe.pictures.detection import checkpoint_pickle, onnx_file, openvino_file

TAKEN = "a .pt checkpoint of ultralytics, a .tflite or .onnx file, or an OpenVINO folder (.xml and .bin)"
MAX_DETECTOR_BYTES = 2**30  # of all files; the largest YOLO checkpoints have 0.3 GB
_MAX_TEXT_BYTES = 2**18  # bytes of metadata: names of classes and few figures
_MAX_DEPTH = 16  # of lists in lists in it
_MAX_PICKLE_BYTES, _MAX_XML_BYTES = 2**26, 2**24  # the largest .xml of YOLO models have 1 MB: weights are in the .bin
_OTHER_FOLDERS = {
    "saved_model.pb": "a TensorFlow SavedModel",
    "Manifest.json": "a Core ML package",
    "model.ncnn.param": "an NCNN model",
    "model.pdmodel": "a Paddle model",
    "model.json": "a Paddle model",
}
_OTHER_SUFFIXES = {
    ".torchscript": "TorchScript",
    ".pb": "a TensorFlow graph",
    ".engine": "a TensorRT engine",
    ".mlmodel": "a Core ML model",
    ".mlpackage": "a Core ML package",
    ".yaml": "a YAML file",
    ".yml": "a YAML file",
}


def take(weights: Path, into: Path) -> Path:
    """A copy of a detector under a name that says what it is: `detector.pt`, `.tflite`, `.onnx`, `_openvino_model/`.

    Args:
        weights: what somebody gives as a detector; where it comes from does not count.
        into: an empty folder that nobody else can write to.

    Raises:
        InputError: it is none of these by its content, or not what its name says.
    """
    mode = weights.stat().st_mode
    if stat.S_ISDIR(mode):
        return _take_folder(weights, into / "detector_openvino_model")
    if not stat.S_ISREG(mode):
        _refuse(weights, "neither a file nor a folder")
    suffix = weights.suffix.lower()
    copy = into / f"detector{suffix if suffix in _CHECKS else ''}"
    _copy(weights, copy, max_bytes=MAX_DETECTOR_BYTES)
    if suffix not in _CHECKS:
        _refuse(weights, _OTHER_SUFFIXES.get(suffix) or _looks_like(copy))
    try:
        _CHECKS[suffix](copy)
    except InputError as error:
        raise InputError(f"{weights.name} is not taken as a detector: {error}. Taken is {TAKEN}.") from error
    return copy


def _refuse(weights: Path, what: str) -> NoReturn:
    raise InputError(f"{weights.name} is {what}, which is not taken as a detector. Taken is {TAKEN}.")


def _copy(source: Path, target: Path, *, max_bytes: int) -> None:
    size = source.stat().st_size
    if size > max_bytes:
        raise InputError(f"{source.name} has {size:,} bytes; of a detector's file at most {max_bytes:,} are taken.")
    with source.open("rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, 2**20)


def _check_checkpoint(file: Path) -> None:
    """PyTorch's ZIP with one pickle, whose calls are all known to be harmless, and without code; written anew."""
    entries = _zip_entries(file)
    names = [entry.filename for entry in entries]
    roots = {name.partition("/")[0] for name in names}
    inside = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        raise InputError("it is a TorchScript archive, which runs code of its own")
    if ".data/extern_modules" in inside or ".data/python_version" in inside:
        raise InputError("it is a torch.package, which runs code of its own")
    if len(roots) != 1 or "data.pkl" not in inside:
        raise InputError("it is a ZIP archive, but not as PyTorch writes a checkpoint")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
        raise InputError("its parts are compressed or encrypted, which PyTorch's never are")
    if len(set(names)) != len(names) or sum(entry.file_size for entry in entries) > file.stat().st_size:
        raise InputError("its parts lie over each other")
    [root] = roots
    with zipfile.ZipFile(file) as archive:
        if archive.getinfo(f"{root}/data.pkl").file_size > _MAX_PICKLE_BYTES:
            raise InputError(f"its pickle is larger than {_MAX_PICKLE_BYTES:,} bytes")
        checkpoint_pickle.check(archive.read(f"{root}/data.pkl"))
    _write_anew(file)


def _write_anew(file: Path) -> None:
    """Put the parts that were looked at into an archive of ours.

    A file may hold two archives, and its readers differ in which of them they take: Python's looks for the list of
    parts right before the end, PyTorch's where the end says it is.
    """
    ours = file.with_name(f"{file.name}.ours")
    with zipfile.ZipFile(file) as read, zipfile.ZipFile(ours, "x") as written:
        for entry in read.infolist():
            with read.open(entry) as part, written.open(zipfile.ZipInfo(entry.filename), "w") as kept:
                shutil.copyfileobj(part, kept, 2**20)
    ours.replace(file)


def _zip_entries(file: Path) -> list[zipfile.ZipInfo]:
    with file.open("rb") as opened:
        begins = opened.read(4)
    if begins != b"PK\3\4":
        raise InputError(f"it should be PyTorch's ZIP archive, but is {_looks_like(file)}")
    try:
        with looking_at(file.name, file), zipfile.ZipFile(file) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise InputError(f"it is a broken ZIP archive ({error})") from error


def _check_tflite(file: Path) -> None:
    """A flatbuffer of TensorFlow Lite; ultralytics' metadata is a small ZIP behind it."""
    with file.open("rb") as opened:
        if opened.read(8)[4:] != b"TFL3":
            raise InputError(f"it should be a flatbuffer TFL3, but is {_looks_like(file)}")
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = [entry.file_size for entry in archive.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputError(f"its metadata is a broken ZIP archive ({error})") from error
    if sum(sizes) > _MAX_TEXT_BYTES:
        raise InputError(f"its metadata has more than {_MAX_TEXT_BYTES:,} bytes")


_CHECKS = {".pt": _check_checkpoint, ".tflite": _check_tflite, ".onnx": onnx_file.check}


def _take_folder(folder: Path, copy: Path) -> Path:
    """The one model of an OpenVINO folder, and its metadata; whatever else lies there is left."""
    names = sorted(os.listdir(folder))
    others = {suffix: what for suffix, what in _OTHER_SUFFIXES.items() if folder.name.lower().endswith(suffix)}
    for what in [*others.values(), *(what for name, what in _OTHER_FOLDERS.items() if name in names)]:
        _refuse(folder, what)
    models = [name for name in names if name.endswith(".xml")]
    if len(models) != 1 or models[0].replace(".xml", ".bin") not in names:
        _refuse(folder, f"a folder without exactly one OpenVINO model in it (files: {', '.join(names[:5]) or 'none'})")
    copy.mkdir(mode=0o700)
    limits = {
        models[0]: _MAX_XML_BYTES,
        models[0].replace(".xml", ".bin"): MAX_DETECTOR_BYTES,
        "metadata.yaml": _MAX_TEXT_BYTES,
    }
    for name, limit in limits.items():
        if name in names:
            source = (folder / name).resolve()
            if not source.is_relative_to(folder.resolve()) or not source.is_file():
                raise InputError(f"{folder.name}/{name} is no file, or a link that leads out of the folder.")
            # The names of the copies are ours, but for metadata.yaml, which ultralytics looks for.
            _copy(source, copy / (name if name == "metadata.yaml" else f"detector{Path(name).suffix}"), max_bytes=limit)
    try:
        openvino_file.check(copy / "detector.xml", copy / "detector.bin")
        if (copy / "metadata.yaml").exists():
            _check_metadata(_text(copy / "metadata.yaml"))
    except InputError as error:
        raise InputError(f"{folder.name} is not taken as a detector: {error}. Taken is {TAKEN}.") from error
    return copy


def _check_metadata(text: str) -> None:
    """Plain data only: anchors make a few bytes millions of names, and tags ask for objects."""
    import yaml

    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise InputError("its metadata.yaml has anchors or tags, which ultralytics' never has")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise InputError("its metadata.yaml is nested too deep")
        yaml.safe_load(text)  # as ultralytics does
    except yaml.YAMLError as error:
        raise InputError(f"its metadata.yaml is broken ({brief(str(error), max_characters=300)})") from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:  # PyYAML lets them through
        raise InputError("its metadata.yaml is broken: a value is not what its form says") from error


def _text(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"its {file.suffix} is no text in UTF-8") from error
    if "\0" in text:
        raise InputError(f"its {file.suffix} is no text")
    return text


def _looks_like(file: Path) -> str:
    """What a file is that is not taken, as far as its first bytes tell."""
    with file.open("rb") as opened:
        head = opened.read(512)
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model under another name"
    if head.startswith(b"PK\3\4"):
        return "a ZIP archive"
    if head.startswith(b"\x89HDF"):
        return "an HDF5 file"
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head.startswith((b"\x80", b"(", b"c")) and b"\n" in head:
        return "a bare pickle"
    if b"\0" not in head and head.strip():
        return "a text file"
    return "of no known kind" if head else "empty"
