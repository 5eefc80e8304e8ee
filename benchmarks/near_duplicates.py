"""The near-duplicate join and the whole of `identify`, at the size of the published data set.

    python benchmarks/near_duplicates.py <tables> [--photos <folder>] [--rounds 3] [--out <json>]

`<tables>` holds the published `car_distribution.csv`: as many photos are drawn for each of its 6,273 folders as
the folder has. `--photos`, a folder of real ones, gives looks (hashes and signatures) to draw them from; without it
they are noise. Of the hashes 2 % are near-duplicates of others and 0.5 % one dealer's banner; for `identify` another
2 % are cut copies of a photo of their model. The join is compared with what people use instead:
scikit-learn's ball tree on a few, and on all of them faiss' `IndexBinaryMultiHash`, with four hashes of 16 bits, which
finds all pairs of up to 3 unequal bits too. Both get each hash once, as equal ones are found without an index. faiss is
installed by uv into an environment of its own, since it is not ours to depend on.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from kept import keep  # the module beside this one
from numpy.typing import NDArray
from sklearn.neighbors import BallTree

from carpipe.config import IdentifyConfig
from carpipe.pictures.decode import PhotoError, read
from carpipe.pictures.encode import shrink
from carpipe.pictures.hashes import Look, look
from carpipe.stages.identify import identify
from carpipe.stages.near_duplicates import candidates

DISTANCE = 3
FORMS = ("dhash", "dhash_inner")
SIZES = (100_000, 400_000)  # and all of them
# scikit-learn's time grows nearly with the square: more would take hours.
SKLEARN = 20_000
JOIN = """
import json, resource, sys, time
import numpy as np
{setup}
hashes = np.load(sys.argv[1])
started = time.perf_counter()
pairs = {run}
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([seconds, peak // 1024, pairs]))
"""
JOINS = {
    "carpipe": (
        "from carpipe.stages.near_duplicates import candidates",
        f"len(candidates(hashes, distance={DISTANCE})[0])",
    ),
    "faiss IndexBinaryMultiHash(64, 4, 16)": (
        "import faiss",
        "join(hashes)",
    ),
}
FAISS = f"""
def join(hashes):
    index, rows, found = faiss.IndexBinaryMultiHash(64, 4, 16), hashes.view(np.uint8).reshape(-1, 8), 0
    index.add(rows)
    for start in range(0, len(rows), 65_536):
        found += int(index.range_search(rows[start : start + 65_536], {DISTANCE + 1})[0][-1])
    return (found - len(rows)) // 2
"""


def main(options: argparse.Namespace) -> None:
    """Print a line per size."""
    tables, photos = options.tables, options.photos
    folders = pd.read_csv(tables / "car_distribution.csv").query("total > 0")
    total = int(folders["total"].sum())
    looks = real_looks(photos) if photos else [look(noise) for noise in random_pictures()]
    hashes = draw(total, np.array([int(one.dhash, 16) for one in looks], np.uint64))
    print(f"{'hashes':>10} {'pairs':>10} {'seconds':>8} {'hashes/s':>10} {'peak MB':>8}")
    for size in (*SIZES, total):
        started = time.perf_counter()
        pairs = len(candidates(hashes[:size], distance=DISTANCE)[0])
        seconds = time.perf_counter() - started
        print(f"{size:>10,} {pairs:>10,} {seconds:>8.1f} {size / seconds:>10,.0f} {peak_mb():>8,}")
    compare(hashes[:SKLEARN])
    join_all(np.unique(hashes), options)
    time_identify(folders, looks)


def join_all(hashes: NDArray[np.uint64], options: argparse.Namespace) -> None:
    """Against faiss, each in a process of its own, one after the other."""
    rows = []
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, hashes)
        for number in range(options.rounds):
            for name, (setup, run) in JOINS.items():
                seconds, peak, pairs = join(name, setup, run, Path(file.name))
                print(f"{name}: {pairs:,} pairs of {len(hashes):,} hashes in {seconds:.1f} s, {peak:,} MB", flush=True)
                rows.append([name, number + 1, round(seconds, 1), peak, pairs])
    if options.out:
        columns = ("join", "round", "seconds", "peak MB", "pairs")
        title = f"Pairs of near hashes among {len(hashes):,}, up to {DISTANCE} of 64 bits unequal"
        keep(options.out, title=title, columns=columns, rows=rows)


def join(name: str, setup: str, run: str, file: Path) -> tuple[float, int, int]:
    """Seconds, peak MB and pairs."""
    code = JOIN.replace("{setup}", setup + (FAISS if "faiss" in name else "")).replace("{run}", run)
    uv = [Path(sys.executable).parent / "uv", "run", "--quiet", "--no-project", "--python", "3.11"]
    python = [*uv, "--with", "faiss-cpu", "--with", "numpy", "python"] if "faiss" in name else [sys.executable]
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [*map(str, python), "-c", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=path)
    seconds, peak, pairs = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak, pairs


def time_identify(folders: pd.DataFrame, looks: list[Look]) -> None:
    """The stage, without the time that reading signatures from the storage takes."""
    table = draw_photos(folders, looks)
    pixels = np.stack([np.frombuffer(one.signature, np.uint8) for one in looks])
    before, started = peak_mb(), time.perf_counter()
    done = identify(table, config=IdentifyConfig(), signatures=lambda rows: pixels[table.loc[rows.index, "drawn"]])
    seconds = time.perf_counter() - started
    edited = int(done.pairs["edited"].sum())
    print(f"identify: {len(table):,} photos in {seconds:.0f} s, peak {peak_mb():,} MB ({before:,} of it the table); ")
    print(f"{len(done.pairs) - edited:,} pairs of near-duplicates, {edited:,} of edited copies")


def draw_photos(folders: pd.DataFrame, looks: list[Look]) -> pd.DataFrame:
    """A photo table: seven photos a listing; `drawn` is the look that a photo has, but for a quarter of its bits."""
    rng = np.random.default_rng(2)
    folder = np.repeat(np.arange(len(folders)), folders["total"])
    names, number = folders["car_directory"].to_numpy()[folder], len(folder)
    drawn = rng.integers(0, len(looks), number)
    whole, inner = (np.array([int(getattr(one, name), 16) for one in looks], np.uint64) for name in FORMS)
    whole, inner = redraw(whole[drawn], rng), redraw(inner[drawn], rng)
    copies = rng.integers(0, number - 400, number // 50)
    originals = copies + rng.integers(8, 400, len(copies))
    whole[copies], drawn[copies] = inner[originals] ^ one_bit(len(copies), rng), drawn[originals]
    banner = rng.integers(0, number, number // 200)
    whole[banner], inner[banner], drawn[banner] = whole[0], inner[0], drawn[0]
    listing = pd.Series(np.arange(number) // 7 * 10_000 + folder, dtype="str")
    table = {
        "key": pd.Series(names, dtype="str") + "/" + pd.Series(np.arange(number), dtype="str"),
        "model": pd.Series(names, dtype="str").str.rpartition("_")[0],
        "listing_uuid": listing,
        "sha256": pd.Series(np.arange(number), dtype="str"),
        "dhash": as_text(whole),
        "dhash_inner": as_text(inner),
    }
    nothing = pd.Series(None, index=range(number), dtype="str")
    return pd.DataFrame({**table, "etag": "e", "dropped": nothing, "dropped_by": nothing, "drawn": drawn})


def as_text(hashes: NDArray[np.uint64]) -> "pd.Series[str]":
    """As in the photo table."""
    return pd.Series([f"{number:016x}" for number in hashes.tolist()], dtype="str")


def peak_mb() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


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


def real_looks(folder: Path) -> list[Look]:
    """The looks of all photos that can be decoded."""
    found = []
    for path in sorted(folder.rglob("*.jpg")):
        try:
            found.append(look(shrink(read(path.read_bytes(), max_pixels=40_000_000, enough=512).pixels, 256)))
        except PhotoError:
            continue
    return found


def random_pictures() -> NDArray[np.uint8]:
    """Noise that looks like nothing."""
    return np.random.default_rng(3).integers(0, 256, (2000, 40, 60, 3)).astype(np.uint8)


def draw(total: int, real: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes that are spread like real ones: each a real one with a quarter of its bits redrawn."""
    rng = np.random.default_rng(1)
    hashes = redraw(rng.choice(real, total), rng)
    copies = rng.integers(0, total, total // 50)
    hashes[copies] = hashes[rng.integers(0, total, len(copies))] ^ one_bit(len(copies), rng)
    hashes[rng.integers(0, total, total // 200)] = hashes[0]
    return hashes


def redraw(hashes: NDArray[np.uint64], rng: np.random.Generator) -> NDArray[np.uint64]:
    """A quarter of the bits drawn anew."""
    total = len(hashes)
    redrawn = np.packbits((rng.random((total, 64)) < 0.25).astype(np.uint8), axis=1).view(np.uint64).ravel()
    return (hashes & ~redrawn) | (rng.integers(0, 2**64, total, dtype=np.uint64) & redrawn)


def one_bit(number: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """One bit of the 64, each time another."""
    return np.uint64(1) << rng.integers(0, 64, number, dtype=np.uint64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    main(parser.parse_args())
