"""Verdicts on proposals in the bucket, by people, kept append-only under `labels/advice/`.

A proposal that somebody has refused, or put off until later, waits for nobody. Accepting one is a move: see
`carpipe.steps.moves`. A verdict is on the very moves of a proposal: advice that proposes others is new.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, get_args

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.steps.people import store
from carpipe.steps.people.files import Table, decode, read_csv, write_csv
from carpipe.steps.people.rows import check_name, check_time, check_why, parse_time, short, write_time
from carpipe.steps.session import Session

FOLDER = "labels/advice"
Word = Literal["refused", "later", "open"]
WORDS: tuple[Word, ...] = get_args(Word)
TABLE = Table("verdicts", "a verdict", ("proposal", "to", "by", "at", "why"), needed=("proposal", "to"))
# The verdicts of an object by its key and etag.
Parsings = store.Parsings["Verdict"]


@dataclass(frozen=True)
class Verdict:
    """What somebody said of a proposal.

    Attributes:
        proposal: id of its moves, see `proposal_id`.
        to: `open` takes back what was said before.
        by: empty where the file does not say.
        at: UTC; null where the file does not say.
        why: for people; may be empty.
    """

    proposal: str
    to: Word
    by: str = ""
    at: datetime | None = None
    why: str = ""

    @property
    def about(self) -> str:
        """The proposal."""
        return self.proposal

    @property
    def word(self) -> str:
        """What is said of it."""
        return self.to


def proposal_id(kind: str, moves: Mapping[str, str]) -> str:
    """What tells one proposal from another: whether it merges or splits, and which moves it is."""
    return manifest.digest([kind, sorted(moves.items())])


def keep_verdict(
    session: Session, proposal: str, to: str, *, at: str, by: str, why: str = "", read: Parsings | None = None
) -> Verdict:
    """Keep what somebody says of a proposal.

    Args:
        proposal: of `proposal_id`.
        to: one of `WORDS`.
        at: now, UTC, ISO 8601.
        read: see `read_verdicts`.

    Raises:
        InputError: it is no such word, or the reason is too long.
    """
    store.check_free(session, KIND)
    moment = parse_time(at, "The verdict")
    cells = {"proposal": proposal, "to": to, "by": by, "at": at, "why": why}
    said = replace(check_row(cells, "The verdict"), at=moment)
    store.add(session, KIND, [said], source=to_csv([said]), moment=moment, by=said.by, known=read)
    return said


def current_verdicts(session: Session, *, read: Parsings | None = None) -> dict[str, Verdict]:
    """What counts, by proposal; those that were taken back are left out.

    Args:
        read: what was read before, for those who ask often; what is new is added to it.

    Raises:
        InputError: an object among the verdicts cannot be read; names it.
    """
    said = store.current(store.read_if_free(session, KIND, known=read))
    return {proposal: one for proposal, one in said.items() if one.to != "open"}


def check_row(cells: Mapping[str, str], where: str) -> Verdict:
    """The verdict of a row. Raises InputError that names the row."""
    proposal, to = cells["proposal"].strip(), cells["to"].strip()
    if not proposal or len(proposal) > 100 or not proposal.isalnum():
        raise InputError(f"{where} has the proposal {short(proposal)}, which is no id of one.")
    if to not in WORDS:
        raise InputError(f"{where} says {short(to)}; expected {', '.join(WORDS)}.")
    by, at, why = check_name(cells["by"], where), check_time(cells["at"], where), check_why(cells["why"], where)
    return Verdict(proposal, to, by, at, why)


def to_csv(verdicts: Iterable[Verdict]) -> bytes:
    """A CSV that reads back as it was, with nothing in it that a spreadsheet would run."""
    rows = ((one.proposal, one.to, one.by, write_time(one.at), one.why) for one in verdicts)
    return write_csv(TABLE.columns, rows)


def _read(data: bytes, key: str) -> list[Verdict]:
    rows = read_csv(decode(data, TABLE.what), TABLE, committed=key)
    return [check_row(cells, f"{where} of the verdicts") for where, cells in rows]


KIND = store.Kind(FOLDER, _read, to_csv, "verdicts on advice")
