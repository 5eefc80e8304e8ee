"""Answers drawn by hand: classes with planted twins, and classes of models that can, or cannot, be told apart."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from carpipe.evaluation.top_answers import keep_top

PHOTOS = 4  # of a car


def draw(
    cars: Mapping[str, int],
    *,
    twins: Sequence[Sequence[str]] = (),
    wavers: Mapping[str, str] | None = None,
    models: Mapping[str, Sequence[str]] | None = None,
    error: float = 0.08,
    seed: int = 0,
):
    """`TopAnswers` of so many cars by class, four photos each.

    Args:
        twins: groups of classes whose cars get the logits of any of the group, as the network has no way to know.
        wavers: by model, the class that its photos are a little like.
        models: of a class, where it is made of several; its cars are of them in turn.
        error: share of cars that look like another class, any of them.
    """
    rng = np.random.default_rng(seed)
    classes = sorted(cars)
    number = {name: place for place, name in enumerate(classes)}
    group = {name: list(names) for names in twins for name in names}
    rows, logits = [], []
    for name in classes:
        for car in range(cars[name]):
            model = (models or {}).get(name, [name])[car % len((models or {}).get(name, [name]))]
            seen = rng.choice(classes) if rng.random() < error else name
            like = np.zeros(len(classes))
            like[[number[one] for one in group.get(seen, [seen])]] = 6
            if like_too := (wavers or {}).get(model):
                like[number[like_too]] += 3
            of_car = rng.normal(0, 0.5, len(classes))
            for photo in range(PHOTOS):
                rows.append((f"{model}_2014/{car}_{photo}.jpg", f"{name}-{car}", model, name))
                logits.append(like + of_car + rng.normal(0, 0.5, len(classes)))
    table = np.exp(np.array(logits))
    p = (table / table.sum(axis=1, keepdims=True)).astype(np.float32)
    photos = pd.DataFrame(rows, columns=["key", "vehicle", "model", "class_name"])
    return keep_top(photos, p, energy=np.zeros(len(p)), temperature=1.0, classes=classes)


def contents(answers, *, share: float = 0.3) -> pd.DataFrame:
    """The dataset that these answers are a share of: `model`, `class_name`, `photos`, `listings`."""
    groups = answers.photos.groupby(["model", "class_name"])["vehicle"]
    table = groups.agg(photos="size", listings="nunique").reset_index()
    return table.assign(photos=(table["photos"] / share).astype(int), listings=(table["listings"] / share).astype(int))
