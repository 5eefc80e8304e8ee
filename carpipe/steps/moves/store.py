"""Moves in the bucket: which class models are in, by people, kept append-only under `labels/taxonomy/`.

They are an overlay: the taxonomy's file stays as it is, and whoever uses it gets it with the moves that count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from carpipe.errors import ConfigError, InputError
from carpipe.steps.moves.rows import BY_TAXONOMY, Move, check_row, parse_moves, to_csv
from carpipe.steps.people import store
from carpipe.steps.people.rows import check_name, parse_time, write_time
from carpipe.steps.session import Session

if TYPE_CHECKING:
    from carpipe.taxonomy.rules import Taxonomy

FOLDER = "labels/taxonomy"
# The moves of an object by its key and etag.
Parsings = store.Parsings[Move]


def move_model(
    session: Session, model: str, to: str, *, taxonomy: "Taxonomy", models: Sequence[str], at: str, by: str, why: str
) -> Move:
    """Keep into which class somebody puts a model.

    Args:
        to: a class, which may be new, or `BY_TAXONOMY`.
        taxonomy: the file's rules.
        models: those of the photos; the model must be one of them, or have a rule.
        at: now, UTC, ISO 8601.

    Raises:
        InputError: there is no such model; says the nearest names.
        ConfigError: the taxonomy would be none afterwards; says each fault.
    """
    cells = {"model": model, "to": to, "by": by, "at": at, "why": why}
    said = check_row(cells, "The move")
    known = {*models, *taxonomy.models, *current_moves(session)}
    if said.model not in known:
        nearest = get_close_matches(said.model, known, n=3, cutoff=0.6)
        hint = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
        raise InputError(f"No photo is of model {said.model!r}, and the taxonomy has no rule for it.{hint}")
    keep_moves(session, [said], taxonomy=taxonomy, at=at, by=by)
    return said


def keep_moves(
    session: Session, given: Sequence[Move], *, taxonomy: "Taxonomy", at: str, by: str, read: Parsings | None = None
) -> store.Added:
    """Keep some moves, all or none. What counts already is not added.

    Args:
        taxonomy: the rules that they must fit, without any moves.
        at: now, UTC, ISO 8601.
        by: who says so.
        read: see `read_moves`.

    Raises:
        ConfigError: the taxonomy would be none afterwards; says each fault.
    """
    store.check_free(session, KIND)
    moment, by = parse_time(at, "The move"), check_name(by, "The move")
    given = [replace(one, by=one.by or by, at=one.at or moment) for one in given]
    with_moves(taxonomy, effective(current_moves(session, read=read) | {one.model: one for one in given}))
    return store.add(session, KIND, given, source=to_csv(given), moment=moment, by=by, known=read)


def read_moves(session: Session, *, read: Parsings | None = None) -> list[Move]:
    """Everything that was ever said, with its time; of what was said of one model the last counts.

    Args:
        read: what was read before, for those who ask often; what is new is added to it.

    Raises:
        InputError: an object among the moves cannot be read; names it.
    """
    return store.read_if_free(session, KIND, known=read)


def current_moves(session: Session, *, read: Parsings | None = None) -> dict[str, Move]:
    """What counts, by model: also that the taxonomy's file does."""
    return store.current(read_moves(session, read=read))


def effective(moves: Mapping[str, Move]) -> dict[str, str]:
    """What changes a taxonomy: class by model, sorted."""
    return {model: one.to for model, one in sorted(moves.items()) if one.to != BY_TAXONOMY}


def current_taxonomy(session: Session, source: str | None = None) -> "Taxonomy":
    """The taxonomy that a run uses: the file's rules, with the moves that count.

    Args:
        source: `published`, `identity` or a YAML file; None: the settings'.

    Raises:
        ConfigError: the file cannot be read or has faults, or does not go with the moves.
        InputError: an object among the moves cannot be read; names it.
    """
    from carpipe.taxonomy.read import load

    return with_moves(load(source or session.config.classes.taxonomy), effective(current_moves(session)))


def with_moves(taxonomy: "Taxonomy", moves: Mapping[str, str]) -> "Taxonomy":
    """The taxonomy with models put into classes. Raises ConfigError where it would be none; says which moves do."""
    from carpipe.taxonomy.edit import moved

    try:
        return moved(taxonomy, moves)
    except ConfigError as error:
        said = ", ".join(f"{model} to {target}" for model, target in [*moves.items()][:10])
        raise ConfigError(
            f"The moves of models to classes do not go with the taxonomy {taxonomy.name!r} ({said}). {error}\n"
            f"`carpipe classes move <model> {BY_TAXONOMY}` takes one back."
        ) from None


def describe_moves(session: Session) -> str:
    """Every move that was made, the ones that count marked, as text."""
    said = read_moves(session)
    if not said:
        return "No model was moved; `carpipe classes accept` follows advice, `carpipe classes move` moves a model."
    counting = {*store.current(said).values()}
    rows = [
        (one.model, "->", one.to, write_time(one.at), one.by or "(unknown)", "" if one in counting else "(no longer)")
        for one in said
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for one, row in zip(said, rows, strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        lines += [f"  {one.why}"] if one.why else []
    return "\n".join(lines)


def _read(data: bytes, key: str) -> list[Move]:
    return parse_moves(data, committed=key)


KIND = store.Kind(FOLDER, _read, to_csv, "moves of models")
