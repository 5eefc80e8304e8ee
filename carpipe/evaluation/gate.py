"""The gate: may a new model replace the live one? Three outcomes: publish, ask a person, refuse.

Both models answer the same test photos, and the vehicle is what is drawn at random (see `gate_statistics`).

- **Better is to be proven.** Training anew gives another model every night, and of two equally good ones the newer
  looks better on every second night. So the difference in photo accuracy must pass two tests at `gate.confidence`:
  the lower bootstrap bound is above 0, and Fisher's sign-flip test rejects that both are equally good. The bootstrap
  says how much better, but flatters where few vehicles changed (five better and none worse put its bound above 0,
  and that happens to equal models in 3 % of nights); the sign-flip test is exact at any size. An equal model is
  published in at most 1 % of nights by default. What is not proven better is refused: the live model is known,
  apps have been built against its answers, and a refusal costs a night.
- **No class is ruined.** A mean hides a class that broke: 1 of 512 moves it by a fifth of a point. A class is ruined
  when its recall fell by more than `gate.class_margin` and McNemar's exact test by vehicle, corrected over the
  classes, says that it is no accident; or when it fell by more than `gate.class_collapse` and the same test says so
  uncorrected. Better on the whole and ruined in part is a trade, and trades are a person's: ask. Seven vehicles that
  all got worse are the fewest that prove a collapse (2^-7 < 0.01), so classes below `gate.min_class_vehicles` are
  judged together, as if they were one. That finds what hits many of them, and not what hits one: the decision says
  how many photos stay unseen so, and `numbers["falls"]` names the classes that fell furthest, small ones too.
- **Too few vehicles to judge by** (`gate.min_vehicles`): ask where the new model looks better, else refuse.
- **Nothing is live yet**: publish, unless the accuracy is below `gate.min_accuracy`. Nobody relies on anything yet, and
  whoever starts with few photos should get started.

The same test photos judge every night. So of many candidates one that suits these photos by luck passes sooner or
later, and its lead is then a little flattered. A dataset that grows brings new test vehicles and mends that.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from carpipe.config import GateConfig
from carpipe.errors import InputError
from carpipe.evaluation.decision import Decision
from carpipe.evaluation.gate_statistics import bootstrap_interval, count_vehicles, judge_classes, sign_flip_p
from carpipe.html_page import in_points, per_cent
from carpipe.names import counted

COLUMNS = ("key", "vehicle", "class_name", "correct")
FALLS = 10  # classes named in the numbers, those that fell furthest
NAMED = 5  # ruined classes named in a sentence


@dataclass(frozen=True)
class _Compared:
    """Two models on the same photos; accuracies are shares of photos, `classes` the rows of `judge_classes`.

    `chance` is the probability of a difference as large, in its direction, if both were equally good.
    """

    candidate: float
    champion: float
    low: float
    high: float
    chance: float
    accident: float
    classes: list[dict[str, Any]]

    @property
    def better(self) -> bool:
        """Both tests say that the candidate is better."""
        return self.low > 0 and self.chance <= self.accident

    @property
    def worse(self) -> bool:
        """Both tests say that it is worse."""
        return self.high < 0 and self.chance <= self.accident

    @property
    def alone(self) -> list[dict[str, Any]]:
        """Classes that were judged one by one."""
        return [row for row in self.classes if row["alone"]]

    @property
    def small(self) -> list[dict[str, Any]]:
        """Classes that were judged together."""
        return [row for row in self.classes if not row["alone"] and row["class_name"] is not None]

    @property
    def pool(self) -> dict[str, Any] | None:
        """Those, as if they were one."""
        return next((row for row in self.classes if row["class_name"] is None), None)

    @property
    def ruined(self) -> list[dict[str, Any]]:
        """Classes that are ruined, the worst first; not the pool."""
        return sorted((row for row in self.alone if row["ruined"]), key=lambda row: (-row["fall"], row["class_name"]))

    @property
    def difference(self) -> float:
        return self.candidate - self.champion


def compare(candidate: pd.DataFrame, champion: pd.DataFrame | None, *, rules: GateConfig) -> Decision:
    """Decide about a candidate. Equal tables and rules give an equal decision, in whatever order the rows are.

    Args:
        candidate: a row per test photo: `key`, `vehicle`, `class_name` (the truth), `correct` (bool).
        champion: the same photos under the live model; None: nothing is live yet.
        rules: the section `gate` of the configuration.

    Raises:
        InputError: a table is empty, lacks a column or holds a photo twice, or the two are not of the same photos.
    """
    _check(candidate, "candidate")
    accuracy, vehicles = float(candidate["correct"].mean()), int(candidate["vehicle"].nunique())
    counts = {"photos": len(candidate), "vehicles": vehicles, "candidate": accuracy}
    few = vehicles < rules.min_vehicles
    if champion is None:
        return _first(counts, rules, few=few)
    found = _judge(pair_answers(candidate, champion), rules)
    reasons = (*_against_rules(found, rules, counts), *_sentences(found, counts, rules))
    numbers = {**counts, **_numbers(found, rules)}
    if accuracy < rules.min_accuracy:
        return Decision("refuse", reasons, numbers)
    if few:
        return Decision("ask" if found.difference > 0 else "refuse", reasons, numbers)
    if not found.better:
        return Decision("refuse", reasons, numbers)
    return Decision("ask" if any(row["ruined"] for row in found.classes) else "publish", reasons, numbers)


def _first(counts: dict[str, Any], rules: GateConfig, *, few: bool) -> Decision:
    accuracy = counts["candidate"]
    of = f"{per_cent(accuracy, 2)} of {_of_vehicles(counts)} are answered rightly."
    if accuracy < rules.min_accuracy:
        below = f"Below the least accuracy allowed, {per_cent(rules.min_accuracy, 2)}."
        return Decision("refuse", (below, of), counts)
    note = (_too_few(counts, rules),) if few else ()
    return Decision("publish", ("Nothing was live before.", of, *note), counts)


def _judge(pairs: pd.DataFrame, rules: GateConfig) -> _Compared:
    vehicles = count_vehicles(pairs)
    low, high = bootstrap_interval(vehicles, confidence=rules.confidence, resamples=rules.resamples, seed=rules.seed)
    return _Compared(
        candidate=float(pairs["candidate"].mean()),
        champion=float(pairs["champion"].mean()),
        low=low,
        high=high,
        chance=sign_flip_p(vehicles.gain if vehicles.gain.sum() >= 0 else -vehicles.gain),
        accident=1 - rules.confidence,
        classes=_records(judge_classes(pairs, rules=rules)),
    )


def _against_rules(found: _Compared, rules: GateConfig, counts: dict[str, Any]) -> list[str]:
    """What decides before any comparison, or for a person."""
    sentences = []
    if found.candidate < rules.min_accuracy:
        sentences.append(
            f"{per_cent(found.candidate, 2)} of the test photos right is below the least allowed, "
            f"{per_cent(rules.min_accuracy, 2)}."
        )
    if counts["vehicles"] < rules.min_vehicles:
        sentences.append(_too_few(counts, rules))
    return sentences


def _too_few(counts: dict[str, Any], rules: GateConfig) -> str:
    vehicles, are = counted(counts["vehicles"], "test vehicle"), "is" if counts["vehicles"] == 1 else "are"
    return (
        f"{vehicles} {are} too few to judge by, gate.min_vehicles asks for {rules.min_vehicles:,}: look at the report "
        "and decide."
    )


def _of_vehicles(counts: dict[str, Any]) -> str:
    return f"{counted(counts['photos'], 'test photo')} of {counted(counts['vehicles'], 'vehicle')}"


def _sentences(found: _Compared, counts: dict[str, Any], rules: GateConfig) -> list[str]:
    verdict = "Better" if found.better else "Worse" if found.worse else "Not proven better"
    unsure = (found.low > 0 or found.high < 0) and not (found.better or found.worse)
    doubt = (
        f"So few vehicles changed that two equally good models differ as much with a probability of "
        f"{per_cent(found.chance)}; {per_cent(found.accident)} are allowed."
    )
    overall = (
        f"{verdict} than the live model: {per_cent(found.candidate, 2)} against "
        f"{per_cent(found.champion, 2)} of {_of_vehicles(counts)}, a difference of {in_points(found.difference)} "
        f"points ({in_points(found.low)} at least and {in_points(found.high)} at most, each "
        f"{100 * rules.confidence:.4g} % sure)."
    )
    pool_ruined = found.pool is not None and found.pool["ruined"]
    return [
        overall,
        *([doubt] if unsure else []),
        *([_name(found.ruined)] if found.ruined else []),
        *([f"The small classes together are ruined: {_fall(found.pool or {})}."] if pool_ruined else []),
        f"{'No other class' if found.ruined or pool_ruined else 'No class'} is ruined. {_scope(found, counts, rules)}",
    ]


def _scope(found: _Compared, counts: dict[str, Any], rules: GateConfig) -> str:
    """How the classes were judged."""
    alone, small = counted(len(found.alone), "class", "classes"), counted(len(found.small), "class", "classes")
    one_by_one = f"{alone} {'was' if len(found.alone) == 1 else 'were'} judged one by one."
    if not found.pool:
        return one_by_one
    share = per_cent(found.pool["photos"] / counts["photos"])
    together = (
        f"{small} with fewer than {rules.min_class_vehicles} test vehicles ({share} of the photos) "
        f"{'was' if len(found.small) == 1 else 'were'} judged together, as if they were one."
    )
    return f"{one_by_one} {together}" if found.alone else together


def _name(ruined: list[dict[str, Any]]) -> str:
    shown = "; ".join(f"{row['class_name']}, {_fall(row)}" for row in ruined[:NAMED])
    more = f"; and {len(ruined) - NAMED} more" if len(ruined) > NAMED else ""
    return f"{len(ruined)} {'class is' if len(ruined) == 1 else 'classes are'} ruined: {shown}{more}."


def _fall(row: dict[str, Any]) -> str:
    return (
        f"recall {per_cent(row['champion'])} to {per_cent(row['candidate'])}, {row['worse']} of {row['vehicles']} "
        f"vehicles worse and {row['better']} better"
    )


def _numbers(found: _Compared, rules: GateConfig) -> dict[str, Any]:
    fallen = [row for row in (*found.alone, *found.small) if row["fall"] > 0]
    return {
        "champion": found.champion,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "confidence": rules.confidence,
        "better": found.better,
        "worse": found.worse,
        "chance": found.chance,
        "classes_alone": len(found.alone),
        "classes_pooled": len(found.small),
        "photos_pooled": found.pool["photos"] if found.pool else 0,
        "ruined": found.ruined,
        "pool": found.pool,
        "falls": sorted(fallen, key=lambda row: (-row["fall"], row["class_name"]))[:FALLS],
    }


def _records(classes: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain Python values, which JSON knows."""
    columns = [classes[name].tolist() for name in classes]
    return [dict(zip(map(str, classes), row, strict=True)) for row in zip(*columns, strict=True)]


def pair_answers(candidate: pd.DataFrame, champion: pd.DataFrame) -> pd.DataFrame:
    """A row per photo of the candidate: `vehicle`, `class_name`, whether `candidate` and `champion` were right.

    Raises:
        InputError: the tables are not of the same photos, or one is none, as `compare` says.
    """
    _check(champion, "live model")
    if len(candidate) == len(champion):
        theirs = champion
        if not _equal(candidate, theirs):
            theirs = champion.set_index("key").reindex(candidate["key"]).reset_index()
        if theirs is champion or _equal(candidate, theirs):
            return candidate[["vehicle", "class_name"]].assign(
                candidate=candidate["correct"].to_numpy(bool), champion=theirs["correct"].to_numpy(bool)
            )
    raise InputError(
        f"The candidate was judged on {len(candidate)} photos and the live model on {len(champion)} or other ones, "
        f"vehicles or classes; run both on the same test split."
    )


def _equal(ours: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """Whether the rows are of the same photos, vehicles and classes, in the same order."""
    facts = COLUMNS[:3]
    return all(np.array_equal(ours[name].to_numpy(object), theirs[name].to_numpy(object)) for name in facts)


def _check(table: pd.DataFrame, whose: str) -> None:
    if missing := [name for name in COLUMNS if name not in table]:
        raise InputError(f"The gate needs the columns {', '.join(COLUMNS)}; the table of the {whose} lacks {missing}.")
    if table.empty:
        raise InputError(f"The {whose} was judged on no photo; the dataset needs more vehicles.")
    if not table["key"].is_unique:
        raise InputError(f"The table of the {whose} holds a photo twice; it must have one row per test photo.")
