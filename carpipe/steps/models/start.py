"""How a training starts: cold from the backbone's weights, or warm from the live model.

A warm start is what saves a night: the live model knows nearly all of the photos already. It rests on what was
trained before, so every reason to distrust that ends in a cold one, and so does a chain that has become long.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from carpipe import manifest
from carpipe.config import ClassifierConfig, TrainingConfig
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.names import brief
from carpipe.steps import results
from carpipe.steps.models.class_names import changed_share, class_map, parts_of
from carpipe.steps.models.decisions import decisions
from carpipe.steps.session import Session
from carpipe.weights import channel
from carpipe.weights.channel import Release

# Settings that decide nothing of what is learnt.
SILENT = ("weights", "labels", "time_limit_h", "xla", "h5", "year_share")
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
        live, trained = _read_live(session, config, release, backbone=backbone)
        chain = _chain(trained)
    except (InputError, MissingError, KeyError) as error:
        return _no_warm(config, error)
    same = trained.version == version and tuple(trained.inputs) == tuple(content)
    if same and not _changes(config, trained, warm=chain > 0) and (config.start != "cold" or not chain):
        return Start("the live model was trained on the same.", trained=trained, done=True)
    parts = parts_of(live.extra["classes"], data.extra["classes"], class_map(session, live, data))
    warm = Start("the live model fits.", live, trained, parts, chain=chain + 1)
    share = changed_share(live.extra["classes"], data.extra["classes"], parts)
    against = next(_against(session, config, live, trained, version=version, share=share), "")
    if config.start == "warm":
        return replace(warm, why=f"the setting `classifier.start` says so{f', though {against}' if against else '.'}")
    return Start(against) if against else warm


def _read_live(
    session: Session, config: ClassifierConfig, release: Release, *, backbone: str
) -> tuple[Manifest, Manifest]:
    """The live model and its training, if a training can start from it. Raises where not, KeyError too."""
    live = channel.read_released(session.store, release).manifest
    trained = manifest.read(session.store, live.extra["trained"])
    manifest.read(session.store, trained.extra["dataset"])  # what it has seen must be known
    other = [name for name in BACKBONE if trained.config[name] != config.model_dump()[name]]
    if other or trained.weights["backbone"] != backbone:
        raise InputError(f"the live model has another backbone or another one's weights: {live.key}.")
    return live, trained


def _no_warm(config: ClassifierConfig, error: Exception) -> Start:
    what = f"the live model's {error} is missing." if isinstance(error, KeyError) else str(error)
    if config.start == "warm":
        raise InputError(f"No training can start warm: {what} Set `classifier.start` to `auto` or `cold`.") from error
    return Start(what)


def _against(
    session: Session, config: ClassifierConfig, live: Manifest, trained: Manifest, *, version: int, share: float
) -> Iterator[str]:
    """Reasons to start cold instead, sentences that begin small.

    Args:
        trained: the live model's training.
        version: of the stage `train`.
        share: of the classes that changed.
    """
    from carpipe.html_page import per_cent

    if config.start == "cold":
        yield "the setting `classifier.start` says so."
    if changed := sorted(_changes(config, trained, warm=False)):
        yield f"the live model was trained with other settings ({', '.join(changed)})."
    if trained.version != version:
        yield f"the live model was trained by another version of the stage `train`: {trained.version}, now {version}."
    if share > config.cold_changed:
        most = f"`classifier.cold_changed` allows ({per_cent(config.cold_changed)})"
        yield f"{per_cent(share)} of the classes are new, merged or gone, more than {most}."
    if (row := _chain(trained)) >= config.cold_every:
        yield f"{_last(row, 'training')} {'was' if row == 1 else 'were'} warm (`classifier.cold_every`)."
    # Forced to be warm, a training needs no decisions, of which one may be odd.
    if config.start != "warm" and (refused := refusals(session, config.channel, live.key)) >= config.cold_refusals:
        yield f"the gate has refused {_last(refused, 'warm model')} (`classifier.cold_refusals`)."


def _last(count: int, noun: str) -> str:
    return f"the last {noun}" if count == 1 else f"the last {count} {noun}s"


def refusals(session: Session, name: str, live: str) -> int:
    """How many warm models the gate has refused in a row, held against the live one, since it judged a cold one.

    So the refusal of a cold model does not make the next training cold as well. Nothing to do counts for nothing, and
    a model that was judged twice is one model.
    """
    refused: set[str] = set()
    for entry in reversed(decisions(session, name)):
        if entry["outcome"] == "nothing_to_do":
            continue
        if entry["champion"] != live or entry["outcome"] != "refuse":
            break
        if entry["model"] not in refused and _was_cold(session, entry["model"]):
            break
        refused.add(entry["model"])
    return len(refused)


def _was_cold(session: Session, model: str) -> bool:
    """Whether a packaged model was trained cold; no where that cannot be told any more."""
    with contextlib.suppress(InputError, MissingError, KeyError):
        packaged = manifest.read(session.store, model)
        return _chain(manifest.read(session.store, packaged.extra["trained"])) == 0
    return False


def record_of(start: Start) -> dict[str, Any]:
    """What the training's manifest says of its start."""
    live = start.live.key if start.live else ""
    return {"kind": start.kind, "why": start.why, "chain": start.chain, "live": live}


def _chain(trained: Manifest) -> int:
    """Warm trainings in a row, that one too; 0: it was cold. Raises InputError where that is not known."""
    start = trained.extra.get("start", {"chain": 0})  # carpipe 0.1 knew no warm ones
    chain = start.get("chain") if isinstance(start, dict) else None
    if isinstance(chain, int) and not isinstance(chain, bool) and chain >= 0:
        return chain
    raise InputError(
        f"{trained.key} does not say how many trainings in a row were warm: expected a count, got {brief(repr(chain))}."
    )


def _changes(config: ClassifierConfig, trained: Manifest, *, warm: bool) -> set[str]:
    """Settings of a cold training that the earlier one had not; with `warm` also those of a warm one."""
    silent = (*SILENT, *config.STARTS, *(() if warm else config.WARM))
    ours = config.decisive(*silent)
    theirs = {name: value for name, value in trained.config.items() if name not in silent}
    return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
