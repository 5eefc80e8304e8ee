"""What is wrong or doubtful in a taxonomy: lints of the rules alone, and a check against the models of the data.

An `error` makes a taxonomy unusable, alone or for this data; a `note` is worth a look, since a rule for a model that
no photo has may be misspelt, or may wait for photos to come.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from itertools import groupby

from carpipe.names import counted, model_name
from carpipe.taxonomy.lint import Finding, Kind, class_names, error, lint
from carpipe.taxonomy.rules import Taxonomy
from carpipe.taxonomy.slug import collisions, has_ascii_form, slug
from carpipe.taxonomy.spelling import without_year

# Share of equal letters from which two names look like one misspelt: of the whole name, and of make and model, so that
# a long make does not make any two of its models alike (`audi_r8` and `audi_q8`; `fiat_pamda` is 0.9 and 0.8).
CLOSE, CLOSE_PART = 0.85, 0.8
# The same where the other has a rule too, and so is hardly a slip (`ford_b-max` and `ford_c-max` are 0.8).
SURE_PART = 0.85


def check(taxonomy: Taxonomy, models: Mapping[str, int] | None = None) -> list[Finding]:
    """Return what is wrong or doubtful in a taxonomy, errors first; empty when all is well.

    Args:
        models: model -> photos in the data, as `classes` gets them; a model with 0 photos is not in the data.
            None: the rules are looked at alone.
    """
    findings = [*lint(taxonomy)]
    places = {name: where for where, name in class_names(taxonomy)}
    if models is not None:
        present = count_models(models)
        for model in present:
            if (name := taxonomy.class_or_none(model)) is not None:
                places.setdefault(name, "data")
        findings += [*_without_rule(taxonomy, present), *_without_photos(taxonomy, present)]
        findings += _same_slugs_in_data(taxonomy, places)
    findings += _unreadable_slugs(places)
    return sorted(findings, key=lambda finding: finding.severity != "error")


def kept_without_rule(taxonomy: Taxonomy, models: Mapping[str, int]) -> list[Finding]:
    """Notes on models of the data that no rule mentions and `unknown: keep` makes classes, those of most photos first.

    A taxonomy without any rule, such as `identity`, means just that: there is nothing to note.
    """
    ruled = dict.fromkeys(taxonomy.models)
    if taxonomy.unknown != "keep" or not ruled:
        return []
    index = _by_digits([*ruled])
    left = ((model, photos) for model, photos in count_models(models).most_common() if model not in ruled)
    return [
        _note("no rule", "data", f"model {model!r} has {counted(photos, 'photo')} and no rule, so it is a class"
              f"{_suggest(model, index)}")
        for model, photos in left
    ]  # fmt: skip


def render_findings(findings: Sequence[Finding], *, max_findings: int = 10) -> str:
    """Return findings as readable lines: every error, and of each kind of note the first `max_findings`; 0: all."""
    lines = [f"error  {finding}" for finding in findings if finding.severity == "error"]
    notes = sorted((one for one in findings if one.severity == "note"), key=lambda finding: finding.kind)
    for kind, group in groupby(notes, key=lambda finding: finding.kind):
        told = [f"note   {finding}" for finding in group]
        shown = told[:max_findings] if max_findings else told
        lines += shown
        if len(told) > len(shown):
            lines.append(f"note   and {len(told) - len(shown):,} more of this kind ({kind})")
    return "\n".join(lines)


def count_models(models: Mapping[str, int]) -> Counter[str]:
    """Return the models that have photos, spelled as rules are, with their photos."""
    counts: Counter[str] = Counter()
    for model, photos in models.items():
        counts[model_name(model)] += photos
    return +counts


def _note(kind: Kind, where: str, sentence: str) -> Finding:
    return Finding("note", kind, where, sentence)


def _same_slugs_in_data(taxonomy: Taxonomy, names: Collection[str]) -> Iterator[Finding]:
    """Models without a rule are classes of their own name, which may have the slug of another class."""
    linted = collisions(name for _, name in class_names(taxonomy))
    for one, group in collisions(names).items():
        if one not in linted:
            told = " and ".join(map(repr, group))
            yield error("slug", "data", f"classes {told} have one ASCII slug, {one!r}; merge or rename them")


def _unreadable_slugs(places: Mapping[str, str]) -> Iterator[Finding]:
    for name, where in sorted(places.items()):
        if not has_ascii_form(name):
            sentence = f"class {name!r} has letters without an ASCII form: its slug is {slug(name)!r}"
            yield _note("slug", where, sentence)


def _without_rule(taxonomy: Taxonomy, present: Mapping[str, int]) -> Iterator[Finding]:
    """Models of the data that `unknown` refuses (an error) or throws out (a note)."""
    if taxonomy.unknown == "keep":
        return
    index = _by_digits([model for model in taxonomy.models if model not in present])
    for model in sorted(set(present) - set(taxonomy.models)):
        sentence = f"model {model!r} has {present[model]:,} photos and no rule{_suggest(model, index)}"
        if taxonomy.unknown == "error":
            yield error("no rule", "data", sentence)
        else:
            yield _note("no rule", "data", f"{sentence}; they are erased")


def _without_photos(taxonomy: Taxonomy, present: Mapping[str, int]) -> Iterator[Finding]:
    """Classes and models of the rules that no photo has; with the model they may mean, if that one has no rule."""
    orphans = {
        f"classes.{name}"
        for name, models in taxonomy.classes.items()
        if models and not any(model in present for model in (name, *models))
    }
    index = _by_digits([model for model in present if model not in taxonomy.class_by_model])
    ruled = _by_digits([model for model in present if model in taxonomy.class_by_model])
    for where in sorted(orphans):
        models = taxonomy.classes[where.removeprefix("classes.")]
        intended = (_meant(model, index) or _meant(model, ruled, part=SURE_PART) for model in models)
        yield _note("orphan", where, f"no photo has any of its models{_hint(intended)}")
    for where, model in taxonomy.rules():
        if model not in present and (meant := without_year(model)) in present:
            yield error(
                "misspelt", where, f"no photo has model {model!r}, which ends in a year; did you mean {meant!r}?"
            )
            continue
        hint = _suggest(model, index)
        if model not in present and (hint or where not in orphans):
            yield _note("misspelt" if hint else "no photos", where, f"no photo has model {model!r}{hint}")


def _by_digits(models: Sequence[str]) -> dict[str, list[str]]:
    """Group names by the digits in them: `bmw_316` and `bmw_318` are two cars, not one misspelt."""
    groups: dict[str, list[str]] = {}
    for model in models:
        groups.setdefault(re.sub(r"\D", "", model), []).append(model)
    return groups


def _suggest(model: str, index: Mapping[str, Sequence[str]]) -> str:
    return _hint([_meant(model, index)])


def _hint(meant: Iterable[str | None]) -> str:
    """A question about the models that may be meant, each once; empty where there are none."""
    told = " or ".join(repr(name) for name in dict.fromkeys(meant) if name)
    return f"; did you mean {told}?" if told else ""


def _meant(model: str, index: Mapping[str, Sequence[str]], *, part: float = CLOSE_PART) -> str | None:
    candidates = index.get(re.sub(r"\D", "", model), ())
    twin = next((name for name in candidates if slug(name) == slug(model)), None)
    close = [twin] if twin else get_close_matches(model, candidates, n=3, cutoff=CLOSE)
    return next((name for name in close if name == twin or _alike_in_parts(model, name, part)), None)


def _alike_in_parts(one: str, other: str, part: float) -> bool:
    parts = zip(one.partition("_")[::2], other.partition("_")[::2], strict=True)
    return all(SequenceMatcher(None, a, b).ratio() >= part or _swapped(a, b) for a, b in parts)


def _swapped(one: str, other: str) -> bool:
    """Whether two letters that stand side by side have changed places: a slip of every typist, `glof` for `golf`."""
    wrong = [place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    if len(one) != len(other) or len(wrong) != 2 or wrong[1] - wrong[0] != 1:
        return False
    first, second = wrong
    return one[first] == other[second] and one[second] == other[first]
