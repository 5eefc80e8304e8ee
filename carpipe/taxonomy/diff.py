"""What a changed taxonomy does: which models get another class, and what that means for the classes.

"No class" (None) says that a model is erased, or that `unknown: error` refuses it: no dataset has its photos.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from carpipe.taxonomy.check import count_models
from carpipe.taxonomy.rules import Taxonomy

# In a class map, where JSON wants text, and as the published table writes it.
NO_CLASS = ""


@dataclass(frozen=True)
class Move:
    """A model that gets another class; `photos` of it in the data, None where no data was given."""

    model: str
    old: str | None
    new: str | None
    photos: int | None


@dataclass(frozen=True)
class Diff:
    """The difference of two taxonomies, over all models of their rules and of the data.

    Each old and each new class is told by what its models become. One whose models go to a single new class, which
    takes from it alone, stays, or is `renamed` (old -> new); a new class that takes from several is `merged` (new ->
    old ones); an old one that goes to several is `split` (old -> new ones), and may be part of a merge as well. Of a
    `vanished` one no model has a class any more, and no model of an `appeared` one had a class before.
    """

    old: str
    new: str
    models: int
    photos: int | None
    old_classes: int
    new_classes: int
    moves: tuple[Move, ...]
    renamed: Mapping[str, str]
    merged: Mapping[str, tuple[str, ...]]
    split: Mapping[str, tuple[str, ...]]
    appeared: tuple[str, ...]
    vanished: tuple[str, ...]

    @property
    def moved_photos(self) -> int | None:
        """Photos of models that get another class; None where no data was given."""
        return None if self.photos is None else sum(move.photos or 0 for move in self.moves)


def diff(
    old: Taxonomy, new: Taxonomy, models: Mapping[str, int] | None = None, *, with_photos_only: bool = False
) -> Diff:
    """Compare what two taxonomies make of all models of their rules and of the data.

    Args:
        models: model -> photos in the data, as `classes` gets them. None: no photos are counted.
        with_photos_only: leave out the rules for models of which the data has none.
    """
    counts = None if models is None else count_models(models)
    names = sorted(counts if counts and with_photos_only else {*old.models, *new.models, *(counts or ())})
    pairs = {model: (old.class_or_none(model), new.class_or_none(model)) for model in names}
    targets, sources = _links(pairs.values())
    return Diff(
        old=f"{old.name} version {old.version}",
        new=f"{new.name} version {new.version}",
        models=len(pairs),
        photos=None if counts is None else counts.total(),
        old_classes=len(targets),
        new_classes=len(sources),
        moves=tuple(
            Move(model, before, after, None if counts is None else counts[model])
            for model, (before, after) in pairs.items()
            if before != after
        ),
        renamed={a: b[0] for a, b in targets.items() if len(b) == 1 and b[0] != a and len(sources[b[0]]) == 1},
        merged={name: classes for name, classes in sources.items() if len(classes) > 1},
        split={name: classes for name, classes in targets.items() if len(classes) > 1},
        appeared=tuple(name for name, classes in sources.items() if not classes),
        vanished=tuple(name for name, classes in targets.items() if not classes),
    )


def class_map(old: Taxonomy, new: Taxonomy, models: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return old class -> new class -> photos, for the classes of the data that the new taxonomy changes.

    Each old class named here has all its photos here, also those that stay; one that is not named stays as it
    is, though it may gain photos of others. `""` is no class. Sorted, and ready for JSON.
    """
    table: dict[str, dict[str, int]] = {}
    for model, photos in count_models(models).items():
        row = table.setdefault(old.class_or_none(model) or NO_CLASS, {})
        target = new.class_or_none(model) or NO_CLASS
        row[target] = row.get(target, 0) + photos
    return {name: dict(sorted(table[name].items())) for name in sorted(table) if set(table[name]) != {name}}


def render_diff(found: Diff) -> str:
    """Return a diff as readable text: what happens to classes first, then each move of models."""
    head = f"{found.old} -> {found.new}: {found.old_classes:,} -> {found.new_classes:,} classes"
    if not found.moves:
        return f"{head}; every model keeps its class"
    of_photos = "" if found.photos is None else f", {found.moved_photos:,} of {found.photos:,} photos"
    head += f"; {len(found.moves):,} of {found.models:,} models get another class{of_photos}"
    sections = {
        "renamed": [f"{old} -> {new}" for old, new in found.renamed.items()],
        "merged": [f"{new} <- {', '.join(classes)}" for new, classes in found.merged.items()],
        "split": [f"{old} -> {', '.join(classes)}" for old, classes in found.split.items()],
        "appeared": list(found.appeared),
        "vanished": list(found.vanished),
        "models": list(_told_moves(found.moves)),
    }
    lines = [head]
    for title, entries in sections.items():
        if entries:
            lines += ["", f"{title} ({len(entries):,})", *(f"  {entry}" for entry in entries)]
    return "\n".join(lines)


def _links(pairs: Iterable[tuple[str | None, str | None]]) -> tuple[dict[str, tuple[str, ...]], ...]:
    """Return old class -> new classes of its models, and the other way round; both sorted."""
    targets: dict[str, set[str]] = {}
    sources: dict[str, set[str]] = {}
    for old, new in pairs:
        if old is not None:
            targets.setdefault(old, set()).update(() if new is None else (new,))
        if new is not None:
            sources.setdefault(new, set()).update(() if old is None else (old,))
    return tuple({name: tuple(sorted(links[name])) for name in sorted(links)} for links in (targets, sources))


def _told_moves(moves: tuple[Move, ...]) -> Iterator[str]:
    for move in moves:
        photos = "" if move.photos is None else f"  {move.photos:,} photos"
        yield f"{move.model}: {move.old or '(no class)'} -> {move.new or '(no class)'}{photos}"
