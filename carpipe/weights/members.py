"""What became of a model's classes in another model: by the car models that each class is made of.

A model says with `members.json` which car models its classes hold, and of how many photos. So any two can be held
against each other, whatever came between them: an app asks what has changed since the very model that it runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Class -> car model -> photos.
Members = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class ClassChanges:
    """How classes of one model are found in another.

    `renamed` classes hold the same car models under another name (old -> new). A `merged` one is made of several old
    ones (new -> old ones), a `split` one's models are in several (old -> new ones); an old class may be both. None of
    the models of a `gone` class is in any class now, and none of an `added` one was.
    """

    renamed: Mapping[str, str]
    merged: Mapping[str, tuple[str, ...]]
    split: Mapping[str, tuple[str, ...]]
    gone: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether an answer may mean something else than before."""
        return any((self.renamed, self.merged, self.split, self.gone, self.added))

    def __str__(self) -> str:
        """A sentence for a log."""
        said = [
            *(f"{old} is {new} now" for old, new in self.renamed.items()),
            *(f"{new} is made of {' and '.join(old)}" for new, old in self.merged.items()),
            *(f"{old} became {' and '.join(new)}" for old, new in self.split.items()),
            *(f"{old} has gone" for old in self.gone),
            *(f"{new} is new" for new in self.added),
        ]
        return "; ".join(said) or "the classes are the same"


def class_changes(before: Members, now: Members) -> ClassChanges:
    """What became of the classes of one model in another, by the car models that both know.

    A car model that only one of them knows says nothing of the classes that it is in; a class of such models alone is
    gone or added, unless the other has one of its name.
    """
    was = {model: name for name, models in before.items() for model in models}
    became: dict[str, set[str]] = {name: set() for name in before}
    sources: dict[str, set[str]] = {name: set() for name in now}
    for name, models in now.items():
        for model in models:
            if model in was:
                became[was[model]].add(name)
                sources[name].add(was[model])
    for name in before.keys() & now.keys():  # none of its models is in both: the name says it
        if not became[name] and not sources[name]:
            became[name].add(name)
            sources[name].add(name)
    ones = {old: next(iter(new)) for old, new in became.items() if len(new) == 1}
    return ClassChanges(
        renamed={old: new for old, new in sorted(ones.items()) if new != old and sources[new] == {old}},
        merged={new: tuple(sorted(old)) for new, old in sorted(sources.items()) if len(old) > 1},
        split={old: tuple(sorted(new)) for old, new in sorted(became.items()) if len(new) > 1},
        gone=tuple(sorted(old for old, new in became.items() if not new)),
        added=tuple(sorted(new for new, old in sources.items() if not old)),
    )
