"""Identify: put the partitions together, and say which photos show the same car."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.data.alike import check_alike
from carpipe.steps.data.inventory import read_inventory
from carpipe.steps.data.ledger import read_ledger
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def identify_work(session: Session, crops: Sequence[str], gone: Mapping[str, Any] | None) -> Work:
    """What `identify` does: the photos that have left raw/ decide too."""
    from carpipe.stages import identify as stage

    settings = {**session.config.identify.decisive(), "gone": gone["sha256"] if gone else ""}
    return Work(stage.STAGE, stage.VERSION, "all", settings, tuple(crops))


def identify(session: Session, crops: Sequence[str], *, inventory: str) -> Manifest:
    """Put the partitions together and say which photos show the same car.

    Args:
        crops: manifest keys of all partitions after `crop`.
        inventory: key of the run's inventory; it says which partition is older, and which photos have left `raw/`.

    Raises:
        InputError: partitions were not made alike.
    """
    from carpipe.photos import from_parquet, to_parquet, together
    from carpipe.stages import identify as stage

    state = read_inventory(session, inventory)
    gone = state.gone
    order = {part["partition"]: number for number, part in enumerate(state.partitions)}
    crops = sorted(crops, key=lambda key: order.get(key.split("/")[2], len(order)))
    work = identify_work(session, crops, gone)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    parts = manifest.read_many(session.store, crops)
    made_of = results.lineage(session.store, parts)
    check_alike(made_of)
    tables = manifest.read_files(session.store, parts, results.PHOTOS)
    before = together(zip((part.partition for part in parts), tables, strict=True))
    found = stage.identify(
        before,
        config=session.config.identify,
        signatures=lambda rows: _signatures(session, made_of["clean"], rows),
        gone=from_parquet(manifest.verified(session.store, gone)) if gone else None,
        ledger=read_ledger(session)[1],
    )
    files = {results.PAIRS: to_parquet(found.pairs)}
    return commit_photos(session, work, before, found.photos, files=files, started=started)


def _signatures(session: Session, cleaned: Sequence[Manifest], photos: "pd.DataFrame") -> "NDArray[np.uint8]":
    """Signatures of photos, in their order; only partitions that hold one are read."""
    import numpy as np

    from carpipe.photos import blobs_from_parquet
    from carpipe.pictures.hashes import SIGNATURE_BYTES

    result = np.empty((len(photos), SIGNATURE_BYTES), np.uint8)
    rows = photos.groupby("partition").indices
    mine = [part for part in cleaned if part.partition in rows]
    for part, blobs in zip(mine, manifest.read_files(session.store, mine, results.SIGNATURES), strict=True):
        here = rows[part.partition]
        keys = photos["key"].iloc[here]
        wanted = set(keys)
        found = {key: blob for key, blob in blobs_from_parquet(blobs) if key in wanted}
        result[here] = np.frombuffer(b"".join(found[key] for key in keys), np.uint8).reshape(-1, SIGNATURE_BYTES)
    return result
