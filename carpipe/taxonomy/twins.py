"""Twins: models that are the same words in ASCII, such as `citroën_c3` and `citroen_c3`.

Their classes would share a folder and a line of the label file, so they get one class. A rule in the taxonomy decides
which; where there is none, the model with more photos does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from carpipe.taxonomy.lint import class_names
from carpipe.taxonomy.rules import Taxonomy
from carpipe.taxonomy.slug import collisions, slug


def join_twins(taxonomy: Taxonomy, models: Mapping[str, int]) -> Taxonomy:
    """The taxonomy with a rule more for each twin that has none; itself where there are no twins.

    Rules that are there stay as they are. Where `unknown` is not `keep`, models without a rule have no class.

    Args:
        models: model -> photos in the data.
    """
    if taxonomy.unknown != "keep":
        return taxonomy
    joined = _add_rules(taxonomy, dict(_of_same_models(taxonomy, models)))
    return _add_rules(joined, dict(_of_same_classes(joined, models)))


def told_twins(before: Taxonomy, after: Taxonomy) -> list[str]:
    """One sentence for each rule that `join_twins` has added."""
    new = [model for model in after.models if model not in before.class_by_model]
    return [
        f"model {model!r} is {_told(after.class_by_model[model])}: they are the same words in ASCII, {slug(model)!r}; "
        "a rule for it in the taxonomy decides otherwise"
        for model in new
        if after.class_by_model[model] != model
    ]


def _of_same_models(taxonomy: Taxonomy, models: Mapping[str, int]) -> Iterator[tuple[str, str | None]]:
    """Twins of a model that has a rule: the rule is theirs too."""
    for twins in collisions(models).values():
        targets = {taxonomy.class_by_model[model] for model in twins if model in taxonomy.class_by_model}
        if len(targets) == 1:
            target = targets.pop()
            # A name of a class is no model of another one: rules are one step deep.
            taken = {*taxonomy.class_by_model, *taxonomy.classes}
            yield from ((model, target) for model in twins if model not in taken)


def _of_same_classes(taxonomy: Taxonomy, models: Mapping[str, int]) -> Iterator[tuple[str, str | None]]:
    """Models without a rule whose own name would be the twin of another class."""
    ruled = {name for _, name in class_names(taxonomy)}
    classes = {name for model in models if (name := taxonomy.class_of(model)) is not None}
    # Also classes whose own models have no photos: two classes of one slug are refused even in the rules alone.
    for twins in collisions(ruled | classes).values():
        target = min(twins, key=lambda name: (name not in ruled, -models.get(name, 0), name))
        yield from ((name, target) for name in twins if name in models and name not in taxonomy.class_by_model)


def _add_rules(taxonomy: Taxonomy, rules: Mapping[str, str | None]) -> Taxonomy:
    if not rules:
        return taxonomy
    classes = {name: tuple(models) for name, models in taxonomy.classes.items()}
    for model, target in sorted(rules.items()):
        if target is not None:
            own = (target,) if target in taxonomy.unchanged else ()
            classes[target] = tuple(dict.fromkeys((*classes.get(target, own), model)))
    return replace(
        taxonomy,
        classes=classes,
        unchanged=tuple(model for model in taxonomy.unchanged if model not in classes),
        erased=(*taxonomy.erased, *sorted(model for model, target in rules.items() if target is None)),
    )


def _told(target: str | None) -> str:
    return "erased as its twin is" if target is None else f"in class {target!r} as its twin is"
