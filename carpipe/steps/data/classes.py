"""Classes: give every photo its class by the taxonomy, and by what people say of its listing."""

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.names import shown
from carpipe.steps import results
from carpipe.steps.data.inventory import forgotten_listings
from carpipe.steps.listings.store import current_corrections, effective
from carpipe.steps.moves.store import current_taxonomy
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.taxonomy.rules import Taxonomy


log = logging.getLogger(__name__)


def classes_work(session: Session, identified: str, taxonomy: "Taxonomy") -> Work:
    """What `classes` does."""
    return _work(session, identified, taxonomy, _corrections(session))


def classes(session: Session, identified: str) -> Manifest:
    """Give every photo its class by the taxonomy and by people's corrections; drops erased, rare and surplus ones."""
    from carpipe.stages import classes as stage
    from carpipe.taxonomy.twins import told_twins

    config = session.config.classes
    taxonomy, corrections = current_taxonomy(session), _corrections(session)
    work = _work(session, identified, taxonomy, corrections)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    before = results.read_photos(session.store, manifest.read(session.store, identified))
    photos = _apply(before, corrections, taxonomy) if corrections else before
    settled = stage.settle(photos, taxonomy, min_photos=config.min_photos)
    for sentence in told_twins(taxonomy, settled):
        log.warning("classes: %s", sentence)
    after = stage.assign_classes(photos, settled, min_photos=config.min_photos, max_photos=config.max_photos)
    files = {results.TAXONOMY: settled.to_yaml().encode()}
    return commit_photos(session, work, before, after, files=files, started=started)


def _work(session: Session, identified: str, taxonomy: "Taxonomy", corrections: Mapping[str, str]) -> Work:
    from carpipe.stages import classes as stage

    settings: dict[str, Any] = session.config.classes.decisive("taxonomy") | {"taxonomy": taxonomy.sha256}
    if corrections:  # without any, results are those of before there could be some
        settings["corrections"] = manifest.digest(corrections)
    return Work(stage.STAGE, stage.VERSION, "all", settings, (identified,))


def _corrections(session: Session) -> dict[str, str]:
    """What changes the classes of photos, by listing. What was said of a forgotten listing counts no more."""
    found = effective(current_corrections(session))
    gone = set(forgotten_listings(session)) if found else set()
    return {listing: to for listing, to in found.items() if listing not in gone}


def _apply(before: "pd.DataFrame", corrections: Mapping[str, str], taxonomy: "Taxonomy") -> "pd.DataFrame":
    from carpipe.stages.classes import STAGE
    from carpipe.stages.corrections import apply_corrections, gone_names

    photos = apply_corrections(before, corrections, taxonomy, stage=STAGE)
    for name, listings in gone_names(photos, taxonomy):
        log.warning(
            "classes: %d listings were corrected to '%s', which no other photo has and no rule of the taxonomy names; "
            "it goes through the taxonomy as a model of its own", listings, shown(name),
        )  # fmt: skip
    said = photos["corrected"].notna()
    log.info("classes: %d photos of %d listings were corrected by people",
             said.sum(), photos.loc[said, "listing_uuid"].nunique())  # fmt: skip
    return photos
