"""New models among new listings: real classes left out in turn, that arrive under their own name or under wrong ones.

    python benchmarks/new_models.py <models196> --backbone <backbone.keras> [--cache <folder>]

`<models196>` holds `<class>/*.jpg` and a table `models196.csv` of (file, class, split). Seven times, a seventh of the
classes is left out. A small network is trained on features of a backbone that is not trained, on the classes that are
left. New listings, a photo each, are test photos of known classes and all photos of classes left out.

Reports sums over the folds:
- own names: which share of the classes left out is called new; and of known classes that come under another name, how
  many are called new by mistake, and how many are said to look like the right class.
- wrong names: each listing of a class left out takes the name of one of three known classes, and 3 % of the known ones
  any name. Which share of the classes left out is found as a group; how pure groups are; how many are of known cars.
- nothing new: how many groups there are where all new listings are of known classes.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import recipe
import unknown

from carpipe.evaluation import look_alikes
from carpipe.evaluation.likeness import fit_means, likeness_apart
from carpipe.evaluation.new_names import Name, pool_listings, propose_names
from carpipe.evaluation.unknown import familiarity_of, fit_rule

FOLDS, HIDDEN, EPOCHS, REFUSED = 7, 512, 40, 0.02
# Known classes that come under another name; known names that a new car is given; share of known listings misnamed.
RENAMED, WRONG, ERRORS = 28, 3, 0.03
ABOUT = Name(photos=40, needs=110, has_class=False, listed=True)


def main() -> None:
    """Answer all folds and print what was proposed."""
    options = parse()
    parts = recipe.read(options.models, only=0)
    see = unknown.Backbone(options.backbone, options.cache)
    seen = {name: see(f"models-{name}", [jpeg for *_, jpeg in part.records]) for name, part in parts.items()}
    truth = {name: np.array(part.truth) for name, part in parts.items()}
    rng, total = np.random.default_rng(5), Counter[str]()
    for left_out in np.array_split(rng.permutation(np.unique(truth["train"])), FOLDS):
        night = Night(*answer(seen, truth, left_out), rng=rng)
        found = night.own_names() + night.wrong_names() + night.nothing_new()
        print(f"  left out {len(left_out)} classes: {dict(found)}", flush=True)
        total += found
    show(total)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--backbone", type=Path, required=True, help="a .keras file: float pictures in, features out")
    parser.add_argument("--cache", type=Path, help="folder to keep features in, for the next run")
    return parser.parse_args()


def answer(seen: Any, truth: Any, left_out: Any) -> tuple[pd.DataFrame, Any, Any]:
    """New listings as scores have them, with `truth` and `is_new`; where each lies in the features; and the rule."""
    known = {name: ~np.isin(names, left_out) for name, names in truth.items()}
    classes, number = np.unique(truth["train"][known["train"]], return_inverse=True)
    look_at = network(seen["train"][known["train"]], number)
    val, val_logits = look_at(seen["val"][known["val"]])
    number = np.searchsorted(classes, truth["val"][known["val"]])
    means = fit_means(val, number, classes=len(classes))
    looks = unknown.look(val, val_logits, means)
    cars = pd.Series(np.arange(len(val)).astype(str))
    looks["likeness"] = likeness_apart(means, val, truth=number, vehicles=cars)
    rule = fit_rule(looks, None, refused=REFUSED)
    if rule is None:
        raise ValueError("All photos look alike to this network.")
    rows = [np.concatenate([data["test"], data["train"][~known["train"]], data["val"][~known["val"]]])
            for data in (seen, truth)]  # fmt: skip
    features, logits = look_at(rows[0])
    key = [f"{number}" for number in range(len(features))]
    photos = pd.DataFrame({
        "key": key, "listing_uuid": key, "truth": rows[1], "is_new": np.isin(rows[1], left_out), "source": 0,
        "answer": classes[logits.argmax(axis=1)],
        "familiarity": familiarity_of(unknown.look(features, logits, means), rule).to_numpy(),
    })  # fmt: skip
    return photos, look_alikes.directions_of(features, means.middle, np.arange(len(features))), rule


def network(features: Any, truth: Any) -> Any:
    """Trains one hidden layer; what it returns gives hidden features and logits of features."""
    import keras

    keras.utils.set_random_seed(0)
    middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    inputs = keras.Input((features.shape[1],))
    hidden = keras.layers.Dense(HIDDEN, activation="relu")(keras.layers.Dropout(0.5)(inputs))
    outputs = keras.layers.Dense(int(truth.max()) + 1)(keras.layers.Dropout(0.3)(hidden))
    model = keras.Model(inputs, outputs)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-2), loss)
    model.fit((features - middle) / spread, np.eye(int(truth.max()) + 1)[truth], epochs=EPOCHS, batch_size=128,
              verbose=0)  # fmt: skip
    both = keras.Model(inputs, [hidden, outputs])
    return lambda rows: both.predict((rows - middle) / spread, batch_size=512, verbose=0)


class Night:
    """New listings of one fold, given names in one way or another."""

    def __init__(self, photos: pd.DataFrame, directions: Any, rule: Any, *, rng: Any):
        self._photos, self._directions, self._rule, self._rng = photos, directions, rule, rng
        self._known = np.unique(photos.loc[~photos["is_new"], "truth"])

    def own_names(self) -> Counter[str]:
        """Classes left out come under their own name, some known ones under another."""
        renamed = self._rng.choice(self._known, RENAMED, replace=False)
        again = self._photos["truth"].isin(renamed)
        names = self._photos["truth"].where(~again, "other " + self._photos["truth"])
        listings = self._pool(names, has_class=~again & ~self._photos["is_new"])
        told = propose_names(listings, dict.fromkeys(listings.loc[~listings["has_class"], "model"], ABOUT))
        known = self._photos[~self._photos["is_new"]]
        right = int((known["answer"] == known["truth"]).sum())
        found = Counter({"known": len(known), "known, answered rightly": right})
        for one in told.proposals:
            kind = "renamed" if one.model.startswith("other ") else "new"
            found[f"{kind} names"] += 1
            found[f"{kind} names called new"] += one.new
            found[f"{kind} names of which more are unknown"] += one.more_unknown
            found[f"{kind} names with an alias"] += bool(one.alias)
            found[f"{kind} names with the right alias"] += one.alias == one.model.removeprefix("other ")
        return found

    def wrong_names(self) -> Counter[str]:
        """Classes left out come under three names each."""
        names = self._photos["truth"].to_numpy(dtype=object).copy()
        for name in np.unique(names[self._photos["is_new"]]):
            mine = np.flatnonzero(self._photos["truth"] == name)
            names[mine] = self._rng.choice(self._rng.choice(self._known, WRONG, replace=False), len(mine))
        found = self._groups(self._misnamed(names), self._photos.index, "groups")
        return found + Counter({"classes left out": int(self._photos.loc[self._photos["is_new"], "truth"].nunique())})

    def nothing_new(self) -> Counter[str]:
        """All new listings are of known classes."""
        rows = self._photos.index[~self._photos["is_new"]]
        return self._groups(self._misnamed(self._photos["truth"].to_numpy(dtype=object).copy()), rows, "nothing new")

    def _misnamed(self, names: Any) -> Any:
        wrong = (self._rng.random(len(names)) < ERRORS) & ~self._photos["is_new"].to_numpy()
        names[wrong] = self._rng.choice(self._known, int(wrong.sum()))
        return names

    def _pool(self, names: Any, *, has_class: Any) -> pd.DataFrame:
        named = self._photos.assign(model=names, class_name=names, has_class=has_class)
        return pool_listings(named, [self._rule])

    def _groups(self, names: Any, rows: Any, what: str) -> Counter[str]:
        listings = self._pool(names, has_class=True)
        listings = listings[listings["listing"].astype(int).isin(rows)]
        mine, usual = look_alikes.may_be_new(listings)
        number = mine["listing"].astype(int).to_numpy()
        right = listings.loc[listings["answer"] == listings["class_name"]]
        known = right.sample(min(len(right), look_alikes.REFERENCE), random_state=1)
        limit = look_alikes.limit_of(self._directions[known["listing"].astype(int)], known["answer"].tolist())
        found = look_alikes.find_groups(
            self._directions[number], mine["model"].tolist(), mine["familiarity"].to_numpy(float), usual=usual,
            limit=limit or 1.0,
        )  # fmt: skip
        return self._judge([number[list(group.members)] for group in found], what)

    def _judge(self, groups: list[Any], what: str) -> Counter[str]:
        found, classes = Counter[str](), set()
        for group in groups:
            rows = self._photos.iloc[group]
            new = rows["is_new"].mean() > 0.5
            found[f"{what}, {'mostly new' if new else 'needless'}"] += 1
            if new:
                ((name, count),) = Counter(rows["truth"]).most_common(1)
                classes.add(name)
                found.update({"listings in new groups": len(rows), "of the most frequent class": int(count)})
        return found + Counter({f"{what}, classes found": len(classes)})


def show(total: Counter[str]) -> None:
    """The sums."""
    print()
    for name, count in sorted(total.items()):
        print(f"{name:<42} {count:>6,}")


if __name__ == "__main__":
    main()
