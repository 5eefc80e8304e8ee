"""The gate's step: may a packaged model go live? Decides, and keeps every decision.

What was decided, and why, is in `channels/<name>/decisions/`, one object whenever somebody asked.
"""

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from carpipe import children, manifest
from carpipe.config import TrainingConfig
from carpipe.errors import ConflictError, InputError, MissingError, UnavailableError
from carpipe.html_page import per_cent
from carpipe.manifest import Manifest
from carpipe.metrics import Metric
from carpipe.names import shown
from carpipe.steps import bundles
from carpipe.steps.models.answers import read_answers
from carpipe.steps.models.backbone import backbone_weights
from carpipe.steps.models.comparison import answers_of, keep_comparison
from carpipe.steps.models.corrected import count_corrected, with_corrected
from carpipe.steps.models.decisions import decisions
from carpipe.steps.models.evaluate import evaluate_work
from carpipe.steps.models.package import package_work
from carpipe.steps.models.score_log import find_score
from carpipe.steps.models.seen import count_seen
from carpipe.steps.models.train import Model, start_of, train_work
from carpipe.steps.session import Session
from carpipe.weights import channel
from carpipe.weights.channel import Release
from carpipe.weights.contract import VIEWS

if TYPE_CHECKING:
    from carpipe.evaluation.decision import Decision

log = logging.getLogger(__name__)

# Of the two models that are compared, for people.
NAMES = {"candidate": "the new model", "champion": "the live one"}
# Seconds until a model that does not answer on its golden pictures is given up.
SERVABLE_TIMEOUT_S = 600


@dataclass(frozen=True)
class Verdict:
    """What the gate said of a model.

    Attributes:
        outcome: `publish`, `ask` (a person decides), `refuse`, or `nothing_to_do`: it was decided about before.
        model, champion: manifest keys; champion is empty where nothing was live.
        generation: of the channel when the gate looked; 0 where nothing was live.
        key: where the decision is kept, with its numbers.
        reason: the deciding one, a sentence.
        text: the whole of it, for people.
        manifest_sha256: of the model's manifest that was judged: no other goes live for this verdict.
        compared: there is a page that compares the model with the live one.
    """

    outcome: str
    channel: str
    model: str
    champion: str
    generation: int
    key: str
    reason: str
    text: str
    manifest_sha256: str = ""
    compared: bool = False


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """Of a decision, what is no part of the judgement: the model, what was live if that was asked, who asked, when."""

    channel: str
    model: str
    current: Release | None = None
    run: str
    at: str

    @property
    def key(self) -> str:
        """Where the decision is kept."""
        which = manifest.digest([self.run, self.model])[:8]
        return f"channels/{self.channel}/decisions/{self.at.replace(':', '')}-{which}.json"

    def to_json(self) -> dict[str, str]:
        champion = self.current.model if self.current else ""
        return {"channel": self.channel, "model": self.model, "champion": champion, "run": self.run, "at": self.at}


def gate(session: Session, packaged: str, *, model: Model, run: str, at: str) -> Verdict:
    """Hold a packaged model against the live one, and against itself as an app would run it; records the decision.

    Args:
        packaged: manifest key of the candidate.
        run: id of the run that asks, for the record.
        at: now, UTC, ISO 8601.
    """
    config: TrainingConfig = getattr(session.config, model)
    candidate = channel.read_model(session.store, packaged)
    current = channel.read_channel(session.store, config.channel)
    if before := _decided(session, config.channel, packaged, current, run=run):
        return _record_nothing(session, _Facts(channel=config.channel, model=packaged, run=run, at=at), before)
    decision = _compare(session, candidate.manifest, current)
    try:
        decision = decision.with_check("servable", True, check_servable(session, packaged))
    except InputError as error:
        decision = decision.with_check("servable", False, str(error))
    body = {**decision.to_json(), "rules": session.config.gate.decisive(), "manifest_sha256": candidate.sha256}
    compared = False
    if current and "champion" in decision.numbers:
        # Before the record: where the bucket is away, a retry judges again, and one run leaves one decision.
        compared = keep_comparison(session, packaged, current.model, at=at)
    facts = _Facts(channel=config.channel, model=packaged, current=current, run=run, at=at)
    return replace(_record(session, facts, body, text=decision.render()), compared=compared)


@dataclass(frozen=True)
class Decided:
    """That a dataset was trained on and decided about before: the packaged model's manifest key, and a sentence."""

    model: str
    reason: str


def find_nothing_new(session: Session, dataset: str, *, model: Model, run: str, at: str) -> Verdict | None:
    """Whether this dataset was trained on with these settings and decided about before; if so, that is recorded.

    Returns:
        None where there is something to do.
    """
    with backbone_weights(session, getattr(session.config, model)) as (_, sha256):
        before = decided_before(session, dataset, model=model, backbone=sha256, run=run)
    if before is None:
        return None
    channel_name = getattr(session.config, model).channel
    return _record_nothing(session, _Facts(channel=channel_name, model=before.model, run=run, at=at), before.reason)


def decided_before(session: Session, dataset: str, *, model: Model, backbone: str, run: str) -> Decided | None:
    """As `find_nothing_new`, and records nothing. What the run itself has decided does not count.

    Args:
        backbone: sha256 or name of the weights, as `backbone_weights` says.
    """
    config: TrainingConfig = getattr(session.config, model)
    data = manifest.read(session.store, dataset)
    start = start_of(session, config, data, backbone=backbone)
    work = train_work(config, data, model=model, backbone=backbone, start=start)
    # Whoever has the package needs neither.
    trained = start.trained if start.done else manifest.find(session.store, work, whole=False)
    judged = trained and manifest.find(session.store, evaluate_work(session, trained, data), whole=False)
    packaged = judged and manifest.find(session.store, package_work(config, judged.key, model=model))
    if not packaged:
        return None
    current = channel.read_channel(session.store, config.channel)
    before = _decided(session, config.channel, packaged.key, current, run=run)
    if not before:
        return None
    return Decided(packaged.key, f"dataset, settings and code are those of {packaged.key}. {before}")


def check_servable(session: Session, model: str) -> str:
    """Load a model in a fresh process as an app does, without TensorFlow, and replay its golden pictures.

    Raises:
        InputError: it cannot be served; says why.
        UnavailableError: that could not be found out: the bucket is away, or the process was killed.
    """
    from carpipe.weights.servable import REFUSED

    try:
        done = subprocess.run(
            [sys.executable, "-m", "carpipe.weights.servable", model],
            input=children.tell(session.config, session.store.access), capture_output=True, text=True,
            timeout=SERVABLE_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"{model} was not checked within {SERVABLE_TIMEOUT_S} s; trying again may help."
        ) from None
    said = (done.stderr.strip().splitlines() or [f"the process ended with exit code {done.returncode}"])[-1]
    if done.returncode == REFUSED:
        raise InputError(said)
    if done.returncode:
        raise UnavailableError(f"Whether {model} can be served was not found out: {said}")
    return done.stdout.strip()


def _compare(session: Session, candidate: Manifest, current: Release | None) -> "Decision":
    from carpipe.evaluation.decision import Decision
    from carpipe.evaluation.gate import compare

    table = read_answers(session, manifest.read(session.store, candidate.inputs[0]))
    if current is None:
        return compare(table, None, rules=session.config.gate)
    try:
        live = channel.read_released(session.store, current).manifest
        champion = answers_of(session, candidate, live)
    except (InputError, MissingError) as error:
        which = shown(current.model)
        reason = f"The live model {which} cannot be judged on these photos ({error}); look at both and decide."
        return Decision("ask", (reason,))
    if decision := _views_alone(candidate, live):
        return decision
    seen = _count_seen(session, candidate, current)
    decision = _with_seen(compare(table, champion, rules=session.config.gate), seen)
    data = manifest.read(session.store, candidate.extra["dataset"])
    decision = with_corrected(decision, count_corrected(session, data))
    return _with_newest(session, decision, candidate, current)


def _views_alone(candidate: Manifest, live: Manifest) -> "Decision | None":
    """Of two car filters that came out of one training: the views are all in which they differ.

    Nothing is compared then: their answers on cars are equal, and would be refused as not proven better. None where
    that is not so, or the candidate tells no views.
    """
    from carpipe.evaluation.decision import Decision

    if candidate.extra["trained"] != live.extra.get("trained") or VIEWS not in candidate.files:
        return None
    said = "The live model is of the same training: it answers alike whether a photo shows a car."
    ours, theirs = (model.extra["metrics"].get("views_accuracy") for model in (candidate, live))
    numbers = {"views_accuracy": ours, "views_accuracy_live": theirs}
    if theirs is None:
        return Decision("publish", ("It tells views, the live model does not.", said), numbers)
    told = f"It tells the view of {per_cent(ours, 1)} of its test photos, the live model of {per_cent(theirs, 1)}."
    return Decision("publish" if ours >= theirs else "ask", (told, said), numbers)


def _count_seen(session: Session, candidate: Manifest, live: Release) -> dict[str, dict[str, int]]:
    """Of the test photos, those that either model, or one that it started from, was trained on; what is known."""
    data = manifest.read(session.store, candidate.extra["dataset"])
    models = {"candidate": candidate, "champion": channel.read_released(session.store, live).manifest}
    found = {}
    for name, model in models.items():
        # Its training, or the dataset of that, has been deleted since, is of a later form or not named: no matter.
        with contextlib.suppress(MissingError, InputError, KeyError):
            trained = manifest.read(session.store, model.extra["trained"])
            found[name] = count_seen(session, trained, data)
    return found


def _with_seen(decision: "Decision", seen: Mapping[str, Mapping[str, int]]) -> "Decision":
    known = replace(decision, numbers={**decision.numbers, "seen": seen})
    counts = [(NAMES[name], count) for name, count in seen.items() if count["photos"]]
    if not counts:
        return known
    of = " and ".join(f"{name} {one['photos']:,} (of {one['vehicles']:,} vehicles)" for name, one in counts)
    says = f"Some test photos show cars that were trained on before two vehicles turned out to be one: by {of}."
    return known.with_check("seen", True, says)


def _with_newest(session: Session, decision: "Decision", candidate: Manifest, live: Release) -> "Decision":
    """What the live model answered on listings that came after it, where it was asked: a fact that decides nothing."""
    from carpipe.evaluation.newest import describe

    found = find_score(session, live.channel, model=live.model, dataset=candidate.extra["dataset"])
    if found is None:
        return decision
    figures = {name: value for name, value in found.items() if name not in ("channel", "model", "dataset")}
    known = replace(decision, numbers={**decision.numbers, "newest": figures})
    return known.with_check("newest", True, describe(found))


def _decided(session: Session, name: str, model: str, current: Release | None, *, run: str) -> str:
    """Why there is nothing to decide about a model, or nothing. An earlier attempt of the same run does not count."""
    if current and current.model == model:
        return "It is live."
    releases = bundles.history(session, name)
    if any(release.model == model for release in releases):
        return "It was live before; `promote_weights` makes it live again."
    champion = current.model if current else ""
    rules = session.config.gate.decisive()
    for entry in reversed(decisions(session, name)):
        same = (entry["model"], entry["champion"], entry.get("rules")) == (model, champion, rules)
        if same and entry["run"] != run:
            if entry["outcome"] == "refuse":
                return f"It was refused by run {entry['run']}."
            if entry["outcome"] == "ask":
                return f"Run {entry['run']} asked a person about it; `promote_weights` makes it live."
    return ""


def _record_nothing(session: Session, facts: _Facts, reason: str) -> Verdict:
    """Record that a run found nothing to do, and why."""
    body = {"outcome": "nothing_to_do", "reasons": [reason], "numbers": {}, "checks": []}
    return _record(session, facts, body, text=f"nothing to do: {reason}")


def _record(session: Session, facts: _Facts, body: Mapping[str, Any], *, text: str) -> Verdict:
    entry = {**body, **facts.to_json()}
    data = json.dumps(entry, indent=1, ensure_ascii=False).encode()
    try:
        session.store.create(facts.key, data)
        session.send([Metric("decisions", (facts.channel, body["outcome"]), 1)])
    except ConflictError:  # the task was tried again within the same second
        log.info("the decision is on record already")
    log.info("%s\nkept in %s", text, facts.key)
    return Verdict(
        outcome=body["outcome"],
        channel=facts.channel,
        model=facts.model,
        champion=entry["champion"],
        generation=facts.current.generation if facts.current else 0,
        key=facts.key,
        reason=body["reasons"][0],
        text=text,
        manifest_sha256=body.get("manifest_sha256", ""),
    )
