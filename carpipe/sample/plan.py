"""Which photos a sample world holds, before any is drawn: cars, listings, copies, banners, faults.

A plan follows from the seed and the number of cars alone. Every shot of it can be drawn on its own, in any
order and any process: copies are drawn anew from the seed of their original.
"""

import random
import uuid
from dataclasses import dataclass, replace

from carpipe.sample.faults import EXPECT
from carpipe.sample.models import LOOKS, Look
from carpipe.sample.photo import YAWS

NAMESPACE = uuid.UUID("6f1d3f0a-1f0e-5c38-9d0b-5a1d9ef2c0de")  # any constant: it keeps our uuids apart
PHOTOS = (4, 10)  # per listing
EXTERIORS = 0.55  # share of the photos after the first
RELISTED_EVERY = 12  # every so many cars there is one that is listed twice
BANNER_SHARE = 0.2  # of the listings
DEALERS = 3
FAULT_SHARE = 0.025  # of all files
TWO_YEARS = "nissan_qashqai"  # the model of the listing that lies in two year folders


@dataclass(frozen=True)
class Shot:
    """One file to draw."""

    key: str  # relative to raw/
    listing: str  # uuid
    vehicle: str
    look: Look
    view: str
    car_seed: str
    photo_seed: str
    kind: str = "original"  # original, fault, relist_exact, relist_near, banner
    fault: str = ""

    @property
    def expect(self) -> str:
        """What cleaning may do with the file: keep, drop or any."""
        return EXPECT.get(self.fault, "keep")


def plan_world(seed: int, listings: int) -> list[Shot]:
    """All files of the world of that seed with that many cars, in a fixed order."""
    rng = random.Random(f"carpipe sample {seed} {listings}")
    shots: list[Shot] = []
    count = 0
    for look, cars in zip(LOOKS, _quotas(listings), strict=True):
        number = rng.randint(1, 40)  # not unique across models, as in real data
        for position in range(cars):
            number += rng.randint(1, 4)
            split = look.name == TWO_YEARS and position == 0
            shots += _listing(rng, seed, look, number, split)
            count += 1
            if count % RELISTED_EVERY == 0:
                number += 1
                shots += _relist(rng, seed, [s for s in shots if s.vehicle == shots[-1].vehicle], number)
    return _with_faults(rng, shots)


def _quotas(listings: int) -> list[int]:
    """Cars per model: the rare ones have a fixed number, the others share the rest."""
    rest = max(0, listings - sum(look.fixed for look in LOOKS))
    total = sum(look.share for look in LOOKS if not look.fixed)
    quotas, before = [], 0
    for look in LOOKS:
        after = before + (0 if look.fixed else look.share)
        quotas.append(look.fixed or rest * after // total - rest * before // total)
        before = after
    return quotas


def _listing(rng: random.Random, seed: int, look: Look, number: int, split: bool) -> list[Shot]:
    vehicle = "c" + _uuid(seed, "vehicle", look.name, number).hex[:16]
    listing = str(_uuid(seed, "listing", look.name, number))
    years = rng.sample(look.years, 2) if split else [rng.choice(look.years)]
    views = _views(rng, 6 if split else 3 if look.fixed else rng.randint(*PHOTOS))
    shots = []
    for i, view in enumerate(views):
        key = _key(seed, look, years[i * len(years) // len(views)], number, i + 1, listing)
        shots.append(Shot(key, listing, vehicle, look, view, f"{seed}/{vehicle}", f"{seed}/{vehicle}/{i}"))
    if not look.fixed and rng.random() < BANNER_SHARE:
        dealer = f"{seed}/dealer/{rng.randrange(DEALERS)}"
        key = _key(seed, look, years[-1], number, len(views) + 1, listing)
        shots.append(Shot(key, listing, vehicle, look, "banner", "", dealer, "banner"))
    return shots


def _views(rng: random.Random, count: int) -> list[str]:
    """A cover from the front at an angle, then exteriors without repetition, interiors and details."""
    cover = rng.choice(("angle-front-left", "angle-front-right"))
    deck = [view for view in YAWS if view != cover]
    rng.shuffle(deck)
    views = [cover]
    for _ in range(count - 1):
        outside = rng.random() < EXTERIORS and deck
        views.append(deck.pop() if outside else rng.choices(("interior", "detail"), (3, 2))[0])
    return views


def _relist(rng: random.Random, seed: int, shots: list[Shot], number: int) -> list[Shot]:
    """The same car under a new uuid: some of its photos again, byte for byte or re-encoded."""
    pool = [shot for shot in shots if shot.kind == "original"]
    kept = sorted(rng.sample(range(len(pool)), rng.randint(max(1, len(pool) * 2 // 3), len(pool))))
    kind = rng.choice(("relist_exact", "relist_near"))
    look = pool[0].look
    listing = str(_uuid(seed, "relisted", look.name, number))
    year = pool[0].key.split("/")[0].rsplit("_", 1)[1]
    return [
        replace(pool[i], key=_key(seed, look, int(year), number, n + 1, listing), listing=listing, kind=kind)
        for n, i in enumerate(kept)
    ]


def _with_faults(rng: random.Random, shots: list[Shot]) -> list[Shot]:
    """Breaks some originals, each fault equally often; the few photos of rare models stay sound."""
    sound = [i for i, shot in enumerate(shots) if shot.kind == "original" and not shot.look.fixed]
    chosen = rng.sample(sound, min(len(sound), round(len(shots) * FAULT_SHARE)))
    faults = list(EXPECT)
    rng.shuffle(faults)
    for n, i in enumerate(chosen):
        shots[i] = replace(shots[i], kind="fault", fault=faults[n % len(faults)])
    return shots


def _key(seed: int, look: Look, year: int, number: int, photo: int, listing: str) -> str:
    return f"{look.name}_{year}/{number}_{photo}_{listing}_{_uuid(seed, listing, photo)}.jpg"


def _uuid(seed: int, *parts: object) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, "/".join(map(str, (seed, *parts))))
