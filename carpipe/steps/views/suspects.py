"""The list of suspects as people read it: on a terminal, and as the CSV in which they say what is right."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.names import counted, shown
from carpipe.spreadsheet import to_csv
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.session import Session
from carpipe.steps.views.judges import describe_judge

# The first five are what a correction consists of. Columns that came later stand at the end.
COLUMNS = ("listing", "from", "to", "by", "at", "suggested", "p", "why", "key", "p_from")


def read_suspects(session: Session, done: Manifest, *, count: int) -> dict[str, Any]:
    """What `suspects` has committed: `judged`, `apart`, `sources`, and the likeliest of the `suspects`, of all `found`.

    The sources say more than what is kept: see `carpipe.steps.views.judges.describe_judge`.

    Raises:
        InputError: the file cannot be read, or is not what was committed.
    """
    body: dict[str, Any] = manifest.read_json(session.store, done, results.SUSPECTED)
    sources = [{**one, **asdict(describe_judge(session, one, done.inputs))} for one in body["sources"]]
    return {**body, "sources": sources, "found": len(body["suspects"]), "suspects": body["suspects"][:count]}


def suspected(cache: ResultCache) -> tuple[str, ...]:
    """Listings of the newest list of suspects; empty where none was ever made."""
    return tuple(one["listing"] for one in suspect_rows(cache))


def suspect_rows(cache: ResultCache) -> Sequence[Mapping[str, Any]]:
    """The newest list of suspects, the likeliest first; empty where none was ever made."""
    done = newest_suspects(cache)
    if done is None:
        return ()
    found: Sequence[Mapping[str, Any]] = cache.get(("suspects", done.key), partial(_rows, cache, done))
    return found


def newest_suspects(cache: ResultCache) -> Manifest | None:
    """The newest list of suspects; None where none was ever made."""
    for info in cache.manifests(f"stages/{results.SUSPECTS}/{results.WHOLE}"):
        with contextlib.suppress(MissingError, InputError):  # deleted since, or of another version
            return cache.manifest(info.key)
    return None


def _rows(cache: ResultCache, done: Manifest) -> Sequence[Mapping[str, Any]]:
    found: list[dict[str, Any]] = manifest.read_json(cache.session.store, done, results.SUSPECTED)["suspects"]
    return found


def render_suspects(found: Mapping[str, Any]) -> str:
    """For a terminal: three lines a listing, then who has judged, and what was not judged."""
    return "\n".join(_lines(found))


def suspects_csv(found: Mapping[str, Any]) -> str:
    """For a spreadsheet: `to`, `by` and `at` are empty; who fills in `to` has a correction."""
    import pandas as pd

    empty = {"to": "", "by": "", "at": ""}
    rows = [{**one, "p": f"{one['p']:.3f}", "p_from": f"{one['p_from']:.3f}", **empty} for one in found["suspects"]]
    return to_csv(pd.DataFrame(rows, columns=list(COLUMNS)))


def suspects_json(found: Mapping[str, Any]) -> str:
    """For machines."""
    return json.dumps(found, indent=1, ensure_ascii=False)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    listed: Sequence[Mapping[str, Any]] = found["suspects"]
    if found["found"]:
        which = f", the likeliest {len(listed):,} of them:" if len(listed) < found["found"] else ":"
        yield f"{found['found']:,} of {found['judged']:,} judged listings may be in the wrong class{which}"
        yield "After each class: how likely the model finds it. The less likely the given class, the earlier it comes."
    else:
        yield f"None of {found['judged']:,} judged listings looks as if it were in the wrong class."
    for number, one in enumerate(listed, 1):
        given, better = f"{one['from']} {one['p_from']:.2f}", f"{one['suggested']} {one['p']:.2f}"
        yield shown(f"{number:>4}  {one['listing']}  {given} -> {better}")
        yield shown(f"      {one['why']}")
        yield shown(f"      {one['key']}")
    yield from _judges(found["sources"])
    yield from _not_judged(found["apart"])


def _judges(sources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in sources:
        how = "by the newest evaluation," if one["kind"] == "evaluation" else "when new,"
        judged = f"{counted(one['listings'], 'listing')} {'was' if one['listings'] == 1 else 'were'} judged {how}"
        yield shown(f"{judged} of {one['name']}{one['said']}")
    if sources:
        yield "No model has judged a listing that it was trained on."


def _not_judged(apart: Mapping[str, int]) -> Iterator[str]:
    from carpipe.evaluation.suspects import APART

    told = [f"{apart[name]:,} {text}" for name, text in APART.items() if apart.get(name)]
    if told:
        yield f"Left out: {'; '.join(told)}."
