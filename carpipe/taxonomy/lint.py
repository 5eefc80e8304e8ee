"""What is wrong with the rules of a taxonomy alone, whatever the data are."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from carpipe.names import normalise_key
from carpipe.taxonomy.rules import Taxonomy
from carpipe.taxonomy.slug import collisions

# orphan: a class without models or photos; misspelt, no photos: a model in the rules that the data does not have;
# no rule: a model of the data that the rules do not have.
Kind = Literal["name", "slug", "double rule", "cycle", "chain", "orphan", "misspelt", "no photos", "no rule"]


@dataclass(frozen=True)
class Finding:
    """One thing found: `where` is the place in the file (`classes.<name>`, `erased`, ...), or `data`."""

    severity: Literal["error", "note"]
    kind: Kind
    where: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}"


def lint(taxonomy: Taxonomy) -> tuple[Finding, ...]:
    """Return the errors of the rules alone; empty when all is well."""
    found = (_bad_names, _same_slugs, _double_rules, _no_models, _chains)
    return tuple(finding for find in found for finding in find(taxonomy))


def error(kind: Kind, where: str, sentence: str) -> Finding:
    """A finding that makes the taxonomy unusable."""
    return Finding("error", kind, where, sentence)


def class_names(taxonomy: Taxonomy) -> Iterator[tuple[str, str]]:
    """Yield (where, name) for every class that the rules name."""
    yield from (("classes", name) for name in taxonomy.classes)
    yield from (("unchanged", model) for model in taxonomy.unchanged)


def _bad_names(taxonomy: Taxonomy) -> Iterator[Finding]:
    for where, model in taxonomy.rules():
        if not model.strip():
            yield error("name", where, f"model name {model!r} is empty")
        if not unicodedata.is_normalized("NFC", model):
            yield error(
                "name", where, f"model {model!r} is not in Unicode NFC, though it may look like it{_composed(model)}"
            )
    for where, name in class_names(taxonomy):
        # The original name is a line of label files and a column of tables.
        if name in ("", ".", "..") or any(c in "/\\" or c.isspace() or not c.isprintable() for c in name):
            sentence = f"class name {name!r} is empty or holds a slash, space or control character"
            yield error("name", where, sentence)
        if where == "classes" and not unicodedata.is_normalized("NFC", name):
            yield error("name", where, f"class name {name!r} is not in Unicode NFC{_composed(name)}")


def _composed(name: str) -> str:
    return f"; did you mean {normalise_key(name)!r}?"


def _same_slugs(taxonomy: Taxonomy) -> Iterator[Finding]:
    for one, names in collisions(name for _, name in class_names(taxonomy)).items():
        told = " and ".join(map(repr, names))
        yield error("slug", "classes", f"class names {told} have one ASCII slug, {one!r}; merge or rename them")


def _double_rules(taxonomy: Taxonomy) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for where, model in taxonomy.rules():
        if model in seen:
            yield error("double rule", where, f"model {model!r} has two rules, in {seen[model]} and in {where}")
        seen.setdefault(model, where)


def _no_models(taxonomy: Taxonomy) -> Iterator[Finding]:
    for name, models in taxonomy.classes.items():
        if not models:
            yield error("orphan", f"classes.{name}", "no models; list at least one")


def _chains(taxonomy: Taxonomy) -> Iterator[Finding]:
    """Rules are one step deep: a class whose own name is a model of another class would need a second step.

    Steps that come back are a cycle: `a` lists `b` while `b` lists `a`. Both are refused, since a reader who
    follows the names gets elsewhere than the rules, which are looked up once.
    """
    in_cycle: set[str] = set()
    for name, models in taxonomy.classes.items():
        if name in in_cycle:
            continue
        if cycle := _cycle(taxonomy, name):
            in_cycle.update(cycle)
            told = " -> ".join(map(repr, (*cycle, name)))
            yield error("cycle", f"classes.{name}", f"a cycle, each name is a model of the next class: {told}")
        elif name in taxonomy.class_by_model and name not in models:
            place = next(where for where, model in taxonomy.rules() if model == name)
            yield error("chain", f"classes.{name}", f"{name!r} is also a model, and that one is under {place}")


def _cycle(taxonomy: Taxonomy, start: str) -> tuple[str, ...]:
    """Return the classes passed on the way from `start` back to it; empty where the way ends, or circles elsewhere."""
    passed = [start]
    following = taxonomy.class_by_model.get(start)
    while following is not None and following not in passed:
        passed.append(following)
        following = taxonomy.class_by_model.get(following)
    return tuple(passed) if following == start and len(passed) > 1 else ()
