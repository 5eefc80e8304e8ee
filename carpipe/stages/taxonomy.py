"""The taxonomy: which class a model (`<make>_<model>`) belongs to, or that it is erased.

A taxonomy is a versioned YAML file that people read and edit, so reading it is strict: whatever is
contradictory or ambiguous in it is an error that says where, never a guess. Rules are one step deep: a class lists
models, never other classes.
"""

import hashlib
import unicodedata
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from carpipe.errors import ConfigError, InputError
from carpipe.stages.taxonomy_check import Finding, lint

Unknown = Literal["keep", "erase", "error"]

FORMAT = (
    "version: a whole number; description: text; unknown: keep, erase or error; "
    "classes: class name -> list of models; unchanged: list of models; erased: list of models"
)
KEYS = ("version", "description", "unknown", "classes", "unchanged", "erased")


@dataclass(frozen=True)
class Taxonomy:
    """Rules from models to classes. `load` and `parse` only return taxonomies without lints.

    `classes` holds merged and renamed models, `unchanged` those that are a class of their own name,
    `erased` those whose photos are thrown out. `unknown` says what becomes of every other model: `keep`
    makes it a class of its own name, `erase` throws it out, `error` refuses it.
    """

    name: str
    version: int = 1
    description: str = ""
    unknown: Unknown = "keep"
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unchanged: tuple[str, ...] = ()
    erased: tuple[str, ...] = ()

    def class_of(self, model: str) -> str | None:
        """Return the class of `model`, or None where it is erased.

        Models are compared in NFC, so a folder named on a Mac finds its rule. Raises `InputError` for
        a model without a rule where `unknown` is `error`.
        """
        model = unicodedata.normalize("NFC", model)
        if model in self.class_by_model or self.unknown == "erase":
            return self.class_by_model.get(model)
        if self.unknown == "keep":
            return model
        raise InputError(
            f"taxonomy {self.name!r} has no rule for model {model!r}: add it to classes, unchanged or "
            "erased, or set unknown to keep or erase"
        )

    def class_or_none(self, model: str) -> str | None:
        """Return the class of `model`, or None where it is erased, or refused as `unknown: error` does."""
        try:
            return self.class_of(model)
        except InputError:
            return None

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that has a rule, sorted."""
        return tuple(sorted(self.class_by_model))

    @cached_property
    def lints(self) -> tuple[Finding, ...]:
        """What is wrong with the rules, each as a sentence that says where; empty when all is well."""
        return lint(self)

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of the rules: the same for the same content, whatever order or comments a file has."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()

    def to_yaml(self) -> str:
        """Return the canonical YAML text, sorted, without comments; `parse` reads it back."""
        content = {
            "version": self.version,
            "description": self.description,
            "unknown": self.unknown,
            "classes": {name: sorted(self.classes[name]) for name in sorted(self.classes)},
            "unchanged": sorted(self.unchanged),
            "erased": sorted(self.erased),
        }
        return yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=100)

    @cached_property
    def class_by_model(self) -> dict[str, str | None]:
        """The class of every model that has a rule; None where the rule erases it."""
        rules: dict[str, str | None] = dict.fromkeys(self.erased)
        rules.update({model: model for model in self.unchanged})
        rules.update({model: name for name, models in self.classes.items() for model in models})
        return rules

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield (place in the file, model) for every mention of a model."""
        for name, models in self.classes.items():
            yield from ((f"classes.{name}", model) for model in models)
        yield from (("unchanged", model) for model in self.unchanged)
        yield from (("erased", model) for model in self.erased)


def load(source: str) -> Taxonomy:
    """Read a taxonomy: `published`, `identity`, or the path of a YAML file.

    `published` holds the rules of the published 763 models -> 512 classes; `identity` has no rules, so
    each model is a class. Raises `ConfigError` where the file is missing or has lints.
    """
    packaged = resources.files("carpipe.stages") / "taxonomies" / f"{source}.yaml"
    if source in packaged_names():
        return parse(packaged.read_text("utf-8"), name=source)
    path = Path(source)
    if not path.is_file():
        known = ", ".join(packaged_names())
        raise ConfigError(f"there is no taxonomy {source!r}: give the path of a YAML file, or one of {known}")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"taxonomy {source!r} must be UTF-8 text: {error}") from error
    return parse(text, name=path.stem)


def packaged_names() -> tuple[str, ...]:
    """Names of the taxonomies that come with the package."""
    folder = resources.files("carpipe.stages") / "taxonomies"
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir()))


def parse(text: str, *, name: str) -> Taxonomy:
    """Read a taxonomy from YAML text; `name` is what errors call it.

    Raises `ConfigError` that lists all lints.
    """
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a SafeLoader that also refuses doubled keys
    except yaml.YAMLError as error:
        raise ConfigError(f"taxonomy {name!r} is not readable YAML: {error}") from error
    problems = list(_shape_problems(content))
    if not problems:
        taxonomy = _from_content(content, name)
        problems = list(map(str, taxonomy.lints))
    if problems:
        raise ConfigError(f"taxonomy {name!r} has {len(problems)} problems:\n- " + "\n- ".join(problems))
    return taxonomy


class _StrictLoader(yaml.SafeLoader):
    """yaml.SafeLoader that refuses a key written twice, where the original silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                raise yaml.YAMLError(f"key {name!r} is written twice, in lines {lines[name]} and {line}")
            lines[name] = line
        return super().construct_mapping(node, deep)


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
