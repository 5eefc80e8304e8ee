"""Quantize: networks in 8-bit numbers, where `filter.runtime` and `crop.runtime` ask for them.

Made before a run is planned, once for their weights, of photos from all over the bucket: all partitions are judged and
cut by the same ones.
"""

import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.spent import Spent
from carpipe.steps import given_weights, results
from carpipe.steps.data.detector_network import quantize_detector_work
from carpipe.steps.data.filter_network import (
    JUDGED,
    find_car_filter,
    load_car_filter,
    load_car_score,
    quantize_filter_work,
    scores_of,
)
from carpipe.steps.data.inventory import read_inventory
from carpipe.steps.data.raw import Raw, objects_named
from carpipe.steps.session import Session
from carpipe.weights.channel import read_channel, read_released
from carpipe.weights.contract import NETWORK

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

# So many partitions photos are drawn from, where there are as many.
PARTITIONS = 16


def quantize(session: Session, inventory: str) -> list[Manifest]:
    """Make what the settings ask for and nobody has made yet.

    Args:
        inventory: key of the run's inventory, whose photos they are made of.

    Returns:
        What was made now. Whether it is fit for use is said where it is used.

    Raises:
        InputError: it cannot be made: there are too few photos, nncf is missing, or cannot do it with this network.
    """
    config = session.config
    if "int8" not in (config.filter.runtime, config.crop.runtime):
        return []
    release = read_channel(session.store, config.filter.channel)
    if release is None:  # `plan` says so
        return []
    model = read_released(session.store, release).manifest
    sample = _Sample(session, inventory)
    made = []
    filter_work = quantize_filter_work(model)
    if config.filter.runtime == "int8" and not manifest.find(session.store, filter_work):
        made.append(_quantize_filter(session, filter_work, model, sample))
    if config.crop.runtime == "int8":
        with given_weights.local_weights(session.store, config.crop.weights) as (weights, sha256):
            detector_work = quantize_detector_work(session, sha256)
            if not manifest.find(session.store, detector_work):
                made.append(_quantize_detector(session, detector_work, weights, sample, model))
    return made


class _Sample:
    """Photos from all over the bucket, always the same of the same inventory. They are taken as they come now."""

    def __init__(self, session: Session, inventory: str):
        self._session, self._inventory = session, inventory
        self._thumbnails: dict[str, bytes] | None = None

    def thumbnails(self) -> dict[str, bytes]:
        """By photo key, of those that can be decoded, as `clean` makes them."""
        from carpipe.pictures import encode

        if self._thumbnails is None:
            config = self._session.config.clean
            self._thumbnails = {
                key: encode.encode_jpeg(encode.fit(image, config.thumbnail_side), quality=config.thumbnail_quality)
                for key, image in self.look(self._draw())
            }
        return self._thumbnails

    def look(self, keys: list[str]) -> "Iterator[tuple[str, Image.Image]]":
        """Photos of the sample as the detector sees them, by key."""
        from carpipe.stages import crop as stage

        limits = self._session.config.clean.model_dump(include={"max_pixels", "max_damage", "timeout_s", "memory_mb"})
        return stage.look(Raw(self._session, objects_named(self._session, keys)), **limits)

    def _draw(self) -> list[str]:
        from carpipe import photos as table
        from carpipe.stages.quantize import CALIBRATED, CHECKED_BY_FILTER

        parts = {
            part["partition"]: part["manifest"] for part in read_inventory(self._session, self._inventory).partitions
        }
        wanted, found = CALIBRATED + CHECKED_BY_FILTER, set()
        share = -(-wanted // min(PARTITIONS, len(parts)))
        for name in drawn_first(list(parts)):
            part = manifest.read(self._session.store, parts[name])
            there = table.kept(results.read_photos(self._session.store, part, columns=["key", "dropped"]))
            found.update(drawn_first(there["key"].tolist())[:share])
            if len(found) >= wanted:
                break
        return drawn_first(list(found))


def drawn_first(names: list[str]) -> list[str]:
    """In an order that has nothing to do with the names, and is always the same."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def _quantize_filter(session: Session, work: Work, model: Manifest, sample: _Sample) -> Manifest:
    """Make it of some thumbnails, and keep what both say of others: whether that is the same is asked at each use."""
    from carpipe.pictures.model_input import to_batch
    from carpipe.stages import quantize as stage
    from carpipe.weights import int8

    started = time.monotonic()
    thumbnails = list(sample.thumbnails().values())
    stage.check_enough(len(thumbnails))
    log.info("putting the car filter into 8-bit numbers, once for these weights")
    with tempfile.TemporaryDirectory(prefix="carpipe-filter-") as folder:
        before = load_car_filter(session, model, cache=Path(folder))
        files = int8.quantize(before.folder / NETWORK[0], to_batch(thumbnails[: stage.CALIBRATED], before.side))
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        after = before.run_by(Path(folder) / NETWORK[0])
    seen = [scores_of(one, Spent())(thumbnails[stage.CALIBRATED :]) for one in (before, after)]
    judged = [((one.p_car, other.p_car), (one.view, other.view)) for one, other in zip(*seen, strict=True)]
    return session.commit(
        work, {**files, JUDGED: json.dumps(judged).encode()}, counts={"in": len(thumbnails), "kept": len(judged)},
        seconds=round(time.monotonic() - started, 1),
    )  # fmt: skip


def _quantize_detector(session: Session, work: Work, weights: Path, sample: _Sample, model: Manifest) -> Manifest:
    """Make it of photos that the car filter keeps."""
    from carpipe.stages import quantize as stage

    started = time.monotonic()
    thumbnails = sample.thumbnails()
    seen = load_car_score(session, find_car_filter(session, model), Spent())(list(thumbnails.values()))
    threshold = session.config.filter.threshold
    cars = [key for key, one in zip(thumbnails, seen, strict=True) if one.p_car >= threshold]
    log.info("putting the detector into 8-bit numbers, once for these weights")
    some = cars[: stage.CALIBRATED + stage.CHECKED]
    made = stage.quantize(weights, lambda: sample.look(some), config=session.config.crop)
    found, same = made.agreement
    log.info("the same vehicle on %d of %d photos", same, found)
    return session.commit(
        work, made.files, counts={"in": found, "kept": same}, seconds=round(time.monotonic() - started, 1)
    )
