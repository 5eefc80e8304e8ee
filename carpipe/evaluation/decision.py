"""What the gate decided, in words for a person and in numbers for the record."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Outcome = Literal["publish", "ask", "refuse"]


@dataclass(frozen=True)
class Check:
    """A fact beside the comparison, such as whether the exported model can be served."""

    name: str
    ok: bool
    message: str


@dataclass(frozen=True)
class Decision:
    """Whether a candidate may go live: `publish`, `ask` a person, or `refuse`.

    Attributes:
        outcome: one of the three.
        reasons: sentences for a person who reads them at night, the deciding one first.
        numbers: what was computed, JSON-able.
        checks: facts that the caller added.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()

    def with_check(self, name: str, ok: bool, message: str) -> "Decision":
        """The decision with one more fact. A check that failed refuses, however good the comparison was."""
        checks = (*self.checks, Check(name, ok, message))
        if ok:
            return replace(self, checks=checks)
        reasons = (f"The check {name} failed: {message}", *self.reasons)
        return replace(self, outcome="refuse", reasons=reasons, checks=checks)

    def to_json(self) -> dict[str, Any]:
        """Everything, for a JSON file."""
        checks = [{"name": check.name, "ok": check.ok, "message": check.message} for check in self.checks]
        return {
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "numbers": dict(self.numbers),
            "checks": checks,
        }

    def render(self) -> str:
        """For the log: the outcome, then a line per reason and check."""
        checks = [f"check {check.name}: {'ok' if check.ok else 'FAILED'}, {check.message}" for check in self.checks]
        return "\n".join([f"gate: {self.outcome}", *(f"  {line}" for line in (*self.reasons, *checks))])
