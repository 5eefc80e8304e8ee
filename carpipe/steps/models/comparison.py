"""Comparison: how a packaged model differs from the live one, as a page, as JSON, and as Markdown for the card.

A package must not depend on what is live when it is made. So this is a result of its own, found by both models and by
the gate's rules, which say what chance explains and which class is ruined.
"""

import contextlib
import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.backports import from_iso
from carpipe.called import made_at
from carpipe.config import GateConfig
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest, Work
from carpipe.steps import bundles, results
from carpipe.steps.models.answers import answer_test, read_answers
from carpipe.steps.models.class_names import class_map, parts_of
from carpipe.steps.models.publish import release_before
from carpipe.steps.models.weights import find_model
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.weights import channel
from carpipe.weights.card import settings_of

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.comparison import Comparison, Side

log = logging.getLogger(__name__)

VERSION = 1
PAGE, CARD, TEXT = "comparison.html", "comparison.md", "comparison.txt"


def compare_models(session: Session, packaged: str, live_key: str, *, at: str) -> Manifest:
    """Commit how a packaged model differs from another one, on the test photos of its own dataset, by today's rules.

    Args:
        packaged: manifest key of the model that it is about.
        live_key: of the one that it is held against; the live one, or any of the same channel.
        at: now, UTC, ISO 8601, for the page.

    Raises:
        InputError: both are one model or of different kinds, or one cannot be judged on these photos.
        MissingError: a model, its evaluation or its dataset is gone.
    """
    now, before = (channel.read_known(session.store, key).manifest for key in (packaged, live_key))
    if now.key == before.key or now.partition != before.partition:
        raise InputError(f"{packaged} cannot be compared with {live_key}: name two models of one channel.")
    work = comparison_work(now, before.key, rules=session.config.gate.decisive())
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    found = _compare(session, now, before)
    files = _files(session, found, now, at=at)
    seconds = round(time.monotonic() - started, 3)
    log.info("comparison: %d bytes in %.1f s", sum(map(len, files.values())), seconds)
    return session.commit(
        work,
        files,
        counts={"in": found.numbers["photos"]},
        seconds=seconds,
        extra={"dataset": now.extra["dataset"]},
    )


def compare_named(session: Session, name: str, model: str, *, other: str | None, at: str) -> tuple[str, bytes]:
    """The comparison of two models of a channel, for the command line: in short, and the page.

    Args:
        model, other: id or manifest key; other: None means the live one, and of that the one that was live before.

    Raises:
        InputError: there is no such model, nothing is live, or as `compare_models`.
    """
    now = find_model(session, name, model)
    before = find_model(session, name, other or _live_before(session, name, now.key))
    done = compare_models(session, now.key, before.key, at=at)
    return manifest.read_file(session.store, done, TEXT).decode(), manifest.read_file(session.store, done, PAGE)


def _live_before(session: Session, name: str, model: str) -> str | None:
    """Of the live model, the one that was so before, if there was one; of any other model None."""
    history = bundles.history(session, name)
    before = release_before(history) if history and history[-1].model == model else None
    return before.model if before else None


def comparison_work(now: Manifest, before: str, *, rules: Mapping[str, Any]) -> Work:
    """What `compare_models` does with a model and the key of another one, by rules as `decisive` has them."""
    return _work(now.partition, now.key, before, rules=rules)


def comparison_key(section: str, decision: Mapping[str, Any], *, today: GateConfig) -> str:
    """Where the comparison that a decision rests on is, if somebody has made it: of its models, by its rules.

    Args:
        today: the rules where it does not say by which it was made.
    """
    rules = decision.get("rules")
    known = rules if isinstance(rules, dict) else today.decisive()
    return _work(section, decision["model"], decision["champion"], rules=known).key


def _work(section: str, now: str, before: str, *, rules: Mapping[str, Any]) -> Work:
    return Work(results.COMPARISON, VERSION, section, rules, (now, before))


def keep_comparison(session: Session, packaged: str, live_key: str, *, at: str) -> bool:
    """As `compare_models`, for the gate: whether there is one now. That there is none is logged and stops nobody."""
    try:
        compare_models(session, packaged, live_key, at=at)
    except (InputError, MissingError) as error:
        log.warning("There is no page that compares the model with the live one: %s", error)
        return False
    return True


def answers_of(session: Session, candidate: Manifest, champion: Manifest) -> "pd.DataFrame":
    """Another model on the candidate's test photos. A class that was renamed or merged counts as what it became.

    Returns:
        What `answer_test` committed, with `today`, the answer by the candidate's names, and `correct`.
    """
    table = read_answers(session, answer_test(session, champion.key, candidate.extra["dataset"]))
    became = class_map(session, champion, candidate)
    today = table["answer"].map(lambda name: became.get(name, name))
    return table.assign(today=today, correct=today == table["class_name"])


def _compare(session: Session, now: Manifest, before: Manifest) -> "Comparison":
    from carpipe.evaluation.comparison import compare_sides

    judged = manifest.read(session.store, now.inputs[0])
    return compare_sides(
        (_side(session, now), read_answers(session, judged)),
        (_side(session, before), answers_of(session, now, before)),
        parts=parts_of(before.extra["classes"], now.extra["classes"], class_map(session, before, now)),
        same_test=_is_same_test(session, judged, before),
        rules=session.config.gate,
    )


def _files(session: Session, found: "Comparison", now: Manifest, *, at: str) -> dict[str, bytes]:
    from carpipe.evaluation import comparison_page as page
    from carpipe.training.data import iter_records

    wanted = page.wanted_photos(found)
    data = manifest.read(session.store, now.extra["dataset"])
    with results.local_shards(session.store, data, "test") as shards:
        pictures = {key: jpeg for key, _, jpeg in iter_records(shards["test"]) if key in wanted}
    rules = json.loads(session.config.gate.model_dump_json())
    return {
        PAGE: page.render_comparison(found, pictures=pictures, made=from_iso(at)).encode(),
        # `pictures`: whose photos the page shows, so that a listing that is to be forgotten is found.
        results.COMPARED: results.to_json({**found.to_json(), "rules": rules, "pictures": sorted(wanted)}),
        CARD: page.render_markdown(found).encode(),
        TEXT: page.render_text(found).encode(),
    }


def _is_same_test(session: Session, judged: Manifest, before: Manifest) -> bool:
    """Whether both models were evaluated on the same photos; no where that cannot be told any more."""
    with contextlib.suppress(MissingError, InputError):
        return judged.inputs[1:] == manifest.read(session.store, before.inputs[0]).inputs[1:]
    return False


def _side(session: Session, model: Manifest) -> "Side":
    from carpipe.evaluation.comparison import Side

    settings, facts = None, {}
    # The training has been deleted since, cannot be read, or nobody says which it was.
    with contextlib.suppress(MissingError, InputError, KeyError):
        trained = manifest.read(session.store, model.extra["trained"])
        settings = settings_of(trained)
        facts = _facts(trained)
    classes, figures = tuple(model.extra["classes"]), model.extra["metrics"]
    return Side(model.key, classes, figures, settings, facts, made=made_at(model, session.store.head(model.key)))


def _facts(trained: Manifest) -> dict[str, Any]:
    """What a training was of, beside its settings."""
    start = trained.extra.get("start")
    return {
        "carpipe": trained.carpipe,
        "dataset": trained.extra["dataset"],
        "weights of the backbone": trained.weights.get("backbone"),
        "start": f"{start.get('kind')}: {start.get('why')}" if isinstance(start, dict) else None,
        "epochs": trained.counts.get("epochs"),
        "photos trained on": trained.counts.get("in"),
    }
