"""What a run is about to do: which results are there, which are missing, and how long those will take.

Keys follow from the work, so a result that is not there yet has a known key too, and so has what will be made
of it. Photos and minutes of work to come are estimates, by the shares and rates of earlier results.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.ahead import work_ahead
from carpipe.config import CostConfig
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest, Work
from carpipe.spent import read_spent
from carpipe.steps.data.classes import classes_work
from carpipe.steps.data.clean import clean_work
from carpipe.steps.data.cost import ASKING, Cost
from carpipe.steps.data.crop import crop_work
from carpipe.steps.data.dataset import dataset_work
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.data.detector_network import DetectorId, local_detector
from carpipe.steps.data.filter import filter_work
from carpipe.steps.data.filter_network import CarFilter, find_car_filter
from carpipe.steps.data.identify import identify_work
from carpipe.steps.data.inventory import Inventory, read_inventory
from carpipe.steps.data.split import split_work
from carpipe.steps.data.validate import validate_work
from carpipe.steps.moves.store import current_taxonomy
from carpipe.steps.results import CROPS, PHOTOS, SIGNATURES, STAGES
from carpipe.steps.reuse import cropped_with, scored_with
from carpipe.steps.session import Session
from carpipe.weights.channel import read_channel, read_released

if TYPE_CHECKING:
    from carpipe.taxonomy.rules import Taxonomy

# Share of photos that a stage keeps, where nothing was done yet to tell: the published data set's.
KEPT = {"clean": 0.98, "filter": 0.42, "crop": 0.98}
# Photos a second and worker, on a CPU of today, where nothing was done yet to tell.
RATES = {"clean": 200.0, "filter": 50.0, "crop": 5.0}
# From identify to pack, which look at all partitions.
DATASET_RATE = 500.0
# What later steps read of a partition that has all its results. What else has gone is made again once it is needed.
NEEDED = {"clean": (SIGNATURES,), "filter": (), "crop": (PHOTOS, CROPS)}
# Partitions, the newest, whose results under other settings tell a rate.
RATED = 20


@dataclass
class Forecast:
    """One stage, or all those from identify on (`dataset`): what is there (`reused`), what is to do and will cost.

    `minutes` are those of one worker; workers share the partitions. `measured` says whether they rest on earlier
    results of this bucket, and `bytes_measured` the same of `bytes`. `spent` is where the time of these results went:
    seconds by `carpipe.spent.KINDS`. `cost` is what the stage will cost by the prices of the settings; null: there are
    none.
    """

    stage: str
    partitions: int = 0
    photos: int = 0
    reused_partitions: int = 0
    reused_photos: int = 0
    bytes: int = 0
    minutes: float = 0.0
    measured: bool = False
    bytes_measured: bool = False
    spent: dict[str, float] = field(default_factory=dict)
    cost: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a run works on, fixed before it starts.

    Attributes:
        car_filter: manifest key of the weights.
        partitions: of the inventory, in its order.
        crops: manifest key of each partition's crops, which may be there or to come.
        to_do: the partitions that lack a result.
    """

    inventory: str
    car_filter: str
    partitions: list[dict[str, Any]]
    crops: list[str]
    to_do: list[dict[str, Any]]
    forecast: list[Forecast] = field(default_factory=list)


def plan(session: Session, inventory_key: str) -> Plan:
    """Fix weights and partitions of a run, say what will run, and find out now what would fail it hours later.

    Raises:
        InputError: the car filter was never published, or the detector's weights are missing.
        ConfigError: the taxonomy has a fault.
    """
    state = read_inventory(session, inventory_key)
    name = session.config.filter.channel
    release = read_channel(session.store, name)
    if release is None:
        raise InputError(f"The channel {name} has no weights yet; run `train_filter` first.")
    with local_detector(session) as found:
        detector = found.id
    taxonomy = current_taxonomy(session)
    car_filter = find_car_filter(session, read_released(session.store, release).manifest)
    forecaster = _Forecaster(session, state, car_filter, detector)
    return Plan(
        state.key,
        release.model,
        state.partitions,
        crops=forecaster.crops(),
        to_do=[part for part, done in zip(state.partitions, forecaster.complete(), strict=True) if not done],
        forecast=[_priced(row, session.config.cost) for row in forecaster.forecast(taxonomy)],
    )


def _priced(row: Forecast, prices: CostConfig) -> Forecast:
    requests = row.photos if row.stage in ASKING else 0
    return replace(row, cost=Cost(cpu_hours=row.minutes / 60, requests=requests).money(prices))


class _Forecaster:
    """Walks the partitions twice: first for what is there, then for what its rates say of the rest."""

    def __init__(self, session: Session, state: Inventory, car_filter: CarFilter, detector: DetectorId):
        self._session = session
        self._car_filter = car_filter
        self._detector = detector
        self._chains = self._find_chains(state.partitions)
        self._sizes = {part["partition"]: part for part in state.partitions}
        self._known = [*self._done(), *self._earlier()]
        self._looked_at = self._look_back()
        self._gone = state.gone

    def crops(self) -> list[str]:
        """Manifest key of the crops of each partition, there or to come."""
        return [works["crop"].key for works, _ in self._chains]

    def complete(self) -> list[bool]:
        """Whether each partition has all its results."""
        return [all(found.values()) for _, found in self._chains]

    def forecast(self, taxonomy: "Taxonomy") -> list[Forecast]:
        """One entry per stage that works on partitions, in order, and one for what comes after."""
        left = 0.0
        rows = {stage: self._begun(stage) for stage in STAGES}
        for works, found in self._chains:
            photos = float(self._sizes[works["clean"].partition]["photos"])
            for stage in STAGES:
                photos = self._add(rows[stage], works[stage], found[stage], photos)
            left += photos
        return [*rows.values(), self._dataset(taxonomy, left)]

    def _begun(self, stage: str) -> Forecast:
        """What is known of a stage before partitions are counted."""
        spent: defaultdict[str, float] = defaultdict(float)
        for done in self._of(stage):
            for kind, seconds in read_spent(done.extra.get("spent")).items():
                spent[kind] += seconds
        measured = bool(self._rate(stage))
        told = {kind: round(seconds, 3) for kind, seconds in spent.items()}
        return Forecast(stage, measured=measured, bytes_measured=measured, spent=told)

    def _dataset(self, taxonomy: "Taxonomy", photos: float) -> Forecast:
        """From identify to pack, of the photos that `crop` keeps."""
        session = self._session
        identified = identify_work(session, self.crops(), self._gone)
        splitted = split_work(session, classes_work(session, identified.key, taxonomy).key)
        work = dataset_work(splitted.key, validate_work(session, splitted.key).key)
        if done := manifest.find(session.store, work):
            return Forecast("dataset", reused_partitions=len(self._chains), reused_photos=done.counts["in"])
        rate = _dataset_rate(session)
        minutes = photos / (rate or DATASET_RATE) / 60
        return Forecast("dataset", len(self._chains), round(photos), minutes=minutes, measured=bool(rate))

    def _find_chains(self, parts: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Work], dict[str, Manifest | None]]]:
        """What each stage does with each partition, and the results that are there."""
        works = [self._works(part) for part in parts]
        asked = (one[stage] for one in works for stage in STAGES)
        found = manifest.find_many(self._session.store, asked, needed=lambda stage: NEEDED[stage])
        rows = zip(*[iter(found)] * len(STAGES), strict=True)
        return [(one, dict(zip(STAGES, row, strict=True))) for one, row in zip(works, rows, strict=True)]

    def _works(self, part: dict[str, Any]) -> dict[str, Work]:
        partition = part["partition"]
        clean = clean_work(self._session, part["manifest"], partition)
        filtered = filter_work(self._session, clean.key, partition, self._car_filter)
        crop = crop_work(self._session, filtered.key, partition, self._detector)
        return {"clean": clean, "filter": filtered, "crop": crop}

    def _add(self, row: Forecast, work: Work, done: Manifest | None, photos: float) -> float:
        """Count one partition; returns the photos that the stage keeps of it."""
        if done:
            row.reused_partitions += 1
            row.reused_photos += done.counts["in"]
            return float(done.counts["kept"])
        known = min(photos, float(self._looked_at.get(work.key, 0)))
        row.partitions += 1
        row.photos += round(photos - known)
        row.reused_photos += round(known)
        row.bytes += round((photos - known) * self._bytes(work.stage))
        row.minutes += (photos - known) / (self._rate(work.stage) or RATES[work.stage]) / 60
        return photos * self._kept(work.stage)

    def _look_back(self) -> dict[str, int]:
        """By key of what is missing, the photos that an earlier commit with the same settings may be asked for."""
        earlier = {"filter": scored_with, "crop": cropped_with}
        missing = [works[stage] for works, found in self._chains for stage in earlier if not found[stage]]
        store = self._session.store

        def look(work: Work) -> int:
            return max((int(done.counts["in"]) for done in earlier[work.stage](store, work)), default=0)

        threads = self._session.config.store.threads
        found = work_ahead(look, missing, size=lambda _: 0, threads=threads, budget=0)
        return {work.key: photos for work, photos in zip(missing, found, strict=True)}

    def _done(self) -> list[Manifest]:
        return [done for _, found in self._chains for done in found.values() if done]

    def _earlier(self) -> list[Manifest]:
        """Where a stage has to run on all partitions, results under other settings tell its rate."""
        missing = [stage for stage in STAGES if not any(found[stage] for _, found in self._chains)]
        store, newest = self._session.store, list(self._sizes)[-RATED:]
        return [done for stage in missing for part in newest for done in manifest.commits(store, stage, part)]

    def _of(self, stage: str) -> list[Manifest]:
        return [done for done in self._known if done.stage == stage and done.counts["in"]]

    def _rate(self, stage: str) -> float:
        """Photos a second, 0 where nothing is known."""
        worked = sum(done.counts["in"] - done.reused for done in self._of(stage))
        seconds = sum(done.seconds for done in self._of(stage))
        return worked / seconds if worked and seconds else 0.0

    def _kept(self, stage: str) -> float:
        total = sum(done.counts["in"] for done in self._of(stage))
        return sum(done.counts["kept"] for done in self._of(stage)) / total if total else KEPT[stage]

    def _bytes(self, stage: str) -> float:
        """Bytes to read per photo."""
        worked = sum(done.counts["in"] - done.reused for done in self._of(stage))
        return sum(done.bytes_read for done in self._of(stage)) / worked if worked else 0.0


def _dataset_rate(session: Session) -> float:
    """Photos a second from identify to pack when the newest dataset was made; 0 where there is none."""
    try:
        newest = find_dataset(session, None)
        splitted, validated = (manifest.read(session.store, key) for key in newest.inputs)
        packed = manifest.read_many(session.store, newest.extra["packed"])
        classed = manifest.read(session.store, splitted.inputs[0])
        identified = manifest.read(session.store, classed.inputs[0])
    except (InputError, MissingError):
        return 0.0
    seconds = sum(done.seconds for done in (identified, classed, splitted, validated, *packed))
    return float(identified.counts["in"]) / seconds if seconds else 0.0
