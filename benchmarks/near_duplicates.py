"""The near-duplicate join, at the size of the published data set and against what people use instead.

    python benchmarks/near_duplicates.py <tables> [photos]

`<tables>` holds the published `car_distribution.csv`: as many hashes are drawn for each of its 6,273 folders as
the folder has photos. `photos`, a folder of real photos, gives hashes to draw them from; without it they are
uniform. Of the hashes 2 % are near-duplicates of others and 0.5 % one dealer's banner.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import BallTree

from carpipe.pictures.decode import PhotoError, decode
from carpipe.pictures.hashes import dhash
from carpipe.stages.near_duplicates import candidates

DISTANCE = 3
SIZES = (100_000, 400_000)  # and all of them
# scikit-learn's time grows nearly with the square: more would take hours.
SKLEARN = 20_000


def main(tables: Path, photos: Path | None) -> None:
    """Print a line per size."""
    total = int(pd.read_csv(tables / "car_distribution.csv")["total"].sum())
    hashes = draw(total, real_hashes(photos) if photos else None)
    print(f"{'hashes':>10} {'pairs':>10} {'seconds':>8} {'hashes/s':>10} {'peak MB':>8}")
    for size in (*SIZES, total):
        started = time.perf_counter()
        pairs = len(candidates(hashes[:size], distance=DISTANCE)[0])
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{size:>10,} {pairs:>10,} {seconds:>8.1f} {size / seconds:>10,.0f} {peak:>8,}")
    compare(hashes[:SKLEARN])


def compare(hashes: NDArray[np.uint64]) -> None:
    """Against scikit-learn's ball tree with the Hamming metric: exact too."""
    started = time.perf_counter()
    ours = len(candidates(hashes, distance=DISTANCE)[0])
    middle = time.perf_counter()
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    found = BallTree(bits, metric="hamming").query_radius(bits, (DISTANCE + 0.5) / 64, count_only=True)
    seconds = time.perf_counter() - middle
    theirs = (int(found.sum()) - len(hashes)) // 2
    print(f"{len(hashes):,} hashes: carpipe {ours:,} pairs in {middle - started:.2f} s, ", end="")
    print(f"BallTree {theirs:,} pairs in {seconds:.1f} s: {seconds / (middle - started):.0f} times as fast")
    print("(pairs differ within the banner only: carpipe links its copies to their neighbours)")


def real_hashes(folder: Path) -> NDArray[np.uint64]:
    """The hashes of all photos that can be decoded."""
    found = []
    for path in sorted(folder.rglob("*.jpg")):
        try:
            found.append(int(dhash(decode(path.read_bytes(), max_pixels=40_000_000)[0]), 16))
        except PhotoError:
            continue
    return np.array(found, np.uint64)


def draw(total: int, real: NDArray[np.uint64] | None) -> NDArray[np.uint64]:
    """Hashes that are spread like real ones: each a real one with a quarter of its bits redrawn."""
    rng = np.random.default_rng(1)
    base = rng.integers(0, 2**64, total, dtype=np.uint64) if real is None else rng.choice(real, total)
    redrawn = np.packbits((rng.random((total, 64)) < 0.25).astype(np.uint8), axis=1).view(np.uint64).ravel()
    hashes = (base & ~redrawn) | (rng.integers(0, 2**64, total, dtype=np.uint64) & redrawn)
    copies = rng.integers(0, total, total // 50)
    bits = np.uint64(1) << rng.integers(0, 64, len(copies), dtype=np.uint64)
    hashes[copies] = hashes[rng.integers(0, total, len(copies))] ^ bits
    hashes[rng.integers(0, total, total // 200)] = hashes[0]
    return hashes


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else None)
