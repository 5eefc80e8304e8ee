"""Classes: give every photo its class by the taxonomy."""

import logging
import time
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    from carpipe.taxonomy.rules import Taxonomy


log = logging.getLogger(__name__)


def classes_work(session: Session, identified: str, taxonomy: "Taxonomy") -> Work:
    """What `classes` does."""
    from carpipe.stages import classes as stage

    settings = session.config.classes.decisive("taxonomy") | {"taxonomy": taxonomy.sha256}
    return Work(stage.STAGE, stage.VERSION, "all", settings, (identified,))


def classes(session: Session, identified: str) -> Manifest:
    """Give every photo its class by the taxonomy; drops erased, rare and surplus ones."""
    from carpipe.stages import classes as stage
    from carpipe.taxonomy.read import load
    from carpipe.taxonomy.twins import told_twins

    config = session.config.classes
    taxonomy = load(config.taxonomy)
    work = classes_work(session, identified, taxonomy)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    before = results.read_photos(session.store, manifest.read(session.store, identified))
    settled = stage.settle(before, taxonomy, min_photos=config.min_photos)
    for sentence in told_twins(taxonomy, settled):
        log.warning("classes: %s", sentence)
    after = stage.assign_classes(before, settled, min_photos=config.min_photos, max_photos=config.max_photos)
    files = {results.TAXONOMY: settled.to_yaml().encode()}
    return commit_photos(session, work, before, after, files=files, started=started)
