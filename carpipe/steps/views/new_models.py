"""What may be new classes, as people see it: on a terminal, as a CSV to correct listings in, on the page Data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.names import shown
from carpipe.spreadsheet import to_csv
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.datasets import list_manifests
from carpipe.steps.session import Session

HOME = f"stages/{results.NEW_MODELS}/{results.WHOLE}"
SHOWN = 20  # names, and groups, that the page shows
# The first five are what a correction consists of.
COLUMNS = ("listing", "from", "to", "by", "at", "proposal", "unknown", "key")


@dataclass(frozen=True)
class ProposalView:
    """A name or a group; `examples` maps a number that its picture is asked for by to the photo's key."""

    title: str
    why: str
    yaml: str
    examples: dict[int, str]


@dataclass(frozen=True)
class NewModelsView:
    """What a result proposes."""

    id: str
    proposals: list[ProposalView]
    notes: list[str]


def told_new_models(session: Session, dataset: Manifest) -> str:
    """What was found last in a dataset, in some sentences; empty where nobody has looked, or nobody can read it."""
    from carpipe.evaluation.new_models import describe

    for _, done in manifest.newest_first(session.store, list_manifests(session, HOME)):
        try:
            if done and done.inputs[:1] == [dataset.key]:
                return describe(read_new_models(session, done))
        except (MissingError, InputError, KeyError, TypeError):
            continue  # deleted since, or of a later form
    return ""


def read_new_models(session: Session, done: Manifest) -> dict[str, Any]:
    """What `new_models` has committed, see `carpipe.evaluation.new_models.to_json`.

    Raises:
        InputError: the file cannot be read, or is not what was committed.
    """
    body: dict[str, Any] = manifest.read_json(session.store, done, results.PROPOSED)
    return body


def nothing_new() -> dict[str, Any]:
    """As `read_new_models`, where no listing is newer than the live model."""
    says = (
        "No listing is newer than the live model, so no car can be new to it. Photos that come after its training are "
        "looked at in the night in which they come."
    )
    return {"judged": 0, "unknown": 0, "names": [], "groups": [], "listings": [], "notes": [says]}


def render_new_models(found: Mapping[str, Any]) -> str:
    """For a terminal: names, groups, then what could not be said."""
    return "\n".join(_lines(found))


def new_models_csv(found: Mapping[str, Any]) -> str:
    """For a spreadsheet: `to`, `by` and `at` are empty; who fills in `to` has a correction."""
    import pandas as pd

    rows = [{**one, "unknown": "yes" if one["unknown"] else "no", "to": "", "by": "", "at": ""}
            for one in found["listings"]]  # fmt: skip
    return to_csv(pd.DataFrame(rows, columns=list(COLUMNS)))


def newest_new_models(cache: ResultCache, dataset: str) -> NewModelsView | None:
    """What was found last in a dataset, by the dataset's id; None where nobody has looked, or nobody can read it."""
    for info in cache.manifests(HOME):
        try:
            done = cache.manifest(info.key)
            if done.inputs[:1] == [f"datasets/{dataset}/manifest.json"]:
                return _cached(cache, done)
        except (MissingError, InputError, KeyError, TypeError, AttributeError):
            continue  # deleted since, or of a later form
    return None


def photo_of(cache: ResultCache, found: str, number: int) -> str:
    """The key of a photo that the page shows, by the result's id and its number there.

    Raises:
        InputError: there is no such result, or the page does not show that photo.
    """
    try:
        done = cache.manifest(f"{HOME}/{found}/manifest.json")
    except MissingError:
        raise InputError(f"There is no result {found} in {cache.session.store.url}.") from None
    for one in _cached(cache, done).proposals:
        if number in one.examples:
            return one.examples[number]
    raise InputError(f"Photo {number} is none of the examples of {found}.")


def _cached(cache: ResultCache, done: Manifest) -> NewModelsView:
    found: NewModelsView = cache.get(("new models", done.key), lambda: _view(cache, done))
    return found


def _view(cache: ResultCache, done: Manifest) -> NewModelsView:
    body = read_new_models(cache.session, done)
    proposals, number = [], 0
    notes = [str(note) for note in body["notes"]]
    if (more := len(body["names"]) - SHOWN) > 0:
        notes.append(f"There are {more:,} more names: `carpipe classes new` shows them.")
    for one in [*body["names"][:SHOWN], *body["groups"][:SHOWN]]:
        keys = [str(key) for key in one["examples"]]
        examples = dict(enumerate(keys, number))
        number += len(keys)
        proposals.append(ProposalView(_title(one), str(one["why"]), str(one.get("yaml", "")), examples))
    return NewModelsView(done.key.split("/")[3], proposals, notes)


def _title(one: Mapping[str, Any]) -> str:
    if "model" not in one:
        return f"{len(one['listings']):,} listings of {len(one['names']):,} names that look alike"
    return f"{one['model']}: {one['listings']:,} new listings{_mark(one)}"


def _mark(one: Mapping[str, Any]) -> str:
    """What speaks for a name, in short."""
    if one["twin"]:
        return ", another spelling"
    if one["new"]:
        return ", new"
    return f", looks like {one['alias']}" if one["alias"] else ""


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    if found["judged"] and not found["names"] and not found["groups"]:
        yield f"No new class is proposed. {found['unknown']:,} of {found['judged']:,} new listings are unknown."
    for one in [*found["names"], *found["groups"]]:
        yield shown(_title(one))
        yield shown(f"    {one['why']}")
        for line in str(one.get("yaml", "")).splitlines():
            yield shown(f"      {line}")
        for key in one["examples"][:2]:
            yield shown(f"    {key}")
    yield from (shown(note) for note in found["notes"])
    if found["names"] or found["groups"]:
        yield f"By {shown(found['model'])}."
        yield "Nothing is added by itself; `carpipe classes diff` shows what a taxonomy would change."
