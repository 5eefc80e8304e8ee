"""The list of suspects as people read it: on a terminal, and as the CSV in which they say what is right."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from carpipe import manifest
from carpipe.manifest import Manifest
from carpipe.names import shown
from carpipe.spreadsheet import to_csv
from carpipe.steps import results
from carpipe.steps.session import Session

# The first five are what a correction consists of.
COLUMNS = ("listing", "from", "to", "by", "at", "suggested", "p", "why", "key")


def read_suspects(session: Session, done: Manifest, *, count: int) -> dict[str, Any]:
    """What `suspects` has committed: `judged`, `apart`, `sources`, and the likeliest of the `suspects`, of all `found`.

    Raises:
        InputError: the file cannot be read, or is not what was committed.
    """
    body: dict[str, Any] = manifest.read_json(session.store, done, results.SUSPECTED)
    return {**body, "found": len(body["suspects"]), "suspects": body["suspects"][:count]}


def render_suspects(found: Mapping[str, Any]) -> str:
    """For a terminal: three lines a listing, then who has judged, and what was not judged."""
    return "\n".join(_lines(found))


def suspects_csv(found: Mapping[str, Any]) -> str:
    """For a spreadsheet: `to`, `by` and `at` are empty; who fills in `to` has a correction."""
    import pandas as pd

    rows = [{**one, "p": f"{one['p']:.3f}", "to": "", "by": "", "at": ""} for one in found["suspects"]]
    return to_csv(pd.DataFrame(rows, columns=list(COLUMNS)))


def suspects_json(found: Mapping[str, Any]) -> str:
    """For machines."""
    return json.dumps(found, indent=1, ensure_ascii=False)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    listed: Sequence[Mapping[str, Any]] = found["suspects"]
    if found["found"]:
        which = f", the likeliest {len(listed):,} of them:" if len(listed) < found["found"] else ":"
        yield f"{found['found']:,} of {found['judged']:,} judged listings may be in the wrong class{which}"
    else:
        yield f"None of {found['judged']:,} judged listings looks as if it were in the wrong class."
    for number, one in enumerate(listed, 1):
        yield shown(f"{number:>4}  {one['listing']}  {one['from']} -> {one['suggested']}  {one['p']:.2f}")
        yield shown(f"      {one['why']}")
        yield shown(f"      raw/{one['key']}")
    yield from _judges(found["sources"])
    yield from _not_judged(found["apart"])


def _judges(sources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in sources:
        when = "when they were evaluated on" if one["kind"] == "evaluation" else "when they were new"
        yield shown(f"{one['listings']:,} listings were judged {when}, by {one['model']}. It was not trained on them.")


def _not_judged(apart: Mapping[str, int]) -> Iterator[str]:
    from carpipe.evaluation.suspects import APART

    told = [f"{apart[name]:,} {text}" for name, text in APART.items() if apart.get(name)]
    if told:
        yield f"Left out: {'; '.join(told)}."
