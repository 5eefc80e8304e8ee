"""What the page Classes shows: advice on classes that look alike, what people have made of it, and what they moved."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.models.accept import Standing, standings
from carpipe.steps.models.advice import JSON, MODEL
from carpipe.steps.moves.rows import BY_TAXONOMY, Move
from carpipe.steps.moves.store import Parsings, read_moves
from carpipe.steps.people import store
from carpipe.steps.verdicts.store import Parsings as VerdictParsings
from carpipe.steps.verdicts.store import Verdict, current_verdicts, proposal_id

ADVICE = f"stages/{results.ADVICE}/{MODEL}"


@dataclass(frozen=True)
class ProposalView:
    """A proposal for people.

    Attributes:
        kind: `merge` or `split`.
        name: what to accept it by.
        what: it in short.
        said: it in sentences.
        accepted: who has accepted it and when; null where nobody has.
        open: whether it waits for somebody: accepting it would change something, and nobody has said anything.
        changes: whether accepting it would change anything.
        id: what a verdict on it is kept by.
        verdict: who has refused it, or put it off; null where nobody has.
    """

    kind: str
    name: str
    what: str
    said: tuple[str, ...]
    accepted: Move | None
    open: bool
    changes: bool = True
    id: str = ""
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Moved:
    """What somebody has moved at one time for one reason, and still counts."""

    by: str
    at: str
    why: str
    moves: Mapping[str, str]


@dataclass(frozen=True)
class ClassesView:
    """The page.

    Attributes:
        advice: id of the advice; empty where there is none.
        made: UTC, to the minute.
        dataset: id of the dataset that it is about.
        photos, cars: unseen ones that it is drawn from.
        proposals: in the order of the advice.
        moved: what counts, the newest first.
        before: how many more moves there were, which count no more.
    """

    advice: str
    made: str
    dataset: str
    photos: int
    cars: int
    proposals: tuple[ProposalView, ...]
    moved: tuple[Moved, ...]
    before: int


def show_classes(cache: ResultCache) -> ClassesView:
    """The newest advice and all moves."""
    said = read_moves(cache.session, read=parsings(cache))
    current = store.current(said)
    moved, before = _grouped(current), len(said) - sum(one.to != BY_TAXONOMY for one in current.values())
    found = _newest(cache)
    if found is None:
        return ClassesView("", "", "", 0, 0, (), moved, before)
    advice, made = found
    session = cache.session
    body: dict[str, Any] = cache.get(("advice", advice.key), lambda: manifest.read_json(session.store, advice, JSON))
    verdicts = current_verdicts(session, read=verdict_parsings(cache))
    shown = tuple(_view(one, verdicts) for one in standings(session, advice, body, read=parsings(cache)))
    dataset = advice.extra["dataset"].split("/")[1]
    return ClassesView(advice.key.split("/")[3], made, dataset, body["photos"], body["cars"], shown, moved, before)


def find_advice(cache: ResultCache, advice: str) -> Manifest:
    """An advice by its id. Raises InputError where there is none."""
    try:
        return cache.manifest(f"{ADVICE}/{advice}/manifest.json")
    except MissingError:
        raise InputError(f"There is no advice {advice} in {cache.session.store.url}.") from None


def parsings(cache: ResultCache) -> Parsings:
    """What was read of moves before."""
    found: Parsings = cache.get(("moves",), dict)
    return found


def verdict_parsings(cache: ResultCache) -> VerdictParsings:
    """What was read of verdicts before."""
    found: VerdictParsings = cache.get(("verdicts",), dict)
    return found


def _newest(cache: ResultCache) -> tuple[Manifest, str] | None:
    for info in cache.manifests(ADVICE):
        try:
            done = cache.manifest(info.key)
            cache.manifest(done.extra["dataset"])
        except (MissingError, InputError):  # deleted since, or of a later form
            continue
        return done, info.minute
    return None


def _view(one: Standing, verdicts: Mapping[str, Verdict]) -> ProposalView:
    said, proposal = tuple(one.body.get("said", ())), one.proposal
    accepted = max(one.accepted, key=lambda move: str(move.at)) if one.accepted else None
    changes, proposed = bool(proposal.moves) and not one.accepted, proposal_id(proposal.kind, proposal.moves)
    verdict = verdicts.get(proposed) if changes else None
    return ProposalView(
        proposal.kind, proposal.name, proposal.what, said, accepted, changes and verdict is None, changes, proposed,
        verdict,
    )  # fmt: skip


def _grouped(current: Mapping[str, Move]) -> tuple[Moved, ...]:
    """What counts, together what was said together."""
    groups: dict[tuple[str, str, str], dict[str, str]] = {}
    for model, one in sorted(current.items()):
        if one.to != BY_TAXONOMY:
            groups.setdefault((str(one.at), one.by, one.why), {})[model] = one.to
    return tuple(Moved(by, at, why, moves) for (at, by, why), moves in sorted(groups.items(), reverse=True))
