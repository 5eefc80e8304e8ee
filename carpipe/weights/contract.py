"""What a published model's folder holds, read and checked: the contract between publisher and consumers.

`models/<channel>/<id>/manifest.json` lists the files with their sha256. The files that a consumer reads:

| file | holds |
| --- | --- |
| `model.xml`, `model.bin` | OpenVINO, float32: `picture` uint8 (n, side, side, 3) RGB in, softmax (n, classes) out |
| `labels.json` | class names in the order of the output, each once |
| `preprocessing.json` | `side`: pixels of the square that a picture is stretched to, as the golden ones are |
| `calibration.json` | `temperature`, by which log-probabilities are divided; `threshold`: scores from it on are sure |
| `crop.json` | how the photos it learnt from were cut: settings, limits, the detector's file and sha256 |
| `golden.npz` | `pictures` and the `probabilities` (uncalibrated) that they must give |
| `known.json` | not always there: how known cars are told from others, see `carpipe.familiarity.Rule`, and how well |
| `years.json` | not always there: how years are told, see `carpipe.years`, and how well |
| `members.json` | not always there: the car models that each class holds, with their photos: class -> model -> photos |
| `views.json` | of some car filters: `views` that it tells, those `recommended` of a listing, and how well it does |

Where `known.json` is there, the network has one more output, `likeness` (n, 1), and the golden pictures have a
`likeness` (n,) too. The same holds of `years.json` and `year`. Where `views.json` is there, it has an output `views`,
softmax (n, views) and calibrated, and the golden pictures have `views` (n, views). These outputs are found by name.

A later carpipe may add files, and keys to the files: neither matters to this one. Should the meaning of something
change, it raises `contract` in the manifest's `extra`, and consumers that do not know it refuse the model.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from carpipe import forms
from carpipe.config import MAX_SIDE, CropConfig
from carpipe.errors import InputError
from carpipe.familiarity import Rule
from carpipe.manifest import Manifest
from carpipe.names import brief
from carpipe.viewpoints import Told
from carpipe.weights.members import Members
from carpipe.years import ClassYears, YearRule

CONTRACT = 1
NETWORK = ("model.xml", "model.bin")
LABELS = "labels.json"
PREPROCESSING = "preprocessing.json"
CALIBRATION = "calibration.json"
CROP = "crop.json"
KNOWN = "known.json"
YEARS = "years.json"
VIEWS = "views.json"
MEMBERS = "members.json"
GOLDEN = "golden.npz"
# What a consumer cannot do without. It reads crop.json, known.json, years.json, views.json, members.json and the
# detector where they are there.
REQUIRED = (*NETWORK, LABELS, PREPROCESSING, CALIBRATION, GOLDEN)

# The classes of a car filter.
CAR, NOT_CAR = "auto", "no_auto"

# Scores are of 32 bits: rounding takes a probability this far above 1, and a score may be the threshold.
_SURE = 1 + 1e-6
# Bounds of what known.json says: numbers of standard deviations, far beyond any that can be meant.
_FAR = 1e6
# Bounds of what years.json says: four digits, and offsets of a few times as much.
_YEARS, _FAR_YEARS = (1000, 9999), 1e5

Read = Callable[[str], bytes]
T = TypeVar("T")


@dataclass(frozen=True)
class CropPolicy:
    """How a photo becomes the crop that the model is fed.

    Attributes:
        config: settings of `carpipe.pictures.detection.cut.crop_photo` and of the detector.
        max_pixels, max_damage: limits of `carpipe.pictures.decode.decode`.
        detector: the detector's file in the model's folder, or the folder that holds its files.
        detector_sha256: equal for equal detectors.
    """

    config: CropConfig
    max_pixels: int
    max_damage: float
    detector: str
    detector_sha256: str


@dataclass(frozen=True)
class Description:
    """What the small files say."""

    classes: tuple[str, ...]
    side: int
    temperature: float
    threshold: float
    crop: CropPolicy | None
    known: Rule | None
    years: YearRule | None
    views: Told | None = None
    members: Members | None = None


def candidates_folder(channel: str) -> str:
    """Where consumers may leave photos that a label would help with, and what people said of answers."""
    return f"labels/{channel}/candidates"


def check_contract(manifest: Manifest) -> None:
    """Refuse what this version of carpipe cannot read right.

    Raises:
        InputError: the model follows a later contract, or files are missing from it.
    """
    contract = manifest.extra.get("contract", 1)
    if contract != CONTRACT:
        raise InputError(
            f"{manifest.key} follows version {contract} of the contract, this carpipe knows {CONTRACT}; "
            "install a newer carpipe."
        )
    missing = [name for name in REQUIRED if name not in manifest.files]
    if missing:
        raise InputError(
            f"{manifest.key} lacks {', '.join(missing)}: it was published by an older carpipe; publish it again."
        )


def needed(manifest: Manifest, *, detector: bool) -> list[str]:
    """Names of the files that a consumer needs, in the order of the manifest."""
    wanted = {*REQUIRED, CROP, KNOWN, YEARS, VIEWS, MEMBERS}
    return [name for name in manifest.files if name in wanted or (detector and name.startswith("detector/"))]


def describe(manifest: Manifest, read: Read) -> Description:
    """Read the small files of a model.

    Args:
        read: bytes of a file by its name, already verified.

    Raises:
        InputError: a file does not hold what the contract says.
    """
    classes = _parsed(manifest, LABELS, read, _classes)
    side = _parsed(manifest, PREPROCESSING, read, lambda value: _whole(value, "side", least=1, most=MAX_SIDE))
    temperature = read_temperature(manifest, read)
    threshold = _parsed(manifest, CALIBRATION, read, lambda value: _number(value, "threshold", least=0, most=_SURE))
    crop = _parsed(manifest, CROP, read, _crop) if CROP in manifest.files else None
    known = read_known(manifest, read)
    years = _parsed(manifest, YEARS, read, _years) if YEARS in manifest.files else None
    views = _parsed(manifest, VIEWS, read, _views) if VIEWS in manifest.files else None
    members = _parsed(manifest, MEMBERS, read, _members) if MEMBERS in manifest.files else None
    return Description(classes, side, temperature, threshold, crop, known, years, views, members)


def read_temperature(manifest: Manifest, read: Read) -> float:
    """The temperature of a model, above 0. Arguments and errors are those of `describe`."""
    return _parsed(manifest, CALIBRATION, read, lambda value: _number(value, "temperature", least=1e-3))


def read_known(manifest: Manifest, read: Read) -> Rule | None:
    """By which rule a model tells known cars, None where it has none. Arguments and errors are those of `describe`."""
    return _parsed(manifest, KNOWN, read, _known) if KNOWN in manifest.files else None


def _parsed(manifest: Manifest, name: str, read: Read, parse: Callable[[Any], T]) -> T:
    value = forms.parse(read(name), key=f"{name} of {manifest.key}", what="a file of a model", figures=(forms.ALL,))
    try:
        return parse(value)
    except (ValueError, TypeError, KeyError, ValidationError, OverflowError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else brief(str(error), max_characters=300)
        raise InputError(f"{name} of {manifest.key} is not what the contract says: {reason}.") from None


def _classes(value: Any, what: str = "class names") -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"expected a list of {what}")
    name, times = Counter(value).most_common(1)[0]
    if times > 1:
        raise ValueError(f"expected {what} that differ, it has '{brief(name)}' {times} times")
    return tuple(value)


def _whole(value: Any, name: str, *, least: int, most: int | None = None) -> int:
    found = value[name]
    if not isinstance(found, int):
        raise ValueError(f"{name}: expected a whole number, got {brief(repr(found))}")
    return int(_number(value, name, least=least, most=math.inf if most is None else most))


def _number(value: Any, name: str, *, least: float, most: float = math.inf) -> float:
    found = value[name]
    if not isinstance(found, int | float) or isinstance(found, bool):  # which counts as 0 or 1 elsewhere
        raise ValueError(f"{name}: expected a number, got {brief(repr(found))}")
    number = float(found)
    if not least <= number <= most:  # nan too is refused
        bounds = f"at least {least:g}" if most == math.inf else f"{least:g} to {most:g}"
        raise ValueError(f"{name}: expected {bounds}, got {found}")
    if number == math.inf:
        raise ValueError(f"{name}: expected a number with an end, got {number}")
    return number


def _members(value: Any) -> Members:
    if not isinstance(value, dict) or not all(isinstance(models, dict) for models in value.values()):
        raise ValueError("expected class -> model -> photos")
    return {name: {one: _whole(models, one, least=0) for one in models} for name, models in value.items()}


def _known(value: Any) -> Rule:
    return Rule(
        stand_out=_number(value, "stand_out", least=0, most=_FAR),
        likeness=_number(value, "likeness", least=0, most=_FAR),
        offset=_number(value, "offset", least=-_FAR, most=_FAR),
        threshold=_number(value, "threshold", least=-_FAR, most=_FAR),
        alike=_number(value, "alike", least=0, most=1),
    )


def _years(value: Any) -> YearRule:
    classes = value["classes"]
    if not isinstance(classes, dict):
        raise ValueError(f"classes: expected an object, got {brief(repr(classes))}")
    return YearRule({name: _class_years(one) for name, one in classes.items()})


def _class_years(value: Any) -> ClassYears:
    first = _whole(value, "first", least=_YEARS[0], most=_YEARS[1])
    return ClassYears(
        offset=_number(value, "offset", least=-_FAR_YEARS, most=_FAR_YEARS),
        within=_number(value, "within", least=0, most=_FAR_YEARS),
        first=first,
        last=_whole(value, "last", least=first, most=_YEARS[1]),
    )


def _views(value: Any) -> Told:
    names, wanted = _classes(value["views"], "views"), value["recommended"]
    if not isinstance(wanted, list) or any(name not in names for name in wanted) or len({*wanted}) < len(wanted):
        raise ValueError("recommended: expected views that it tells, each once")
    return Told(names, tuple(wanted))


def _crop(value: Any) -> CropPolicy:
    known = {
        name: value[name] for name in CropConfig.model_fields if name in value and name not in ("weights", "batch")
    }
    return CropPolicy(
        config=CropConfig.model_validate(known),
        max_pixels=_whole(value, "max_pixels", least=1),
        max_damage=_number(value, "max_damage", least=0, most=1),
        detector=_below_detector(value["detector"]),
        detector_sha256=str(value["detector_sha256"]),
    )


def _below_detector(name: Any) -> str:
    if not isinstance(name, str) or not name.startswith("detector/") or ".." in name.split("/"):
        raise ValueError(f"expected a file below detector/, got {brief(repr(name))}")
    return name
