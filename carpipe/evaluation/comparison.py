"""What changed from one model to another: figures, classes that fell and rose, class names, settings.

Both models answer the same test photos. The numbers are those of the gate; what is random is the vehicle. `now` is the
model that the comparison is about, `before` the other one, which was live when the gate asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from carpipe.called import moment
from carpipe.config import ClassifierConfig, GateConfig
from carpipe.evaluation.gate import compare, pair_answers
from carpipe.evaluation.gate_statistics import count_vehicles, judge_classes
from carpipe.evaluation.metrics import compare_figures

SHOWN = 10  # classes that fell, and classes that rose, with pictures
PER_CLASS = 4  # pictures of each


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        key: of its manifest.
        classes: names in the order of its output.
        metrics: figures of its own evaluation.
        settings: of its training; None: the training is gone.
        facts: what else its training was of, such as the dataset; empty where it is gone.
        made: when it was packaged, UTC; None where nobody knows.
    """

    key: str
    classes: tuple[str, ...]
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    made: datetime | None = None

    @property
    def title(self) -> str:
        """What people call it, beside its short id."""
        return moment(self.made) if self.made else "unknown date"

    @property
    def name(self) -> str:
        """Its id."""
        return self.key.split("/")[-2] if "/" in self.key else self.key


@dataclass(frozen=True)
class Comparison:
    """Two models, held against each other. Recalls and accuracies are shares from 0 to 1.

    Attributes:
        numbers: what the gate computes of the same photos; and `better_vehicles`, `worse_vehicles`.
        figures: on the same photos, rows of `compare_figures`.
        own: of each model's own evaluation, the same rows; without changes where the test photos were others.
        same_test: whether those were on the same photos.
        fell, rose: a row per class whose recall changed, first those that chance does not explain, the largest change
            first: `class_name`, `note`, `photos`, `vehicles`, `before` and `now` (recall), `change`, `better` and
            `worse` (vehicles), `p` (of a change as large or larger by chance, this class by itself), `chance` (that
            explains it) and `ruined` (by the gate).
        names: `new`, `gone`, `renamed` and `merged` classes.
        settings: rows of `name`, `before`, `now` that differ; None: those of a model are not known. Where one training
            was warm and the other cold, without those that only one of them uses: `facts` say how each started.
        facts: likewise, of what is no setting.
        changed: photos that one model had right and the other wrong: `key`, `vehicle`, `class_name`, `now` and
            `before` (answers), `fell` (bool).
    """

    now: Side
    before: Side
    numbers: Mapping[str, Any]
    figures: list[dict[str, Any]]
    own: list[dict[str, Any]]
    same_test: bool
    fell: list[dict[str, Any]]
    rose: list[dict[str, Any]]
    names: Mapping[str, Any]
    settings: list[dict[str, Any]] | None
    facts: list[dict[str, Any]]
    changed: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """For programs: all but the photos."""
        return {
            "now": self.now.key, "before": self.before.key, "numbers": self.numbers, "figures": self.figures,
            "own_figures": self.own, "same_test_photos": self.same_test, "fell": self.fell, "rose": self.rose,
            "classes": self.names, "settings": self.settings, "facts": self.facts,
        }  # fmt: skip


def compare_sides(
    now: tuple[Side, pd.DataFrame],
    before: tuple[Side, pd.DataFrame],
    *,
    parts: Mapping[str, Sequence[str]],
    same_test: bool,
    rules: GateConfig,
) -> Comparison:
    """Hold two models against each other.

    Args:
        now: the model and its answers on the test photos: `key`, `vehicle`, `class_name` (the truth), `answer`,
            `correct`.
        before: the other one and its answers on the same photos, with a column `today` beside: the answer by the names
            of `now`. `correct` is by that.
        parts: by class of now, the classes of before that it is made of.
        same_test: whether the figures of their own evaluations are of the same photos.
        rules: the section `gate` of the configuration.

    Raises:
        InputError: the tables are not of the same photos, as `gate.compare` says.
    """
    (side, ours), (other, theirs) = now, before
    pairs = pair_answers(ours, theirs)
    theirs = theirs.set_index("key").loc[ours["key"]].reset_index()
    numbers = _numbers(pairs, compare(ours, theirs, rules=rules).numbers)
    names = compare_names(side.classes, other.classes, parts)
    fell, rose = _changed_classes(pairs, names, rules=rules)
    known = side.settings is not None and other.settings is not None
    own = compare_figures(side.metrics, other.metrics)
    return Comparison(
        now=side,
        before=other,
        numbers=numbers,
        figures=_figures(numbers, ours, theirs["today"], classes=side.classes),
        own=own if same_test else [{**row, "change": None, "verdict": ""} for row in own],
        same_test=same_test,
        fell=fell,
        rose=rose,
        names=names,
        settings=_settings(side.settings or {}, other.settings or {}) if known else None,
        facts=differences(side.facts, other.facts) if known else [],
        changed=_changed_photos(ours, theirs),
    )


def compare_names(now: Sequence[str], before: Sequence[str], parts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Classes that are `new` or `gone` (names), `renamed` (old name by new one) or `merged` (old names by new one)."""
    known = {name for found in parts.values() for name in found}
    one = {name: found[0] for name, found in parts.items() if len(found) == 1}
    return {
        "new": [name for name in now if not parts.get(name)],
        "gone": [name for name in before if name not in known],
        "renamed": {name: old for name, old in one.items() if name != old},
        "merged": {name: list(found) for name, found in parts.items() if len(found) > 1},
    }


def differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per name whose value differs: `name`, `before`, `now`; None where it has none."""
    names = sorted(now.keys() | before.keys())
    rows = [{"name": name, "before": before.get(name), "now": now.get(name)} for name in names]
    return [row for row in rows if row["before"] != row["now"]]


def _settings(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[dict[str, Any]]:
    of_one_start = {*ClassifierConfig.COLD, *ClassifierConfig.WARM}
    rows = differences(now, before)
    return [row for row in rows if row["name"] not in of_one_start or {row["name"]} <= now.keys() & before.keys()]


def choose_photos(comparison: Comparison) -> list[tuple[dict[str, Any], list[dict[Any, Any]]]]:
    """The classes to show with their photos: those that fell most, then those that rose most.

    Of a vehicle the first photo comes before the second of any other.
    """
    chosen: list[tuple[dict[str, Any], list[dict[Any, Any]]]] = []
    for rows, fell in ((comparison.fell, True), (comparison.rose, False)):
        photos = comparison.changed[comparison.changed["fell"] == fell].sort_values("key")
        photos = photos.assign(turn=photos.groupby(["class_name", "vehicle"]).cumcount())
        groups = dict(iter(photos.sort_values("turn", kind="stable").groupby("class_name")))
        chosen += [(row, groups[row["class_name"]].head(PER_CLASS).to_dict("records")) for row in rows[:SHOWN]]
    return chosen


def _numbers(pairs: pd.DataFrame, known: Mapping[str, Any]) -> dict[str, Any]:
    gain = count_vehicles(pairs).gain
    return {**known, "better_vehicles": int((gain > 0).sum()), "worse_vehicles": int((gain < 0).sum())}


def _figures(
    numbers: Mapping[str, Any], ours: pd.DataFrame, today: "pd.Series[str]", *, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Of both models on the same photos."""
    now, before = (_macro_f1(ours, answers, classes) for answers in (ours["answer"], today))
    return compare_figures(
        {"test_accuracy": numbers["candidate"], "test_macro_f1": now},
        {"test_accuracy": numbers["champion"], "test_macro_f1": before},
    )


def _macro_f1(truth: pd.DataFrame, answers: "pd.Series[str]", classes: Sequence[str]) -> float:
    """Over all classes of now; an answer that is none of them is wrong. As in `metrics.figures`."""
    index = pd.Index(classes)
    codes = [index.get_indexer(pd.Index(column)) for column in (truth["class_name"], answers)]
    return float(f1_score(*codes, labels=range(len(index)), average="macro", zero_division=0))


def _changed_classes(
    pairs: pd.DataFrame, names: Mapping[str, Any], *, rules: GateConfig
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Classes that fell, and classes that rose."""
    fell = judge_classes(pairs, rules=rules)
    # The test is of a fall. That of a rise is the same, with the models changed about.
    rose = judge_classes(pairs.rename(columns={"candidate": "champion", "champion": "candidate"}), rules=rules)
    classes = fell.assign(p=np.where(fell["fall"] > 0, fell["p"], rose["p"]))
    classes = classes[classes["class_name"].notna() & (classes["fall"] != 0)]
    rows = [_class_row(row, names, accident=1 - rules.confidence) for row in classes.to_dict("records")]
    # Of many small classes some fall from 1 to 0 by one vehicle: they must not hide those that really fell.
    rows.sort(key=lambda row: (row["chance"] and not row["ruined"], -abs(row["change"]), row["class_name"]))
    return [row for row in rows if row["change"] < 0], [row for row in rows if row["change"] > 0]


def _class_row(row: Mapping[Any, Any], names: Mapping[str, Any], *, accident: float) -> dict[str, Any]:
    name = row["class_name"]
    note = "new" if name in names["new"] else ""
    if name in names["renamed"]:
        note = f"was {names['renamed'][name]}"
    if name in names["merged"]:
        note = f"was {' and '.join(names['merged'][name])}"
    return {
        "class_name": name, "note": note, "photos": int(row["photos"]), "vehicles": int(row["vehicles"]),
        "before": float(row["champion"]), "now": float(row["candidate"]), "change": -float(row["fall"]),
        "better": int(row["better"]), "worse": int(row["worse"]), "p": float(row["p"]),
        "chance": bool(row["p"] > accident), "ruined": bool(row["ruined"]),
    }  # fmt: skip


def _changed_photos(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    right, was_right = ours["correct"].to_numpy(bool), theirs["correct"].to_numpy(bool)
    answers = {"now": ours["answer"].to_numpy(), "before": theirs["answer"].to_numpy()}
    table: pd.DataFrame = ours[["key", "vehicle", "class_name"]].assign(**answers, fell=was_right & ~right)
    moved: pd.DataFrame = table[right != was_right]
    return moved.reset_index(drop=True)
