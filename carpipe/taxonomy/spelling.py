"""Models as people write them in a taxonomy, brought to the spelling that photos get from their folders.

What can be meant in one way only is taken so (`VW_Golf`, spaces around). What can match no photo is an error that says
what may be meant.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from carpipe.names import is_printable, model_name
from carpipe.taxonomy.lint import Finding, error
from carpipe.taxonomy.rules import Taxonomy
from carpipe.taxonomy.slug import slug

# Between the words of a slug: `a-klasse`, `a_klasse` and `aklasse` are one.
_SEPARATORS = re.compile(r"[^a-z0-9]")
# As a folder has it behind make and model.
YEAR = re.compile(r"(?P<model>[^_]+_.+)_(?:19|20)[0-9]{2}")


def spelling_faults(taxonomy: Taxonomy) -> Iterator[Finding]:
    """Rules that no photo can have, and those that are one model and say different things."""
    places: dict[str, tuple[str, str]] = {}
    for where, written in taxonomy.rules():
        if "/" in written:
            yield error("name", where, f"model {written!r} holds a slash, as folders do{_hint(_of_folder(written))}")
        elif not is_printable(written):
            yield error("name", where, f"model {written!r} holds control characters{_hint(_printable(written))}")
        place, other = places.setdefault(model_name(written), (where, written))
        if place != where and other != written:
            sentence = f"models {other!r} (in {place}) and {written!r} (in {where}) are one, {model_name(written)!r}"
            yield error("double rule", where, f"{sentence}, and have two rules")


def spelled(taxonomy: Taxonomy) -> Taxonomy:
    """The same rules, models spelled as photos have them."""
    return replace(
        taxonomy,
        classes={name: _once(models) for name, models in taxonomy.classes.items()},
        unchanged=_once(taxonomy.unchanged),
        erased=_once(taxonomy.erased),
    )


def without_year(model: str) -> str:
    """The model that is meant where somebody wrote its year too; empty where there is none."""
    match = YEAR.fullmatch(model)
    return match["model"] if match else ""


def letters_of(model: str) -> str:
    """What spellings of one model have in common that `model_name` keeps apart: letters and digits in ASCII."""
    return _SEPARATORS.sub("", slug(model))


def _once(models: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(model_name, models)))


def _of_folder(written: str) -> str:
    parts = [part for part in written.split("/") if part.strip()]
    model = model_name(parts[-1]) if parts else ""
    return without_year(model) or model


def _printable(written: str) -> str:
    return model_name("".join(character for character in written if is_printable(character)))


def _hint(meant: str) -> str:
    return f"; did you mean {meant!r}?" if meant else ""
