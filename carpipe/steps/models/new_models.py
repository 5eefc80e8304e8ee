"""New models: which cars among the new listings have no class, by their names and by their looks.

The live models answered these listings when they were new, so nothing is asked again for the names. For the looks the
live model sees some of the listings once more, since features of two models cannot be compared. It is a result of its
own: people look at it, and nothing else is made of it.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import CarpipeError, InputError, MissingError, UnavailableError
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.data.taxonomy import read_taxonomy
from carpipe.steps.models.class_names import class_map, names_then
from carpipe.steps.models.new_looks import find_look_alikes
from carpipe.steps.models.score import KNOWN, has_new_listings, read_scores
from carpipe.steps.models.suspects import Asked, asked_when_new
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.taxonomy.words import DROPPED
from carpipe.weights import channel

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.new_names import Name
    from carpipe.familiarity import Rule
    from carpipe.taxonomy.rules import Taxonomy

log = logging.getLogger(__name__)

VERSION = 1
COLUMNS = ("key", "listing_uuid", "vehicle", "model", "class_name", "partition", "dropped", "dropped_by")
# Stages behind which a photo still shows the car of its listing.
COUNT = ("classes", "split")


def new_models(session: Session, dataset: str | None = None) -> Manifest | None:
    """Commit which names and groups of new listings may be new classes.

    Args:
        dataset: id or manifest key; None: the newest.

    Returns:
        None where no listing of the dataset is newer than the live model.

    Raises:
        InputError: there is no dataset, nothing is live, or no live model was asked about the new listings yet.
    """
    data = find_dataset(session, dataset)
    live = _live(session)
    asked = list(asked_when_new(session, data))
    if not asked and not has_new_listings(session, data):
        return None
    if not asked:
        raise InputError(
            f"No live model has answered new listings of {data.key} yet: `carpipe step score {data.key}` lets it."
        )
    work = new_models_work(session, data, live, asked)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    found = _propose(session, data, live, asked)
    counts = {"in": found["judged"], "names": len(found["names"]), "groups": len(found["groups"])}
    seconds = round(time.monotonic() - started, 3)
    log.info("new models: %d names and %d groups, %.1f s", counts["names"], counts["groups"], seconds)
    files = {results.PROPOSED: results.to_json(found)}
    return session.commit(work, files, counts=counts, seconds=seconds, extra={"dataset": data.key, "model": live.key})


def new_models_work(session: Session, data: Manifest, live: Manifest, asked: Sequence[Asked]) -> Work:
    """What `new_models` does with a dataset and the answers on it."""
    settings = {"min_photos": session.config.classes.min_photos}
    answers = (key for one in asked for key in one.results)
    return Work(results.NEW_MODELS, VERSION, results.WHOLE, settings, (data.key, live.key, *answers))


def tell_new_models(session: Session, dataset: str) -> str:
    """What is proposed, in a sentence, for the end of a night; also why nothing can be.

    Empty where nothing is live, or no new listing was answered: `score` has said so.

    Raises:
        UnavailableError: trying again may help.
    """
    from carpipe.evaluation.new_models import describe

    try:
        if not _was_asked(session, dataset):
            return ""
        done = new_models(session, dataset)
        said = describe(manifest.read_json(session.store, done, results.PROPOSED)) if done else ""
    except UnavailableError:
        raise
    except CarpipeError as error:
        # A night must not end here: nothing of it depends on this.
        said = f"New classes were not looked for. {error}"
    log.info("new models: %s", said)
    return said


def _was_asked(session: Session, dataset: str) -> bool:
    """Whether there is anything to look at."""
    if channel.read_channel(session.store, session.config.classifier.channel) is None:
        return False
    return any(True for _ in asked_when_new(session, find_dataset(session, dataset)))


def _live(session: Session) -> Manifest:
    name = session.config.classifier.channel
    release = channel.read_channel(session.store, name)
    if release is None:
        raise InputError(f"Nothing is live in channel {name}: without a model nobody can say which cars are new to it.")
    model = channel.read_released(session.store, release).manifest
    if not isinstance(model.extra.get("classes"), list):
        raise InputError(f"{model.key} does not name its classes.")
    return model


def _propose(session: Session, data: Manifest, live: Manifest, asked: Sequence[Asked]) -> dict[str, Any]:
    from carpipe.evaluation.new_models import to_json
    from carpipe.evaluation.new_names import pool_listings, propose_names
    from carpipe.photos import CORRECTED, counted_models

    photos = results.read_photos(session.store, data, columns=list(COLUMNS), also=CORRECTED)
    then = names_then(session, live, data, photos)
    photos = photos.assign(model=counted_models(photos), has_class=then.isin(live.extra["classes"]))
    counted = photos["dropped"].isna() | photos["dropped_by"].isin(COUNT)
    photos = photos[counted & ~photos["dropped"].isin(DROPPED.values()) & photos["listing_uuid"].notna()]
    answered, rules = _answers(session, data, photos, asked)
    listings = pool_listings(answered, rules)
    taxonomy = read_taxonomy(session, data)
    about = _about(photos, listings, taxonomy, live, least=session.config.classes.min_photos)
    names = propose_names(listings, about)
    groups, chosen, notes = find_look_alikes(session, data, live, photos=photos, listings=listings)
    body = to_json(listings, names, groups, unknown=chosen, notes=[*_no_opinion(listings), *notes])
    for one in body["names"]:
        one["yaml"] = rule_for(taxonomy, one)
    return {**body, "model": live.key, "answered_by": [one.model for one in asked]}


def _answers(
    session: Session, data: Manifest, photos: "pd.DataFrame", asked: Sequence[Asked]
) -> "tuple[pd.DataFrame, list[Rule | None]]":
    """The photos that were answered, with `answer` (a class of today), `familiarity`, `source`; the sources' rules."""
    import numpy as np
    import pandas as pd

    from carpipe.evaluation.top_answers import FAMILIARITY

    found, rules = [], list["Rule | None"]()
    for one in asked:
        for key in one.results:
            try:
                done = manifest.read(session.store, key)
                top = read_scores(session, done)
                became = class_map(session, manifest.read(session.store, one.model), data)
            except (MissingError, InputError, KeyError) as error:
                log.warning("The answers of %s are not used: %s", one.model, error)
                continue
            rule = _rule(done)
            answer = pd.Series(top.answer, dtype="object").map(lambda name, became=became: became.get(name, name))
            there = rule is not None and FAMILIARITY in top.photos
            familiarity = top.photos[FAMILIARITY].astype("float64") if there else np.nan
            table = pd.DataFrame({"key": top.photos["key"], "partition": done.partition, "answer": answer})
            found.append(table.assign(familiarity=familiarity, source=len(rules)).drop_duplicates("key"))
            rules.append(rule)
    columns = ["key", "partition", "answer", "familiarity", "source"]
    every = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
    mine = photos[["key", "partition", "listing_uuid", "model", "has_class", "class_name"]]
    return mine.merge(every, on=["key", "partition"], how="inner"), rules


def _rule(done: Manifest) -> "Rule | None":
    """The rule that a score's familiarity is held against; None where it has none that this version understands."""
    from carpipe.familiarity import Rule

    try:
        return Rule(**{name: float(done.extra[KNOWN][name]) for name in Rule.__dataclass_fields__})
    except (KeyError, TypeError, ValueError):
        return None


def _about(
    photos: "pd.DataFrame", listings: "pd.DataFrame", taxonomy: "Taxonomy", live: Manifest, *, least: int
) -> "dict[str, Name]":
    """What is known of each name of a new listing that the live model has no class for."""
    from carpipe.evaluation.new_names import Name

    wanted = set(listings.loc[~listings["has_class"].astype(bool), "model"])
    mine = photos[photos["model"].isin(wanted)]
    sizes = mine["model"].value_counts()
    alive = set(mine.loc[mine["dropped"].isna(), "model"])
    twins = dict(_twins(wanted, {*live.extra["classes"], *taxonomy.models, *taxonomy.classes} - wanted))
    return {
        model: Name(
            photos=int(sizes.get(model, 0)),
            needs=max(0, least - int(sizes.get(model, 0))),
            has_class=model in alive,
            listed=taxonomy.class_by_model.get(model, model) is not None,
            twin=twins.get(model, ""),
        )
        for model in wanted
    }


def _twins(names: set[str], known: set[str]) -> Iterator[tuple[str, str]]:
    """Names that differ from a known one in spelling alone."""
    from carpipe.taxonomy.spelling import letters_of

    by_letters = {letters_of(name): name for name in sorted(known, reverse=True)}
    for name in names:
        if twin := by_letters.get(letters_of(name)):
            yield name, twin


def rule_for(taxonomy: "Taxonomy", name: Mapping[str, Any]) -> str:
    """The YAML that a taxonomy wants for a proposed name to count; empty where it counts without.

    Args:
        name: of the proposals. What is another spelling, or looks known, goes into the other's class.
    """
    import yaml

    model, other = name["model"], name["twin"] or name["alias"]
    if other and (target := taxonomy.class_or_none(other)):
        # A model that is a class of its own name, and gets company, needs a rule too.
        own = [] if target in taxonomy.classes else [target]
        rules: dict[str, Any] = {"classes": {target: [*own, model]}}
    elif taxonomy.unknown != "keep" and model not in taxonomy.class_by_model:
        rules = {"unchanged": [model]}
    else:
        return ""
    return str(yaml.safe_dump(rules, allow_unicode=True, sort_keys=False, width=100))


def _no_opinion(listings: "pd.DataFrame") -> Iterator[str]:
    told = int(listings["familiarity"].notna().sum())
    if told < len(listings):
        yield (
            f"Of {len(listings) - told:,} of {len(listings):,} new listings it is not kept whether the model knows "
            "them: they were answered by an earlier carpipe, or by a model that cannot tell."
        )
