"""What a model says beside the class: whether it knows a car, of which year it is, from where a photo shows it.

Each is found out while a model is evaluated, and comes to the same: files, facts, outputs of the golden pictures.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# JPEGs, and what `Watch.look` gives of them, in; arrays with a row per picture, by the name of the output, out.
Outputs = Callable[[list[bytes], Mapping[str, Any]], dict[str, Any]]


def _none(_jpegs: list[bytes], _looked: Mapping[str, Any]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Beside:
    """What came of one of them.

    Attributes:
        facts: for the evaluation's manifest, the page and the card; they also say why it came to nothing.
        files: of the evaluation; none where it came to nothing.
        shown: facts for the page alone.
        outputs: what the network will say of golden pictures; nothing where it came to nothing.
    """

    facts: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    outputs: Outputs = _none
