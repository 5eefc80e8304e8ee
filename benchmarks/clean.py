"""The clean stage as the pipeline runs it, against the tools that people use on a folder.

    python benchmarks/clean.py <folder of photos> [--size 1024x768 --bytes 115000] [--rounds 3] [--out <json>]

carpipe: the whole step from the S3 server (GET, full decode, sha256, dHash, damage, signature, thumbnail, commit).
The same for copies of the JPEGs with a profile of wide gamut, whose colours are converted, and with stray bytes in
their headers, which are put together anew and decoded twice.
CleanVision: `Imagelab(...).find_issues()`, all its checks, one process. imagededup: `DHash().encode_images()`, one
process. Pillow: decode and 256-pixel thumbnail in a loop. simplejpeg: decode in a loop and nothing else, the ceiling of
all that look at every pixel. The others read from disk. They are installed by uv into an environment of their own,
since they are not ours to depend on. With `--size` the readable JPEGs are scaled to that, in the quality that makes
files of so many bytes.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from kept import keep  # the module beside this one
from PIL import Image, ImageCms

from carpipe.config import load_config
from carpipe.local.s3server import s3server
from carpipe.pictures.encode import encode_pixels
from carpipe.steps.data.clean import clean
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.upload import upload
from carpipe.steps.session import open_session

OURS = "carpipe clean"
PACKAGES = ("cleanvision==0.3.7", "imagededup==0.3.3.post2", "simplejpeg==1.9.0")
TIMED = """
import io, json, os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
files = [path for path in folder.rglob("*") if path.is_file()]
{setup}
wall, cpu = time.perf_counter(), sum(os.times()[:4])
try:
    {run}
    error = ""
except Exception as problem:
    error = f"{type(problem).__name__}: {problem}"[:120]
done = {"photos": len(files), "wall": time.perf_counter() - wall, "cpu": sum(os.times()[:4]) - cpu, "error": error}
print("\\n" + json.dumps(done))
"""
OTHERS = {
    "CleanVision": (
        "from cleanvision import Imagelab",
        "Imagelab(data_path=str(folder)).find_issues(n_jobs=1, verbose=False)",
    ),
    "imagededup dHash": (
        "from imagededup.methods import DHash",
        "DHash().encode_images(image_dir=folder, recursive=True, num_enc_workers=0)",
    ),
    "Pillow loop": (
        "from PIL import Image",
        "[Image.open(f).convert('RGB').resize((256, 170)).save(io.BytesIO(), 'JPEG', quality=88) for f in files]",
    ),
    "simplejpeg, decoding alone": (
        "import simplejpeg\n\n"
        "def decode(file):\n"
        "    try:\n"
        "        simplejpeg.decode_jpeg(file.read_bytes(), colorspace='RGB')\n"
        "    except ValueError:\n"
        "        pass  # broken, or none",
        "[decode(f) for f in files]",
    ),
}


def main(options: argparse.Namespace) -> None:
    """Print one line per tool and round."""
    print(f"{'tool':<38} {'photos':>7} {'photos/s':>9} {'per core':>9} {'ms CPU':>7}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder.resolve()
        if options.size:
            folder = scaled(folder, Path(scratch) / "scaled", options.size, options.bytes)
        rows = [row for number in range(options.rounds) for row in one_round(folder, Path(scratch) / str(number))]
    ours = np.median([row[-1] for row in rows if row[0] == OURS and row[-1]])
    for tool in dict.fromkeys(row[0] for row in rows):
        found = [row[-1] for row in rows if row[0] == tool and row[-1]]
        print(f"{tool:<38} {np.median(found) / ours:.2f} x carpipe's CPU per photo" if found else f"{tool}: aborts")
    if options.out:
        size = (
            f"{options.size[0]}x{options.size[1]} pixels and {options.bytes / 1000:.0f} kB"
            if options.size
            else "380x250"
        )
        rounds = tuple(f"photos/s, round {number + 1}" for number in range(options.rounds))
        columns = ("tool", "photos", *rounds, "ms CPU per photo")
        keep(options.out, title=f"Cleaning photos of {size}", columns=columns, rows=by_tool(rows))


def by_tool(rows: list[list[Any]]) -> list[list[Any]]:
    """A row for each tool that came to an end: photos/s of each round, the median of what a photo costs."""
    found: dict[str, list[list[Any]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return [
        [tool, some[0][1], *(row[2] for row in some), round(float(np.median([row[3] for row in some])), 2)]
        for tool, some in found.items()
        if some[0][2] is not None
    ]


def one_round(folder: Path, scratch: Path) -> Iterator[list[Any]]:
    """A row for each tool, printed as it comes."""
    yield show(OURS, run_carpipe(folder))
    for name, extra in (("wide gamut", wide_profile()), ("odd headers", b"\0\0")):
        yield show(f"{OURS}, {name}", run_carpipe(copy_with(folder, scratch / name, extra)))
    readable = link_readable(folder, scratch / "readable")
    for name, (setup, run) in OTHERS.items():
        everything = run_other(folder, setup, run)
        yield show(name, everything)
        if everything["error"]:
            yield show(f"{name}, readable only", run_other(readable, setup, run))


def scaled(folder: Path, target: Path, size: tuple[int, int], least: int) -> Path:
    """The readable JPEGs in that size; the quality is the first with which the first of them have so many bytes."""
    sources = sorted(path for path in link_readable(folder, target / "links").rglob("*.jpg"))
    pictures = [np.asarray(Image.open(path).convert("RGB").resize(size)) for path in sources[:20]]
    for quality in range(60, 100):
        if np.mean([len(encode_pixels(one, quality=quality)) for one in pictures]) >= least:
            break
    for path in sources:
        copy = target / "photos" / path.relative_to(target / "links")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(encode_pixels(np.asarray(Image.open(path).convert("RGB").resize(size)), quality=quality))
    return target / "photos"


def run_carpipe(folder: Path) -> dict[str, float | str]:
    """Upload, then clean every partition in this process; only the cleaning is timed."""
    with tempfile.TemporaryDirectory() as home, s3server(Path(home)) as server:
        os.environ.update(server.env())
        overrides = {"store.url": f"s3://{server.bucket}/benchmark", "clean.max_unreadable": 1.0}
        session = open_session(load_config(overrides=overrides))
        upload(session, folder)
        stock = inventory(session)
        wall, cpu = time.perf_counter(), sum(os.times()[:4])
        for part in stock.partitions:
            clean(session, part["manifest"], inventory=stock.key)
        return {
            "photos": stock.photos,
            "wall": time.perf_counter() - wall,
            "cpu": sum(os.times()[:4]) - cpu,
            "error": "",
        }


def copy_with(folder: Path, target: Path, extra: bytes) -> Path:
    """The folder's JPEGs with something more before their first segment or table."""
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if data.startswith(b"\xff\xd8"):
            place = data.index(b"\xff\xdb") if not extra.startswith(b"\xff") and b"\xff\xdb" in data else 2
            copy = target / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data[:place] + extra + data[place:])
    return target


def wide_profile() -> bytes:
    """A segment with sRGB's profile, its red as deep as that of Display P3."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entry = profile.index(b"rXYZ")
    start = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8
    profile[start : start + 12] = struct.pack(">3i", *(round(value * 65536) for value in (0.5151, 0.2412, -0.0011)))
    body = b"ICC_PROFILE\0\1\1" + profile
    return b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body


def run_other(folder: Path, setup: str, run: str) -> dict[str, float | str]:
    """The figures of another tool, in its own environment."""
    code = TIMED.replace("{setup}", setup).replace("{run}", run)
    uv = [str(Path(sys.executable).parent / "uv"), "run", "--quiet", "--no-project", "--python", "3.11"]
    extra = [part for package in PACKAGES for part in ("--with", package)]
    done = subprocess.run(
        [*uv, *extra, "python", "-W", "ignore", "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    figures: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    return figures


def link_readable(folder: Path, target: Path) -> Path:
    """The photos that Pillow decodes, for tools that stop at the first that it does not."""
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                Image.open(path).convert("RGB")
            except (OSError, Image.DecompressionBombError):
                continue
            link = target / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return target


def show(name: str, figures: dict[str, float | str]) -> list[Any]:
    """Print a line; returns the row of a table."""
    if figures["error"]:
        print(f"{name:<38} {figures['photos']:>7} aborts: {figures['error']}", flush=True)
        return [name, figures["photos"], None, None]
    photos, wall, cpu = (float(figures[key]) for key in ("photos", "wall", "cpu"))
    line = f"{name:<38} {photos:>7.0f} {photos / wall:>9.0f} {photos / cpu:>9.0f} {1000 * cpu / photos:>7.2f}"
    print(line, flush=True)
    return [name, int(photos), round(photos / wall), round(1000 * cpu / photos, 2)]


def size_of(text: str) -> tuple[int, int]:
    """Of `<width>x<height>`."""
    width, height = map(int, text.split("x"))
    return width, height


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=size_of)
    parser.add_argument("--bytes", type=int, default=115_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    main(parser.parse_args())
