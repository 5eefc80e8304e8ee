"""Of which model answers are: when it was made, how good it is, and what the gate said of it. For people.

The newest answers need not be those of the live model: the gate may have refused the one that gave them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.figures import figure
from carpipe.manifest import Manifest
from carpipe.steps.models.package import package_work
from carpipe.steps.models.score_log import accuracy_of
from carpipe.steps.models.suspects import EVALUATION
from carpipe.steps.session import Session
from carpipe.steps.views.weights import last_said
from carpipe.weights import channel

EVALUATED = "stages/evaluate/"


@dataclass(frozen=True)
class Judge:
    """A model that has answered.

    Attributes:
        name: such as `model 5f2a90c1`, by the beginning of its id; of one that was never packaged, its training.
        made: UTC, to the minute; empty where that is not known.
        top1: share of its own test photos that it was right on; None where that is not known.
        refused: the gate has refused it.
        said: the above as a sentence's end and what follows it.
    """

    name: str
    made: str
    top1: float | None
    refused: bool
    said: str


def describe_judge(session: Session, source: Mapping[str, Any], inputs: Sequence[str]) -> Judge:
    """What is known of a source of suspects. What is gone since is left out.

    Args:
        source: `kind`, and `model`, a manifest key: of a model, or of a training that was evaluated.
        inputs: of the suspects' manifest.
    """
    name = session.config.classifier.channel
    key, top1 = source["model"], None
    if source["kind"] == EVALUATION:
        evaluated = next((one for one in inputs if one.startswith(EVALUATED)), "")
        if judged := _read(session, evaluated):
            top1 = accuracy_of(judged)
        key = next(_packaged(session, evaluated), key)
    elif model := _read(session, key):
        top1 = accuracy_of(model)
    info = session.store.head(key)
    made = info.minute if info else ""
    release = channel.read_channel(session.store, name)
    is_live = release is not None and release.model == key
    said = "" if is_live else last_said(session, name).get(key, "")
    refused = said.startswith("refused")
    facts = [made, *([f"top-1 {figure(top1)} on its test photos"] if top1 is not None else [])]
    told = "".join(f", {fact}" for fact in facts if fact) + (", the live one." if is_live else ".")
    if refused:
        told += " The gate has refused this model, so its answers may be worse than those of the live one."
    return Judge(_name(key), made, top1, refused, told)


def _packaged(session: Session, evaluated: str) -> Iterator[str]:
    """Manifest keys of the models that were packaged of an evaluation."""
    config = session.config.classifier
    for h5 in (config.h5, not config.h5):
        work = package_work(config.model_copy(update={"h5": h5}), evaluated, model="classifier")
        if manifest.find(session.store, work):
            yield work.key


def _read(session: Session, key: str) -> Manifest | None:
    try:
        return manifest.read(session.store, key) if key else None
    except (MissingError, InputError):
        return None  # deleted since, or of a later form


def _name(key: str) -> str:
    """For people: the kind and the beginning of the id."""
    parts = key.split("/")
    kind = "model" if parts[0] == "models" else "training"
    return f"{kind} {parts[-2][:8]}" if len(parts) > 2 else key
