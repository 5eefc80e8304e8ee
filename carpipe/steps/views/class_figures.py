"""Classes one by one: their photos, how well the live model knows them, what it takes them for, what people changed."""

import contextlib
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps.cache import ResultCache
from carpipe.steps.models.evaluate import TOP_ANSWERS
from carpipe.steps.views.judged import judged_photos
from carpipe.steps.views.one_photo import Picture, pictures
from carpipe.steps.views.review import examples
from carpipe.taxonomy.words import WORDS
from carpipe.weights.channel import read_channel

if TYPE_CHECKING:
    from carpipe.photo_index import PhotoIndex

REPORT = "report_test.csv"
SUMMARIES = 3  # last rows of the report, which are no classes
CONFUSED = 6  # classes that a class is taken for
EXAMPLES = 8  # pictures of a confusion
Sort = Literal["photos", "recall", "name"]


@dataclass(frozen=True)
class Known:
    """How well a model knows a class, on test photos. Shares from 0 to 1; `photos` of the test split."""

    precision: float
    recall: float
    f1: float
    photos: int


@dataclass(frozen=True)
class ClassLine:
    """A class in a line.

    Attributes:
        models: that it is made of.
        known: null where the live model does not know it, or was not tested on it.
        taken_for: the wrong class that it is taken for most often; empty: none.
        corrected: listings that people have put into it.
    """

    name: str
    photos: int
    vehicles: int
    models: Sequence[str]
    known: Known | None
    taken_for: str
    corrected: int


@dataclass(frozen=True)
class Confusion:
    """Test photos of a class that the model takes for another one."""

    other: str
    photos: int
    share: float
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class ClassView:
    """A class in full.

    `splits` are photos by split; `examples` some of its cars. `judged` are the test photos of the live model, as an
    address of the page Photos has them; empty where it cannot show them.
    """

    line: ClassLine
    splits: Mapping[str, int]
    confusions: Sequence[Confusion]
    examples: Sequence[Picture]
    judged: str


@dataclass(frozen=True)
class Answers:
    """What the live model answered on test photos: figures by class; keys of wrong ones by class, then by answer.

    `judged` as in `ClassView`.
    """

    known: Mapping[str, Known]
    wrong: Mapping[str, Mapping[str, Sequence[str]]]
    judged: str = ""


def list_classes(cache: ResultCache, index: "PhotoIndex", *, sort: Sort = "photos") -> list[ClassLine]:
    """All classes of a dataset.

    Args:
        sort: by photos, the most first; by recall, the least first, unknown ones last; by name.
    """
    rows = index.select(
        "SELECT class_name AS name, count(*) AS photos, count(DISTINCT vehicle) AS vehicles, "
        "list(DISTINCT model) AS models, count(DISTINCT listing_uuid) FILTER (WHERE corrected IS NOT NULL "
        "AND NOT list_contains(?, corrected)) AS corrected FROM photos WHERE dropped IS NULL GROUP BY class_name",
        [[*WORDS]],
    )
    answers = live_answers(cache)
    lines = [_line(row, answers) for row in rows]
    orders = {
        "photos": lambda line: (-line.photos, line.name),
        "recall": lambda line: (line.known is None, line.known.recall if line.known else 0, line.name),
        "name": lambda line: line.name,
    }
    return sorted(lines, key=orders[sort])


def show_class(cache: ResultCache, index: "PhotoIndex", name: str) -> ClassView:
    """A class of a dataset in full. Raises InputError where the dataset has no such class."""
    line = next((one for one in list_classes(cache, index) if one.name == name), None)
    if line is None:
        raise InputError(f"The dataset has no class {name!r}; the page Classes lists those that there are.")
    counts = index.select(
        "SELECT split, count(*) AS photos FROM photos WHERE dropped IS NULL AND class_name = ? GROUP BY split", [name]
    )
    answers = live_answers(cache)
    return ClassView(
        line,
        {one["split"]: one["photos"] for one in counts},
        _confusions(index, answers, name),
        examples(index, name, apart_from=""),
        answers.judged,
    )


def live_answers(cache: ResultCache) -> Answers:
    """Of the live classifier; empty where there is none, or it does not say."""
    try:
        release = read_channel(cache.session.store, cache.session.config.classifier.channel)
        if release is None:
            return Answers({}, {})
        done = cache.manifest(release.model)
        found: Answers = cache.get(("answers", done.key), partial(_answers, cache, done))
    except (InputError, MissingError):  # gone, or of another version: the page Weights says so
        return Answers({}, {})
    return found


def _answers(cache: ResultCache, model: Manifest) -> Answers:
    store_ = cache.session.store
    known = _known(manifest.read_file(store_, model, REPORT).decode()) if REPORT in model.files else {}
    wrong: dict[str, dict[str, list[str]]] = {}
    with contextlib.suppress(InputError, MissingError):  # `carpipe gc` has deleted it
        evaluated = cache.manifest(model.inputs[0])
        wrong = _wrong(manifest.read_file(store_, evaluated, TOP_ANSWERS["test"]))
    return Answers(known, wrong, judged_photos(cache, model))


def _known(report: str) -> dict[str, Known]:
    rows = [*csv.reader(io.StringIO(report))][1:]
    try:
        return {
            name: Known(float(precision), float(recall), float(f1), round(float(support)))
            for name, precision, recall, f1, support in rows[:-SUMMARIES]
        }
    except ValueError:
        raise InputError("The report by class is none that carpipe has written.") from None


def _wrong(data: bytes) -> dict[str, dict[str, list[str]]]:
    from carpipe.evaluation.top_answers import from_parquet

    top = from_parquet(data)
    wrong: dict[str, dict[str, list[str]]] = {}
    for key, truth, answer in zip(top.photos["key"], top.photos["class_name"], top.answer, strict=True):
        if truth != answer:
            wrong.setdefault(truth, {}).setdefault(answer, []).append(key)
    return wrong


def _line(row: Mapping[str, Any], answers: Answers) -> ClassLine:
    name = row["name"]
    known = answers.known.get(name)
    others = {answer: len(keys) for answer, keys in answers.wrong.get(name, {}).items()}
    return ClassLine(
        name,
        row["photos"],
        row["vehicles"],
        sorted(row["models"]),
        known if known and known.photos else None,
        max(others, key=lambda other: (others[other], other), default=""),
        row["corrected"],
    )


def _confusions(index: "PhotoIndex", answers: Answers, name: str) -> list[Confusion]:
    mine = answers.wrong.get(name, {}).items()
    known = answers.known.get(name)
    return [
        Confusion(
            other,
            len(keys),
            len(keys) / known.photos if known and known.photos else 0.0,
            pictures(index, "key IN (SELECT unnest(?))", [list(keys[:EXAMPLES])]),
        )
        for other, keys in sorted(mine, key=lambda one: (-len(one[1]), one[0]))[:CONFUSED]
    ]
