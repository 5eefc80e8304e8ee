"""Suspects: how many planted wrong listings are found first, against what a good engineer would sort by instead.

    python benchmarks/suspects.py world --cache <folder> [--cars 1700]
    python benchmarks/suspects.py photos <models196> --backbone <efficientnet_lite0_224.keras> --cache <folder>
    python benchmarks/suspects.py size [--photos 620000] [--listings 109272] [--classes 512]

`world` plants wrong names in the drawn world (`benchmarks/suspects_world.py`), `photos` in real cars, each photo of
which is a listing (`benchmarks/suspects_photos.py`). Both say precision at 50, or at as many as are planted where these
are fewer, and recall at 3 %: the share of the planted ones that is in the first 3 % of all listings. Each comes with a
95 % interval (Wilson's). Listings are pooled and ranked by the code that `carpipe listings suspects` runs. The
opponents get the same pooled probabilities: the lowest one of the given class first, and the likeliest other answer
first. `--variants` adds cleanlab's other ways.
`photos` also says the accuracy of a classifier on test photos when the first 3 % are corrected as a person would, when
they are left out instead, and before; and so does `world` with `--gains`.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import suspects_photos  # the benchmarks beside this one
import suspects_world
from scipy.stats import norm

from carpipe.evaluation.listing_answers import Source, pool_listings
from carpipe.evaluation.suspects import find_suspects, rank_listings
from carpipe.evaluation.top_answers import TopAnswers, keep_top

FIRST, SHARE, SEEDS = 50, 0.03, 3
FILTERS = ("confident_learning", "prune_by_noise_rate", "both", "predicted_neq_given")
RANKS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def main() -> None:
    """Run what is asked for, print the figures."""
    options = parse()
    if options.what == "size":
        measure_size(options.photos, options.listings, options.classes)
        return
    options.cache.mkdir(parents=True, exist_ok=True)
    (run_world if options.what == "world" else run_photos)(options)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    world, photos, size = (parts.add_parser(name) for name in ("world", "photos", "size"))
    world.add_argument("--cars", type=int, default=1700)
    world.add_argument("--gains", action="store_true", help="also what correcting gains; trains 14 times more")
    photos.add_argument("models", type=Path)
    photos.add_argument("--backbone", type=Path, required=True, help="without its top, a .keras file")
    for one in (world, photos):
        one.add_argument("--cache", type=Path, required=True, help="keeps pictures, features and answers")
        one.add_argument("--variants", action="store_true", help="cleanlab's other filters and ranks too")
    size.add_argument("--photos", type=int, default=620_000)
    size.add_argument("--listings", type=int, default=109_272)
    size.add_argument("--classes", type=int, default=512)
    return parser.parse_args()


def run_world(options: argparse.Namespace) -> None:
    """Each kind of planted error by itself."""
    photos = suspects_world.draw_cars(options.cars, options.cache / "drawn")
    truth = pd.Series({one.listing: one.truth for one in photos})
    print(f"{len(photos):,} photos of {len(truth):,} listings of {truth.nunique()} classes")
    for how in suspects_world.PLANTS:
        kept = options.cache / f"world-{how}-{options.cars}.npz"
        if not kept.exists():
            names = suspects_world.plant(truth, how)
            table, p, classes = suspects_world.answer(photos, names)
            np.savez(kept, key=table["key"].to_numpy(str), p=p, classes=classes, said=names[truth.index].to_numpy(str))
        with np.load(kept) as found:
            keys, p, classes = found["key"], found["p"], tuple(found["classes"].tolist())
            said = pd.Series(found["said"], index=truth.index)  # by whom the classifiers were trained
        listing = pd.Series({one.key: one.listing for one in photos})[keys].to_numpy()
        pooled, names = pool(listing, p, classes, said[listing].to_numpy())
        given, right = (pd.Index(classes).get_indexer(one[names]) for one in (said, truth))
        known = (pooled.argmax(axis=1) == right).mean()
        print(f"\n{how}: {(given != right).sum()} planted; {known:.3f} of the listings are answered rightly")
        show(pooled, given, given != right, variants=options.variants, more=by_photo(listing, p, classes, said))
        if options.gains:
            world_gains(photos, said, truth, names[ranked(pooled, given)], kept=options.cache / f"gains-{how}")


def world_gains(photos: Any, said: Any, truth: Any, suspects: Any, *, kept: Path) -> None:
    """How many photos of cars that were not learnt from are answered rightly, when a person has gone through 3 %."""
    first = suspects[: round(SHARE * len(said))]
    corrected = said.copy()
    corrected[first] = truth[first]
    ways = {"nothing planted": (truth, ()), "before": (said, ()), "corrected": (corrected, ()),
            "first 3 % left out": (said, first)}  # fmt: skip
    rights = {}
    for name, (names, left_out) in ways.items():
        file = (
            (kept.parent / "gains-clean.npy") if name == "nothing planted" else Path(f"{kept}-{name.split()[-1]}.npy")
        )
        if not file.exists():
            table, p, classes = suspects_world.answer(photos, names, left_out=set(left_out))
            right = np.array(classes)[p.argmax(axis=1)] == truth[table["listing_uuid"]].to_numpy()
            np.save(file, pd.Series(right, index=table["key"])[[one.key for one in photos]].to_numpy())
        rights[name] = np.load(file)
    listing = np.array([one.listing for one in photos])
    for name, right in rights.items():
        low, high = difference(right, rights["before"], listing)
        more = "" if name == "before" else f"; against before {low:+.4f} to {high:+.4f} (95 %)"
        print(f"  photos answered rightly, {name}: {right.mean():.4f}{more}", flush=True)


def difference(one: Any, other: Any, listing: Any, *, draws: int = 2000) -> tuple[float, float]:
    """A 95 % interval of how much more often the one is right: bootstrap over listings."""
    number = pd.factorize(listing)[0]
    more = np.bincount(number, weights=one.astype(float) - other)
    sizes = np.bincount(number)
    random = np.random.default_rng(0)
    picks = random.integers(0, len(sizes), (draws, len(sizes)))
    low, high = np.quantile(more[picks].sum(axis=1) / sizes[picks].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def pool(listing: Any, p: Any, classes: tuple[str, ...], said: Any) -> tuple[Any, Any]:
    """Pooled probabilities of listings, from what is kept of each photo, and their names.

    Args:
        said: class that each photo is given, by name.
    """
    order = np.argsort(listing, kind="stable")
    number, names = pd.factorize(listing[order])
    table = pd.DataFrame({"key": np.arange(len(p)), "class_name": said[order]})
    energy = np.zeros(len(p), np.float32)
    top = keep_top(table, p[order].astype(np.float32), energy=energy, temperature=1.0, classes=classes)
    return pool_listings(Source("", top), np.arange(len(p)), listing=number, classes=classes).p, names


def by_photo(listing: Any, p: Any, classes: tuple[str, ...], said: "pd.Series[str]") -> dict[str, Any]:
    """Listings sorted without pooling: by what single photos get in the given class."""
    own = p[np.arange(len(p)), pd.Index(classes).get_indexer(said[listing])]
    by_listing = pd.Series(own).groupby(listing)
    return {
        "mean of the photos' given probabilities": np.argsort(by_listing.mean().to_numpy(), kind="stable"),
        "lowest given probability of one photo": np.argsort(by_listing.min().to_numpy(), kind="stable"),
    }


def run_photos(options: argparse.Namespace) -> None:
    """Both kinds of planted error, three seeds; then what correcting them gains."""
    cars = suspects_photos.read_cars(options.models, options.backbone, options.cache)
    clean = suspects_photos.answer(cars, cars.truth, kept=options.cache / "photos-clean.npy")
    print(f"{len(cars.files):,} photos, {cars.doubtful.sum()} of them of two names, which do not count; "
          f"{(clean.argmax(1) == cars.truth).mean():.3f} are answered rightly by who has learnt the truth")  # fmt: skip
    best = suspects_photos.accuracy(cars, cars.truth, np.ones(len(cars.truth), bool))
    print(f"accuracy with nothing planted: {best:.4f}", flush=True)
    for how in suspects_photos.PLANTS:
        found = []
        for seed in range(SEEDS):
            said = suspects_photos.plant(cars, how, seed=seed, clean=clean)
            kept = options.cache / f"photos-{how.replace(' ', '-')}-{seed}.npy"
            p = suspects_photos.answer(cars, said, kept=kept)
            pooled, order = pool(np.array(cars.files), p, tuple(cars.classes), np.array(cars.classes, object)[said])
            place = pd.Index(cars.files).get_indexer(pd.Index(order))
            planted = said != cars.truth
            print(f"\n{how}, seed {seed}: {planted.sum()} planted")
            counts = ~cars.doubtful[place]
            own = p[place][counts][np.arange(counts.sum()), said[place][counts]]
            whole = {"lowest given probability, all classes kept": np.argsort(own, kind="stable")}
            show(pooled[counts], said[place][counts], planted[place][counts], variants=options.variants, more=whole)
            found.append(gains(cars, said, place[ranked(pooled, said[place])]))
        for name in found[0]:
            values = np.array([one[name] for one in found])
            print(f"{how}: accuracy {name}: {values.mean():.4f} (seeds {', '.join(f'{one:.4f}' for one in values)})")


def gains(cars: Any, said: Any, suspects: Any) -> dict[str, float]:
    """Test accuracy when a person has gone through the first 3 %: those that are wrong get their right name."""
    first = np.zeros(len(said), bool)
    first[suspects[: round(SHARE * len(said))]] = True
    every = np.ones(len(said), bool)
    return {
        "before": suspects_photos.accuracy(cars, said, every),
        "corrected": suspects_photos.accuracy(cars, np.where(first, cars.truth, said), every),
        "first 3 % left out": suspects_photos.accuracy(cars, said, ~first),
    }


def ranked(p: Any, given: Any) -> Any:
    """Numbers of the suspects, as `carpipe listings suspects` has them."""
    found, score = rank_listings(p, given)
    return np.flatnonzero(found)[np.argsort(score[found], kind="stable")]


def orders(p: Any, given: Any, *, variants: bool) -> Iterator[tuple[str, Any]]:
    """Ways to sort: name, and numbers of listings."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    yield "carpipe", ranked(p, given)
    yield "lowest given probability", np.argsort(p[np.arange(len(p)), given], kind="stable")
    other = np.flatnonzero(p.argmax(axis=1) != given)
    yield "another answer, the likeliest first", other[np.argsort(-p[other].max(axis=1), kind="stable")]
    for how in FILTERS if variants else ():
        for rank in RANKS:
            chosen = find_label_issues(given, p, filter_by=how, n_jobs=1)
            score = get_label_quality_scores(given, p, method=rank)
            yield f"{how}, {rank}", np.flatnonzero(chosen)[np.argsort(score[chosen], kind="stable")]


def show(p: Any, given: Any, planted: Any, *, variants: bool, more: dict[str, Any] | None = None) -> None:
    """A line for each way to sort."""
    count = min(FIRST, int(planted.sum()))
    for name, order in [*orders(p, given, variants=variants), *(more or {}).items()]:
        first = planted[order[:count]]
        early = planted[order[: round(SHARE * len(p))]]
        at = f"precision at {count} {interval(int(first.sum()), count)}"
        print(f"  {name:<48} {at}   recall at 3 % {interval(int(early.sum()), int(planted.sum()))}", flush=True)


def interval(hits: int, of: int) -> str:
    """A share with Wilson's 95 % interval."""
    z, share = float(norm.ppf(0.975)), hits / of
    centre = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * np.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return f"{share:.2f} ({centre - half:.2f} to {centre + half:.2f})"


def measure_size(photos: int, listings: int, classes: int) -> None:
    """Seconds and peak memory on a made problem: 3 % wrong, answers that are right on most photos."""
    random = np.random.default_rng(0)
    names = tuple(f"class_{number:03}" for number in range(classes))
    given, listing = random.integers(0, classes, listings), np.sort(random.integers(0, listings, photos))
    truth = np.where(random.random(listings) < SHARE, (given + 1) % classes, given)
    first = np.where(random.random(photos) < 0.93, truth[listing], random.integers(0, classes, photos))
    numbers = ((first[:, None] + 7 * np.arange(10)) % classes).astype(np.uint16)
    p = np.sort(random.dirichlet(np.full(10, 0.3), photos), axis=1)[:, ::-1].astype(np.float16)
    keys = pd.Series(np.arange(photos)).map("make_model_2016/1_1_{:032x}.jpg".format)
    classed = np.array(names, dtype=object)[given[listing]]
    own = pd.DataFrame({"key": keys, "class_name": classed, "p_given": np.float32(1e-4)})
    top = TopAnswers(own, numbers, p, np.zeros(photos, np.float32), names)
    uuids = pd.Series(np.arange(listings)).map("{:032x}".format).to_numpy()
    table = pd.DataFrame({"key": keys, "listing_uuid": uuids[listing], "class_name": classed})
    before, started = peak_gb(), time.monotonic()
    found = find_suspects(table, [Source("made", top)], classes=names)
    seconds = time.monotonic() - started
    print(f"{photos:,} photos of {len(np.unique(listing)):,} listings, {classes} classes: {seconds:.1f} s, "
          f"{peak_gb():.2f} GB at most ({before:.2f} GB of it before), {len(found.table):,} suspects")  # fmt: skip


def peak_gb() -> float:
    """Most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
