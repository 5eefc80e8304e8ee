"""Advice that somebody accepts becomes moves of models: nothing else turns advice into classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import ConfigError, InputError
from carpipe.manifest import Manifest
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.data.taxonomy import read_taxonomy
from carpipe.steps.models.advice import JSON, Proposal, proposals
from carpipe.steps.moves.rows import BY_TAXONOMY, Move
from carpipe.steps.moves.store import Parsings, current_moves, effective, keep_moves
from carpipe.steps.session import Session

if TYPE_CHECKING:
    from carpipe.taxonomy.rules import Taxonomy


@dataclass(frozen=True)
class Standing:
    """A proposal, and what became of it.

    Attributes:
        body: the proposal with all of its figures, as the JSON of the advice has it.
        accepted: the moves that somebody has made of it; empty where nobody has, or where they were taken back.
    """

    proposal: Proposal
    body: Mapping[str, Any]
    accepted: tuple[Move, ...]


def standings(
    session: Session, advice: Manifest, body: Mapping[str, Any], *, read: Parsings | None = None
) -> list[Standing]:
    """The proposals of an advice, in its order.

    Args:
        advice: of `advise`.
        body: its JSON.
        read: see `store.read_moves`.
    """
    then = read_taxonomy(session, manifest.read(session.store, advice.extra["dataset"]))
    current = current_moves(session, read=read)
    bodies = [*body["merges"], *body["splits"]]
    return [
        Standing(proposal, one, tuple(_made(proposal, current)))
        for proposal, one in zip(proposals(body, then), bodies, strict=True)
    ]


def accept(
    session: Session, advice: Manifest, names: Sequence[str], *, at: str, by: str, read: Parsings | None = None
) -> list[Move]:
    """Make the moves of some proposals of an advice; all of them or none. What was accepted before stays as it is.

    Args:
        advice: of `advise`.
        names: `Proposal.name` of each.
        at: now, UTC, ISO 8601.
        by: who accepts.
        read: see `store.read_moves`.

    Returns:
        The moves that are new.

    Raises:
        InputError: the advice has no such proposal, following it changes nothing, or the taxonomy would be none
            afterwards.
    """
    body = manifest.read_json(session.store, advice, JSON)
    there = {one.proposal.name: one for one in standings(session, advice, body, read=read)}
    for name in names:
        _check_proposal(name, there)
    new = [there[name].proposal for name in dict.fromkeys(names) if not there[name].accepted]
    made = [move for proposal in new for move in _moves(proposal, advice)]
    if made:
        data = manifest.read(session.store, advice.extra["dataset"])
        try:
            keep_moves(session, made, taxonomy=_rules(session, data), at=at, by=by, read=read)
        except ConfigError as error:
            raise InputError(f"This advice cannot be followed; was the taxonomy changed since? {error}") from None
    return made


def take_back(session: Session, models: Sequence[str], *, at: str, by: str, read: Parsings | None = None) -> None:
    """Let the taxonomy's file say again what becomes of models; those of which it does stay as they are.

    Args:
        at, by, read: as for `accept`.

    Raises:
        ConfigError: the taxonomy would be none afterwards: other moves rest on these.
    """
    counting = effective(current_moves(session, read=read))
    back = [Move(model, BY_TAXONOMY) for model in models if model in counting]
    if back:
        keep_moves(session, back, taxonomy=_rules(session, find_dataset(session, None)), at=at, by=by, read=read)


def _check_proposal(name: str, there: Mapping[str, Standing]) -> None:
    if name not in there:
        known = f"it has proposals on {', '.join(there)}" if there else "it has none"
        raise InputError(
            f"The advice has no proposal on {name!r}; {known}. Without advice, `carpipe classes move <model> "
            "<class>` puts a model into a class."
        )
    if not there[name].proposal.moves:
        raise InputError(
            f"To follow the advice on {name} changes nothing: the taxonomy says so already, or has become too "
            "different. `carpipe classes move <model> <class>` moves a model all the same."
        )


def _moves(proposal: Proposal, advice: Manifest) -> Iterator[Move]:
    why = f"advice {advice.key.split('/')[3][:8]}: {proposal.kind} {proposal.what}"
    return (Move(model, target, why=why) for model, target in sorted(proposal.moves.items()))


def _made(proposal: Proposal, current: Mapping[str, Move]) -> Iterator[Move]:
    """The moves that count and do what the proposal says; none where one of its moves does not count."""
    moves = [current.get(model) for model in proposal.moves]
    if all(one and one.to == target for one, target in zip(moves, proposal.moves.values(), strict=True)):
        yield from (one for one in moves if one)


def _rules(session: Session, data: Manifest) -> "Taxonomy":
    """The taxonomy's rules: of the file where this machine has it, else as the dataset had them."""
    from carpipe.taxonomy.read import load

    try:
        return load(session.config.classes.taxonomy)
    except ConfigError:
        return read_taxonomy(session, data)
