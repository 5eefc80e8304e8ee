"""What `clean` and `filter` leave of photos, made by hand: what the filter says, and which pictures are alike."""

import hashlib
from collections.abc import Callable, Mapping

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.photos import to_parquet
from carpipe.steps import results
from carpipe.steps.data.inventory import latest_inventory
from carpipe.steps.session import Session


def commit_filter(
    session: Session,
    p_car: Callable[[str], float | None],
    *,
    pictures: Mapping[str, str] | None = None,
    views: Callable[[str], tuple[str, float]] | None = None,
    config: Mapping[str, str] | None = None,
) -> list[Manifest]:
    """A result of `filter` for each partition: rows that were dropped before have no score.

    Args:
        p_car: by key.
        pictures: hashes by key, 32 hex digits (`dhash` and `dhash_inner`), where photos shall share one.
        views: `view` and `view_p` by key.
        config: another one, another result.
    """
    stock = latest_inventory(session)
    assert stock
    done = []
    for part in stock.partitions:
        photos = results.read_photos(session.store, manifest.read(session.store, part["manifest"]))
        keys = photos["key"]
        hashes = keys.map(lambda key: (pictures or {}).get(key) or _digest(key))
        photos = photos.assign(p_car=keys.map(p_car), sha256=keys, dhash=hashes.str[:16], dhash_inner=hashes.str[16:])
        if views:
            said = [views(key) for key in keys]
            photos = photos.assign(view=[view for view, _ in said], view_p=[p for _, p in said])
        photos.loc[photos["p_car"] < 0.7, ["dropped", "dropped_by"]] = ["not_a_car", "filter"]
        work = Work("filter", 1, part["partition"], {**(config or {}), "views": bool(views)}, (part["manifest"],))
        done.append(manifest.commit(session.store, work, {results.PHOTOS: to_parquet(photos)}, counts={}))
    return done


def _digest(key: str) -> str:
    """Hashes of no other picture: 128 bits, half of each 64 or so set."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]
