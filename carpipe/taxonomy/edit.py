"""Changes a taxonomy's YAML as a person would: line by line, so that comments, order and all other rules stay.

The result is read again before anybody gets it. Where the text has a form that lines cannot change, the whole is
written anew, sorted and without comments, as `Taxonomy.to_yaml` does. A round trip by ruamel.yaml would lose the
comments below a rule that goes: it takes them for that rule's.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from carpipe.errors import ConfigError
from carpipe.names import model_name
from carpipe.taxonomy.read import parse
from carpipe.taxonomy.rules import Taxonomy

UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Edited:
    """The new text, and whether the comments of the old one are in it."""

    text: str
    comments: bool


def regroup(text: str, moves: Mapping[str, str], *, name: str) -> Edited:
    """Put models into classes, and raise the version by one.

    A class that loses all its models is gone. Where nothing moves, the text is returned as it is.

    Args:
        text: YAML that `read.parse` takes.
        moves: model -> class. A model may have a rule or none.
        name: what errors call the taxonomy.

    Raises:
        ConfigError: the text is no taxonomy, or would be none afterwards: a class would be named as a model of another.
    """
    old = parse(text, name=name)
    moves = {model: target for model, target in moves.items() if old.class_by_model.get(model) != target}
    if not moves:
        return Edited(text, comments=True)
    moves = {**_own_models(old, moves), **moves}
    wanted = replace(_moved(old, moves), version=old.version + 1)
    try:
        edited = _edit(text, moves, version=wanted.version)
        if _same(parse(edited, name=name), wanted):
            return Edited(edited, comments=True)
    except (ConfigError, yaml.YAMLError):
        pass  # lines could not do it
    anew = wanted.to_yaml()
    return Edited(parse(anew, name=name).to_yaml(), comments=False)


def moved(taxonomy: Taxonomy, moves: Mapping[str, str]) -> Taxonomy:
    """The taxonomy with models put into other classes; itself where none moves.

    Args:
        moves: model -> class, as in `regroup`.

    Raises:
        ConfigError: it would be none afterwards; says each fault.
    """
    moves = {model: target for model, target in moves.items() if taxonomy.class_by_model.get(model) != target}
    if not moves:
        return taxonomy
    wanted = _moved(taxonomy, {**_own_models(taxonomy, moves), **moves})
    return replace(parse(wanted.to_yaml(), name=taxonomy.name), name=taxonomy.name)


def merged_models(taxonomy: Taxonomy, classes: Iterable[str], models: Iterable[str]) -> dict[str, set[str]]:
    """By class, its models: those of its rules, and those of `models` that have no other class by these rules."""
    names = set(classes)
    found: dict[str, set[str]] = {}
    for model in {*taxonomy.models, *map(model_name, models)}:
        if (target := taxonomy.class_or_none(model)) in names:
            found.setdefault(str(target), set()).add(model)
    return found


def _own_models(taxonomy: Taxonomy, moves: Mapping[str, str]) -> dict[str, str]:
    """A model that is a class of its own name, and gets company, needs a rule among the classes."""
    targets = set(moves.values())
    return {model: model for model in taxonomy.unchanged if model in targets}


def _moved(old: Taxonomy, moves: Mapping[str, str]) -> Taxonomy:
    classes = {name: [model for model in models if model not in moves] for name, models in old.classes.items()}
    for model, target in moves.items():
        classes.setdefault(target, []).append(model)
    return replace(
        old,
        classes={name: tuple(models) for name, models in classes.items() if models},
        unchanged=tuple(model for model in old.unchanged if model not in moves),
        erased=tuple(model for model in old.erased if model not in moves),
    )


def _same(one: Taxonomy, other: Taxonomy) -> bool:
    return one.class_by_model == other.class_by_model and one.to_yaml() == other.to_yaml()


@dataclass
class _Lines:
    """The lines of the text, changed in place: none is taken out, so that the numbers of the others stay."""

    lines: list[str]
    after: dict[int, list[str]] = field(default_factory=dict)

    def text(self) -> str:
        parts = ([line, *self.after.get(number, [])] for number, line in enumerate(self.lines))
        return "".join(line for found in parts for line in found)

    def drop(self, first: int, last: int) -> None:
        self.lines[first : last + 1] = [""] * (last + 1 - first)


def _edit(text: str, moves: Mapping[str, str], *, version: int) -> str:
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    sections = {key.value: (key, value) for key, value in root.value}
    lines = _Lines((text if text.endswith("\n") else text + "\n").splitlines(keepends=True))
    _replace(lines, sections["version"][1], str(version))
    added: dict[str, list[str]] = {}
    for model, target in sorted(moves.items()):
        added.setdefault(target, []).append(model)
    for where in (UNCHANGED, "erased"):
        if where in sections:
            _change_list(lines, *sections[where], moves=moves, added=[], keep=True)
    for key, models in _classes(sections):
        _change_list(lines, key, models, moves=moves, added=added.pop(key.value, []), keep=False)
    _add_classes(lines, sections, added)
    return lines.text()


def _classes(sections: Mapping[str, tuple[yaml.Node, yaml.Node]]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    classes = sections.get("classes", (None, None))[1]
    return iter(classes.value if isinstance(classes, yaml.MappingNode) else ())


def _change_list(
    lines: _Lines, key: yaml.Node, models: yaml.Node, *, moves: Mapping[str, str], added: list[str], keep: bool
) -> None:
    """Take out of a list of models those that move, and add others; a list that is empty then goes, unless `keep`."""
    if not isinstance(models, yaml.SequenceNode):
        return
    gone = [item for item in models.value if model_name(item.value) in moves]
    stay = [item for item in models.value if item not in gone]
    if not gone and not added:
        return
    if not stay and not added:
        for item in models.value:
            lines.drop(item.start_mark.line, item.end_mark.line)
        if keep:
            lines.lines[key.start_mark.line] = f"{key.value}: []\n"
        else:
            lines.drop(key.start_mark.line, key.start_mark.line)
    elif models.flow_style:
        names = [*(_written(item) for item in stay), *map(_quoted, added)]
        _replace(lines, models, f"[{', '.join(names)}]")
    else:
        _change_block(lines, models, gone, added)


def _change_block(lines: _Lines, models: yaml.SequenceNode, gone: list[yaml.Node], added: list[str]) -> None:
    last = models.value[-1]
    begin = lines.lines[last.start_mark.line][: last.start_mark.column]
    lines.after.setdefault(last.end_mark.line, []).extend(f"{begin}{_quoted(model)}\n" for model in added)
    for item in gone:
        lines.drop(item.start_mark.line, item.end_mark.line)


def _add_classes(
    lines: _Lines, sections: Mapping[str, tuple[yaml.Node, yaml.Node]], added: Mapping[str, list[str]]
) -> None:
    """New classes come behind the last one that is there."""
    if not added:
        return
    known = list(_classes(sections))
    indent = " " * (known[0][0].start_mark.column if known else 2)
    rows = []
    for name, models in added.items():
        rows += [f"{indent}{_quoted(name)}:\n", *(f"{indent}  - {_quoted(model)}\n" for model in models)]
    if not known:
        lines.after.setdefault(len(lines.lines) - 1, []).extend(["\nclasses:\n", *rows])
        return
    final: Any = known[-1][1]
    end = final.end_mark.line if final.flow_style else final.value[-1].end_mark.line
    lines.after.setdefault(end, []).extend(rows)


def _replace(lines: _Lines, node: yaml.Node, text: str) -> None:
    start, end = node.start_mark, node.end_mark
    whole = lines.lines[start.line][: start.column] + text + lines.lines[end.line][end.column :]
    lines.drop(start.line, end.line)
    lines.lines[start.line] = whole


def _written(item: yaml.Node) -> str:
    """As the file has it, quotes and all."""
    buffer: Any = item.start_mark.buffer  # of a text that was handed over whole, all of it
    return str(buffer[item.start_mark.pointer : item.end_mark.pointer])


def _quoted(name: str) -> str:
    """As YAML wants it: with quotes only where they are needed."""
    return str(yaml.safe_dump(name, allow_unicode=True, width=10**6, default_flow_style=True)).split("\n...")[0].strip()
