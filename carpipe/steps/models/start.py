"""How a training starts: cold from the backbone's weights, or warm from the live model.

A warm start is what saves a night: the live model knows nearly all of the photos already. It rests on what was
trained before, so every reason to distrust that ends in a cold one, and so does a chain that has become long.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from carpipe import manifest
from carpipe.config import ClassifierConfig, TrainingConfig
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.models.class_names import changed_share, class_map, parts_of
from carpipe.steps.models.decisions import decisions
from carpipe.steps.session import Session
from carpipe.weights import channel

# Settings that decide nothing of what is learnt.
SILENT = ("weights", "labels", "time_limit_h", "xla", "h5")
# What makes a backbone: another one has other weights.
BACKBONE = ("backbone", "alpha")


@dataclass(frozen=True)
class Start:
    """How a training starts, and why.

    Attributes:
        why: a sentence.
        live: the model to start from; None: cold.
        trained: the live model's training, of a warm start and where that is `done`.
        parts: by class of today, the classes of the live model that it is made of.
        chain: warm trainings in a row, this one too; 0: cold.
        done: `trained` is of this very dataset, with these settings: nothing is to be done.
    """

    why: str
    live: Manifest | None = None
    trained: Manifest | None = None
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    chain: int = 0
    done: bool = False

    @property
    def kind(self) -> Literal["cold", "warm"]:
        return "warm" if self.live else "cold"

    @property
    def sha256(self) -> str:
        """Of the model to start from; empty: cold."""
        return self.live.files[results.MODEL]["sha256"] if self.live else ""

    def __str__(self) -> str:
        return f"warm from {self.live.key}, {self.chain} in a row: {self.why}" if self.live else f"cold: {self.why}"


def choose_start(
    session: Session, config: TrainingConfig, data: Manifest, *, version: int, backbone: str, content: Sequence[str]
) -> Start:
    """How the next training on a dataset starts.

    Args:
        version: of the stage `train`.
        backbone: sha256 of the backbone's weights, or `imagenet`, or `none`.
        content: what the training reads, as `content_of` says.

    Raises:
        InputError: `classifier.start` is `warm`, and the live model has another backbone.
    """
    if not isinstance(config, ClassifierConfig):
        return Start("this model always does.")
    if (release := channel.read_channel(session.store, config.channel)) is None:
        return Start(f"nothing is live in channel {config.channel}.")
    try:
        live = channel.read_released(session.store, release).manifest
        trained = manifest.read(session.store, live.extra["trained"])
        manifest.read(session.store, trained.extra["dataset"])  # what it has seen must be known
        other = [name for name in BACKBONE if trained.config[name] != config.model_dump()[name]]
        if other or trained.weights["backbone"] != backbone:
            raise InputError(f"the live model has another backbone or another one's weights: {live.key}.")
    except (InputError, MissingError, KeyError) as error:
        return _no_warm(config, error)
    changed = sorted(_recipe_changes(config, trained, version=version))
    if not changed and tuple(trained.inputs) == tuple(content) and (config.start != "cold" or not _chain(trained)):
        return Start("the live model was trained on the same.", trained=trained, done=True)
    parts = parts_of(live.extra["classes"], data.extra["classes"], class_map(session, live, data))
    warm = Start("the live model fits.", live, trained, parts, chain=_chain(trained) + 1)
    if config.start == "warm":
        return replace(warm, why="the setting `classifier.start` says so.")
    share = changed_share(live.extra["classes"], data.extra["classes"], parts)
    against = next(_against(session, config, warm, live.key, changed=changed, share=share), "")
    return Start(against) if against else warm


def _no_warm(config: ClassifierConfig, error: Exception) -> Start:
    what = f"the live model's {error} is missing." if isinstance(error, KeyError) else str(error)
    if config.start == "warm":
        raise InputError(f"No training can start warm: {what} Set `classifier.start` to `auto` or `cold`.") from error
    return Start(what)


def _against(
    session: Session, config: ClassifierConfig, warm: Start, live: str, *, changed: list[str], share: float
) -> Iterator[str]:
    """Reasons to start cold instead.

    Args:
        live: manifest key of the live model.
        changed: settings that its training had not.
        share: of the classes that changed.
    """
    if config.start == "cold":
        yield "the setting `classifier.start` says so."
    if changed:
        yield f"the live model was trained with other settings ({', '.join(changed)})."
    if share > config.cold_changed:
        most = f"`classifier.cold_changed` allows {config.cold_changed:.0%}"
        yield f"{share:.0%} of the classes are new, merged or gone; {most}."
    if warm.chain > config.cold_every:
        yield f"{config.cold_every} trainings in a row were warm (`classifier.cold_every`)."
    if (refused := refusals(session, config.channel, live)) >= config.cold_refusals:
        yield f"the gate has refused {refused} models in a row (`classifier.cold_refusals`)."


def refusals(session: Session, name: str, live: str) -> int:
    """How many models the gate has refused in a row, held against the live one. Nothing to do counts for nothing."""
    count = 0
    for entry in reversed(decisions(session, name)):
        if entry["outcome"] == "nothing_to_do":
            continue
        if entry["champion"] != live or entry["outcome"] != "refuse":
            break
        count += 1
    return count


def record_of(start: Start) -> dict[str, Any]:
    """What the training's manifest says of its start."""
    live = start.live.key if start.live else ""
    return {"kind": start.kind, "why": start.why, "chain": start.chain, "live": live}


def _chain(trained: Manifest) -> int:
    found = trained.extra.get("start")
    return int(found.get("chain", 0)) if isinstance(found, dict) else 0


def _recipe_changes(config: ClassifierConfig, trained: Manifest, *, version: int) -> set[str]:
    """Settings of a cold training that the earlier one had not."""
    ours = config.decisive(*SILENT, *config.STARTS, *config.WARM)
    theirs = {name: value for name, value in trained.config.items() if name not in config.WARM}
    changed = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
    return changed | ({"carpipe"} if trained.version != version else set())
