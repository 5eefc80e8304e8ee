"""Advice on the classes: which should be one, which could be several, with what each brings and what it costs.

A person decides. Figures are of cars that the model was not trained on, as it answered them; a model that is trained on
the new classes may do better or worse.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from carpipe.evaluation.confusion import CONFIDENCE, Link, count_cars, find_links, group, lower_bound
from carpipe.evaluation.tell_apart import Told
from carpipe.evaluation.unseen import Unseen
from carpipe.names import counted


@dataclass(frozen=True)
class Merge:
    """Classes that should be one.

    Attributes:
        name: of the class to be, the one of them with the most photos in the dataset.
        classes: all of them.
        models: by class, its models in the dataset.
        links: each two of them.
        mended: unseen photos and cars that were taken for another of them, and would be right.
        given_up: unseen photos and cars that have their own of these names now, and would no longer have it.
        worth: of the cars of both, the share that would be mended, at least: what the advice is ranked by.
        accuracy: what it adds to the share of unseen photos that are right, and of cars.
        touched: photos and listings of the dataset whose class gets another name.
    """

    name: str
    classes: tuple[str, ...]
    models: Mapping[str, tuple[str, ...]]
    links: tuple[Link, ...]
    mended: tuple[int, int]
    given_up: tuple[int, int]
    worth: float
    accuracy: tuple[float, float]
    touched: tuple[int, int]

    @property
    def gone(self) -> tuple[str, ...]:
        """Labels that apps no longer get."""
        return tuple(name for name in self.classes if name != self.name)


@dataclass(frozen=True)
class Split:
    """A class that could be several.

    Attributes:
        class_name: the class.
        parts: by name of a class to be, its models; the first keeps the name that is there.
        photos: of the dataset, by name.
        listings: likewise.
        told: how surely the parts are told apart.
        finer: unseen photos and cars that would get a name that says more.
        accuracy: what it takes from the share of unseen photos that are right, where the new model errs as this one
            would.
    """

    class_name: str
    parts: Mapping[str, tuple[str, ...]]
    photos: Mapping[str, int]
    listings: Mapping[str, int]
    told: Told
    finer: tuple[int, int]
    accuracy: float

    @property
    def touched(self) -> tuple[int, int]:
        """Photos and listings of the dataset whose class gets another name."""
        new = [name for name in self.parts if name != self.class_name]
        return sum(self.photos[name] for name in new), sum(self.listings[name] for name in new)


@dataclass(frozen=True)
class Advice:
    """All of it, best first.

    Attributes:
        photos, cars: unseen ones that it is drawn from.
        merges: ranked by `worth`: the share of their cars that would be mended, at least.
        splits: ranked by the share of their cars that are told apart, at least.
        looked_at: `pairs` of classes with cars, `classes` whose models were asked for, `small` classes of several
            models with too few cars to prove anything.
    """

    photos: int
    cars: int
    merges: tuple[Merge, ...]
    splits: tuple[Split, ...]
    looked_at: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For programs: counts and names of classes and models; no photo and no listing. `said` is what people read."""
        body = asdict(self)
        for one, merge in zip(body["merges"], self.merges, strict=True):
            one["said"] = [*_told_merge(merge)]
        for one, split in zip(body["splits"], self.splits, strict=True):
            one["said"] = [*_told_split(split)]
        return {**body, "confidence": CONFIDENCE}


def advise_merges(unseen: Unseen, dataset: pd.DataFrame) -> tuple[Merge, ...]:
    """The classes that should be one, best first: most cars mended for the cars of them that there are.

    All of a dataset's classes never become one.

    Args:
        dataset: a row per model: `model`, `class_name`, `photos`, `listings`.
    """
    links = find_links(count_cars(unseen.cars, unseen.classes), unseen.classes)
    groups = [names for names in group(links) if len(names) < len(unseen.classes)]
    merges = [_merge(names, links, unseen, dataset) for names in groups]
    return tuple(sorted(merges, key=lambda merge: (-merge.worth, merge.name)))


def _merge(names: tuple[str, ...], links: Sequence[Link], unseen: Unseen, dataset: pd.DataFrame) -> Merge:
    mine = dataset[dataset["class_name"].isin(names)]
    sizes = mine.groupby("class_name")["photos"].sum()
    kept = min(names, key=lambda name: (-int(sizes.get(name, 0)), name))
    (wrong, right), (wrong_cars, right_cars) = (_in_group(rows, names) for rows in (unseen.photos, unseen.cars))
    cars = int(unseen.cars["class_name"].isin(names).sum())
    low = lower_bound(np.array([wrong_cars]), np.array([cars]), alpha=1 - CONFIDENCE)
    moved = mine[mine["class_name"] != kept]
    return Merge(
        name=kept,
        classes=names,
        models={name: tuple(sorted(mine.loc[mine["class_name"] == name, "model"])) for name in names},
        links=tuple(link for link in links if {link.first, link.second} <= set(names)),
        mended=(wrong, wrong_cars),
        given_up=(right, right_cars),
        worth=float(low[0]),
        accuracy=(wrong / len(unseen.photos), wrong_cars / len(unseen.cars)),
        touched=(int(moved["photos"].sum()), int(moved["listings"].sum())),
    )


def _in_group(rows: pd.DataFrame, names: Sequence[str]) -> tuple[int, int]:
    """Rows that were taken for another of these classes, and rows that got their own name of these."""
    own = rows["class_name"].isin(names)
    right = rows["class_name"] == rows["answer"]
    return int((own & rows["answer"].isin(names) & ~right).sum()), int((own & right).sum())


def advise_splits(told: Sequence[Told], unseen: Unseen, dataset: pd.DataFrame, *, min_photos: int) -> tuple[Split, ...]:
    """The classes that could be several, the ones that are told apart most surely first.

    Args:
        told: of `tell_apart`.
        dataset: as `advise_merges` has it.
        min_photos: of the dataset, in each class to be; a split that leaves one with fewer is not proposed.
    """
    splits = [_split(one, unseen, dataset) for one in told]
    enough = [split for split in splits if min(split.photos.values()) >= min_photos]
    return tuple(sorted(enough, key=lambda split: (-split.told.low, split.class_name)))


def _split(told: Told, unseen: Unseen, dataset: pd.DataFrame) -> Split:
    mine = dataset[dataset["class_name"] == told.class_name].set_index("model")
    photos = {part: int(mine["photos"].reindex(part, fill_value=0).sum()) for part in told.parts}
    # The part with the model that the class is named after keeps its name, or else the largest.
    kept = max(told.parts, key=lambda part: (told.class_name in part, photos[part], part))
    names = {_name(part, mine["photos"], told.class_name if part == kept else ""): part for part in told.parts}
    parts = dict(sorted(names.items(), key=lambda item: (item[0] != told.class_name, item[0])))
    of_class = unseen.photos["class_name"] == told.class_name
    return Split(
        class_name=told.class_name,
        parts=parts,
        photos={name: photos[part] for name, part in parts.items()},
        listings={name: int(mine["listings"].reindex(part, fill_value=0).sum()) for name, part in parts.items()},
        told=told,
        finer=(int(of_class.sum()) - told.wrong_photos, sum(told.right)),
        accuracy=told.wrong_photos / len(unseen.photos),
    )


def _name(part: tuple[str, ...], photos: "pd.Series[int]", kept: str) -> str:
    """What a part is called: as its largest model, unless it keeps the name that is there."""
    return kept or min(part, key=lambda model: (-int(photos.get(model, 0)), model))


def count_looked_at(unseen: Unseen, *, asked: Sequence[str], merged: Set[str]) -> dict[str, int]:
    """Of `Advice`: pairs of classes that have cars, classes that were asked for parts, and those with too few cars."""
    classes = unseen.cars["class_name"].nunique()
    models = unseen.photos.groupby("class_name")["model"].nunique()
    several = set(models.index[models > 1]) - merged
    return {"pairs": classes * (classes - 1) // 2, "classes": len(asked), "small": len(several - set(asked))}


def render(advice: Advice) -> str:
    """In plain sentences, with the lines that the taxonomy would get."""
    looked = advice.looked_at
    head = [
        f"From the answers on {counted(advice.photos, 'photo')} of {counted(advice.cars, 'car')} that the model was "
        f"not trained on; {counted(looked.get('pairs', 0), 'pair')} of classes and "
        f"{counted(looked.get('classes', 0), 'class', 'classes')} of several models looked at.",
        "Nothing is changed by itself.",
    ]
    if looked.get("small"):
        small = counted(looked["small"], "more class has", "more classes have")
        head.append(f"{small} several models, but too few cars of them to prove that they are told apart.")
    lines = [" ".join(head)]
    lines += ["", *(_merges(advice) if advice.merges else ["No two classes are confused enough to be merged."])]
    lines += ["", *(_splits(advice) if advice.splits else ["No class has models that are surely told apart."])]
    return "\n".join(lines)


def _merges(advice: Advice) -> Iterator[str]:
    yield "Merge: first what mends most for each car of these classes."
    for number, merge in enumerate(advice.merges, start=1):
        yield from ("", f"{number}. {' + '.join(merge.classes)} -> {merge.name}")
        yield from (f"   {text}" for text in _told_merge(merge))


def _told_merge(merge: Merge) -> Iterator[str]:
    for link in merge.links:
        for truth, answer, way in ((link.first, link.second, 0), (link.second, link.first, 1)):
            yield (
                f"{_of(link.taken[way], link.cars[way], 'car')} of {truth} {_is(link.taken[way])} taken for {answer}: "
                f"{_per_cent(link.bounds[way])} at least, chance explains {_per_cent(link.chance[way])}."
            )
    photos, cars = merge.mended
    yield (
        f"Gain: {counted(photos, 'photo')} and {counted(cars, 'car')} become right; accuracy "
        f"+{_per_cent(merge.accuracy[0])} by photo, +{_per_cent(merge.accuracy[1])} by car."
    )
    yield (
        f"Price: {counted(merge.given_up[0], 'photo')} and {counted(merge.given_up[1], 'car')} that have the right one "
        "of these names today no longer have it."
    )
    listed = "; ".join(f"{name}: {', '.join(merge.models[name])}" for name in merge.classes)
    yield f"No longer told apart: {listed}."
    yield (
        f"{counted(merge.touched[0], 'photo')} of {counted(merge.touched[1], 'listing')} in the dataset get another "
        f"class. Apps get {merge.name} where they get {' or '.join(merge.gone)} today."
    )
    models = sorted({model for names in merge.models.values() for model in names})
    yield f"Taxonomy: {merge.name}: [{', '.join(models)}]"


def _splits(advice: Advice) -> Iterator[str]:
    yield "Split: first what is told apart most surely."
    for number, split in enumerate(advice.splits, start=1):
        yield from ("", f"{number}. {split.class_name} -> {' + '.join(split.parts)}")
        yield from (f"   {text}" for text in _told_split(split))


def _told_split(split: Split) -> Iterator[str]:
    told = split.told
    of = dict(zip(told.parts, zip(told.right, told.cars, strict=True), strict=True))
    for name, part in split.parts.items():
        right, cars = of[part]
        yield f"{_of(right, cars, 'car')} of {name} {_is(right)} told rightly ({', '.join(part)})."
    yield f"Together {_per_cent(told.share)}, the parts counting alike; {_per_cent(told.low)} at least."
    yield f"Gain: {counted(split.finer[0], 'photo')} and {counted(split.finer[1], 'car')} get a name that says more."
    yield f"Price: {counted(told.wrong_photos, 'photo')} become wrong; accuracy -{_per_cent(split.accuracy)} by photo."
    photos = ", ".join(f"{name} {number:,}" for name, number in split.photos.items())
    new = " or ".join(name for name in split.parts if name != split.class_name)
    yield (
        f"Photos in the dataset: {photos}. {counted(split.touched[0], 'photo')} of "
        f"{counted(split.touched[1], 'listing')} get another class. Apps get {new} for some of what is "
        f"{split.class_name} today."
    )
    yield "Taxonomy: " + "; ".join(f"{name}: [{', '.join(part)}]" for name, part in split.parts.items())


def _of(number: int, of: int, noun: str) -> str:
    return f"{number:,} of {counted(of, noun)}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _per_cent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.1f} %"
