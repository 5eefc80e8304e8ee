"""Steps over all partitions: identify, classes, split."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import artefacts
from carpipe.steps.inventory import read_inventory
from carpipe.steps.ledger import append_ledger, read_ledger
from carpipe.steps.partition import commit_photos
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.steps.summary import newest_datasets

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from carpipe.stages.taxonomy import Taxonomy

log = logging.getLogger(__name__)


def identify_work(session: Session, crops: Sequence[str], gone: Mapping[str, Any] | None) -> Work:
    """What `identify` does: the photos that have left raw/ decide too."""
    from carpipe.stages import identify as stage

    settings = {**session.config.identify.model_dump(), "gone": gone["sha256"] if gone else ""}
    return Work(stage.STAGE, stage.VERSION, "all", settings, tuple(crops))


def classes_work(session: Session, identified: str, taxonomy: "Taxonomy") -> Work:
    """What `classes` does."""
    from carpipe.stages import classes as stage

    settings = session.config.classes.model_dump(exclude={"taxonomy"}) | {"taxonomy": taxonomy.sha256}
    return Work(stage.STAGE, stage.VERSION, "all", settings, (identified,))


def split_work(session: Session, classed: str) -> Work:
    """What `split` does. The ledger of sides is no input: who splits first decides, and all later splits agree."""
    from carpipe.stages import split as stage

    return Work(stage.STAGE, stage.VERSION, "all", session.config.split.model_dump(), (classed,))


def identify(session: Session, crops: Sequence[str], *, inventory: str) -> Manifest:
    """Put the partitions together and say which photos show the same car.

    Args:
        crops: manifest keys of all partitions after `crop`.
        inventory: key of the run's inventory; it says which partition is older, and which photos have left `raw/`.
    """
    import pandas as pd

    from carpipe.photos import from_parquet, to_parquet
    from carpipe.stages import identify as stage

    state = read_inventory(session, inventory)
    gone = state.gone
    order = {part["partition"]: number for number, part in enumerate(state.partitions)}
    crops = sorted(crops, key=lambda key: order.get(key.split("/")[2], len(order)))
    work = identify_work(session, crops, gone)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    parts = [manifest.read(session.store, key) for key in crops]
    before = pd.concat(
        [artefacts.read_photos(session.store, part).assign(partition=part.partition) for part in parts],
        ignore_index=True,
    )
    found = stage.identify(
        before,
        config=session.config.identify,
        signatures=lambda rows: _signatures(session, parts, rows),
        gone=from_parquet(manifest.verified(session.store, gone)) if gone else None,
        ledger=read_ledger(session)[1],
    )
    files = {artefacts.PAIRS: to_parquet(found.pairs)}
    return commit_photos(session, work, before, found.photos, files=files, started=started)


def _signatures(session: Session, parts: Sequence[Manifest], photos: "pd.DataFrame") -> "NDArray[np.uint8]":
    """Signatures of photos, in their order; only partitions that hold one are read."""
    import numpy as np

    from carpipe.images import SIGNATURE_SIDE

    result = np.empty((len(photos), SIGNATURE_SIDE**2), np.uint8)
    for part in parts:
        keys = photos["key"][photos["partition"] == part.partition]
        if len(keys):
            cleaned = manifest.read(session.store, manifest.read(session.store, part.inputs[0]).inputs[0])
            found = artefacts.read_blobs(session.store, cleaned, artefacts.SIGNATURES, keys=keys)
            rows = np.frombuffer(b"".join(found[key] for key in keys), np.uint8)
            result[(photos["partition"] == part.partition).to_numpy()] = rows.reshape(-1, SIGNATURE_SIDE**2)
    return result


def classes(session: Session, identified: str) -> Manifest:
    """Give every photo its class by the taxonomy; drops erased, rare and surplus ones."""
    from carpipe.stages import classes as stage
    from carpipe.stages.taxonomy import load

    config = session.config.classes
    taxonomy = load(config.taxonomy)
    work = classes_work(session, identified, taxonomy)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    before = artefacts.read_photos(session.store, manifest.read(session.store, identified))
    after = stage.assign_classes(before, taxonomy, min_photos=config.min_photos, max_photos=config.max_photos)
    files = {artefacts.TAXONOMY: taxonomy.to_yaml().encode()}
    return commit_photos(session, work, before, after, files=files, started=started)


def split(session: Session, classed: str) -> Manifest:
    """Put every vehicle into train, val or test, where it stays for ever; writes the three tables."""
    from carpipe.stages import split as stage

    work = split_work(session, classed)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    source = manifest.read(session.store, classed)
    before = artefacts.read_photos(session.store, source)
    newest = next(newest_datasets(session), None)
    generation, sides = read_ledger(session, at_least=newest.extra["ledger"] if newest else 0)
    after, entries = stage.split(before, config=session.config.split, ledger=sides)
    if len(entries):
        generation = append_ledger(session, generation, entries)
    files = {f"table_for_{name}.csv": table.to_csv(index=False).encode() for name, table in stage.tables(after).items()}
    files[artefacts.TAXONOMY] = manifest.read_file(session.store, source, artefacts.TAXONOMY)
    log.info("split: %d listings had a side, %d got one", len(sides), len(entries))
    return commit_photos(session, work, before, after, files=files, started=started, extra={"ledger": generation})
