"""The taxonomy: which class a model (`<make>_<model>`) belongs to, or that it is erased.

Rules are one step deep: a class lists models, never other classes. `read` makes taxonomies of YAML files.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import yaml

from carpipe.errors import InputError
from carpipe.names import model_name

Unknown = Literal["keep", "erase", "error"]


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

        The model may be spelled in any way that is one with its rule's (`names.model_name`). Raises `InputError` for
        a model without a rule where `unknown` is `error`.
        """
        model = model_name(model)
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
