"""Reads taxonomies, from YAML files that people write: strictly, so that a slip is an error and never a guess."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml

from carpipe import forms
from carpipe.errors import ConfigError
from carpipe.taxonomy.lint import Finding, lint
from carpipe.taxonomy.rules import Taxonomy, Unknown
from carpipe.taxonomy.spelling import spelled, spelling_faults

FORMAT = (
    "version: a whole number; description: text; unknown: keep, erase or error; "
    "classes: class name -> list of models; unchanged: list of models; erased: list of models"
)
# The published rules have some 30,000.
MAX_TEXT_CHARACTERS = 1_000_000
MAX_DEPTH = 5
# Of a number; one without end takes minutes, and cannot be shown.
MAX_NUMBER_CHARACTERS = 40
KEYS = ("version", "description", "unknown", "classes", "unchanged", "erased")


def load(source: str) -> Taxonomy:
    """Read a taxonomy: `published`, `identity`, or the path of a YAML file.

    `published` holds the rules of the published 763 models -> 512 classes; `identity` has no rules, so
    each model is a class. Raises `ConfigError` where the file is missing or has lints.
    """
    return parse(read_text(source), name=source if source in packaged_names() else Path(source).stem)


def read_text(source: str) -> str:
    """The YAML of a taxonomy as it is written, comments and all; not checked.

    Raises:
        ConfigError: there is no such file, or it is no text.
    """
    if source in packaged_names():
        return (resources.files("carpipe.taxonomy") / f"{source}.yaml").read_text("utf-8")
    path = Path(source)
    if not path.is_file():
        known = ", ".join(packaged_names())
        raise ConfigError(f"there is no taxonomy {source!r}: give the path of a YAML file, or one of {known}")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"taxonomy {source!r} must be UTF-8 text: {error}") from error


def packaged_names() -> tuple[str, ...]:
    """Names of the taxonomies that come with the package."""
    names = (file.name for file in resources.files("carpipe.taxonomy").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def parse(text: str, *, name: str, committed: bool = False) -> Taxonomy:
    """Read a taxonomy from YAML text; `name` is what errors call it.

    Args:
        committed: carpipe wrote it, maybe a later version: keys that this one does not know are passed over.

    Raises:
        ConfigError: it cannot be read or has lints; says each.
        LaterFormError: a committed one means something else.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ConfigError(f"taxonomy {name!r} has {len(text):,} characters; {MAX_TEXT_CHARACTERS:,} are read at most")
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a SafeLoader that refuses more
    except yaml.YAMLError as error:
        raise ConfigError(f"taxonomy {name!r} is not readable YAML: {_fault(error)}") from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):  # PyYAML lets them through
        raise ConfigError(
            f"taxonomy {name!r} is not readable YAML: a value is not what its form or its tag says. Put texts in quotes"
        ) from None
    if committed and isinstance(content, dict):
        forms.check(content.get(forms.FORM, 1), key=name, what="a taxonomy")
        content = {key: content[key] for key in KEYS if key in content}
    problems = list(_shape_problems(content))
    if not problems:
        taxonomy = _from_content(content, name)
        # What carpipe has committed means what its run understood, whatever the spelling.
        taxonomy, found = (taxonomy, lint(taxonomy)) if committed else _as_spelled(taxonomy)
        # Names of the data may be what a rule must not have.
        problems = [str(finding) for finding in found if not (committed and finding.kind == "name")]
    if problems:
        number = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"taxonomy {name!r} has {number}:\n- " + "\n- ".join(problems))
    return taxonomy


def _fault(error: yaml.YAMLError) -> str:
    """What is wrong and where, without the text itself: the file may be any of the worker's, and be no taxonomy."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    return f"{error.problem}, in line {mark.line + 1}, column {mark.column + 1}"  # type: ignore[attr-defined]


class _StrictLoader(yaml.SafeLoader):
    """yaml.SafeLoader that takes no more than a taxonomy needs.

    It refuses a key written twice, where the original silently keeps the last; aliases and `<<`, with which a few
    lines stand for millions of values; and nesting, with which some kilobytes fill the stack.
    """

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias (*) is not possible here", problem_mark=self._here())
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="it is nested too deep", problem_mark=self._here())
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Where the original merges what `<<` names."""

    def _here(self) -> Any:
        return self.peek_event().start_mark  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                raise yaml.YAMLError(f"key {name!r} is written twice, in lines {lines[name]} and {line}")
            lines[name] = line
        return super().construct_mapping(node, deep)


def _short_number(loader: _StrictLoader, node: yaml.ScalarNode, *, read: Callable[..., Any]) -> Any:
    if len(str(node.value)) > MAX_NUMBER_CHARACTERS:
        raise yaml.MarkedYAMLError(problem="a number is too long", problem_mark=node.start_mark)
    return read(loader, node)


for _tag, _read in (("int", yaml.SafeLoader.construct_yaml_int), ("float", yaml.SafeLoader.construct_yaml_float)):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", partial(_short_number, read=_read))


def _as_spelled(taxonomy: Taxonomy) -> tuple[Taxonomy, Sequence[Finding]]:
    """The taxonomy as photos spell its models, and what is wrong with it as it is written, or then."""
    if found := [*lint(taxonomy), *spelling_faults(taxonomy)]:
        return taxonomy, found
    taxonomy = spelled(taxonomy)
    return taxonomy, lint(taxonomy)


def _from_content(content: dict[str, Any], name: str) -> Taxonomy:
    return Taxonomy(
        name=name,
        version=content["version"],
        description=content.get("description") or "",
        unknown=content.get("unknown", "keep"),
        classes={key: tuple(models) for key, models in (content.get("classes") or {}).items()},
        unchanged=tuple(content.get("unchanged") or ()),
        erased=tuple(content.get("erased") or ()),
    )


def _shape_problems(content: Any) -> Iterator[str]:  # noqa: C901  # one test after another, nothing nested
    """Say what in the file is not of the right type: Taxonomy itself can then rely on its types."""
    if not isinstance(content, dict):
        yield f"the file must be a mapping with {FORMAT}"
        return
    for key in content:
        if key not in KEYS:
            yield f"unknown key {key!r}: expected {', '.join(KEYS)}"
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        yield f"version: expected a whole number from 1 up, got {version!r}"
    if not isinstance(content.get("description") or "", str):
        yield f"description: expected text, got {content['description']!r}"
    if content.get("unknown", "keep") not in get_args(Unknown):
        yield f"unknown: expected {', '.join(get_args(Unknown))}, got {content['unknown']!r}"
    for key in ("unchanged", "erased"):
        yield from _list_problems(key, content.get(key) or [])
    classes = content.get("classes") or {}
    if not isinstance(classes, dict):
        yield f"classes: expected class names with a list of models each, got {classes!r:.60}"
        return
    for name, models in classes.items():
        if not isinstance(name, str):
            yield f"classes: class name {name!r} is not text; put it in quotes"
        yield from _list_problems(f"classes.{name}", models)


def _list_problems(where: str, models: Any) -> Iterator[str]:
    if not isinstance(models, list):
        yield f"{where}: expected a list of models, got {models!r:.60}"
        return
    for model in models:
        if not isinstance(model, str):
            yield f"{where}: model {model!r} is not text; put it in quotes"
