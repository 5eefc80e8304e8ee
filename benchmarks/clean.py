"""The clean stage as the pipeline runs it, against the tools that people use on a folder.

    python benchmarks/clean.py <folder of photos>

carpipe: the whole step from the S3 server (GET, full decode, sha256, dHash, damage, signature, thumbnail, commit).
The same for copies of the JPEGs with a profile of wide gamut, whose colours are converted, and with stray bytes in
their headers, which are put together anew and decoded twice.
CleanVision: `Imagelab(...).find_issues()`, all its checks, one process. imagededup: `DHash().encode_images()`, one
process. Pillow: decode and 256-pixel thumbnail in a loop. The others read from disk. They are installed by uv into
an environment of their own, since they are not ours to depend on.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageCms

from carpipe.config import load_config
from carpipe.local.s3server import s3server
from carpipe.steps.data.clean import clean
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.upload import upload
from carpipe.steps.session import open_session

PACKAGES = ("cleanvision==0.3.7", "imagededup==0.3.3.post2")
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
}


def main(folder: Path) -> None:
    """Print one line per tool."""
    print(f"{'tool':<28} {'photos':>7} {'photos/s':>9} {'per core':>9} {'ms CPU':>7}  note")
    ours = run_carpipe(folder)
    show("carpipe clean", ours, ours)
    with tempfile.TemporaryDirectory() as scratch:
        for name, extra in (("wide gamut", wide_profile()), ("odd headers", b"\0\0")):
            show(f"carpipe clean, {name}", run_carpipe(copy_with(folder, Path(scratch) / name, extra)), ours)
        readable = link_readable(folder, Path(scratch) / "readable")
        for name, (setup, run) in OTHERS.items():
            everything = run_other(folder, setup, run)
            if everything["error"]:
                show(name, everything, ours)
                show(f"{name}, readable only", run_other(readable, setup, run), ours)
            else:
                show(name, everything, ours)


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


def show(name: str, figures: dict[str, float | str], ours: dict[str, float | str]) -> None:
    """One line, with the ratio of CPU per photo."""
    if figures["error"]:
        print(f"{name:<28} {figures['photos']:>7} {'-':>9} {'-':>9} {'-':>7}  aborts: {figures['error']}")
        return
    photos, wall, cpu = (float(figures[key]) for key in ("photos", "wall", "cpu"))
    ratio = (cpu / photos) / (float(ours["cpu"]) / float(ours["photos"]))
    note = "" if figures is ours else f"{ratio:.2f} x carpipe's CPU per photo"
    print(f"{name:<28} {photos:>7.0f} {photos / wall:>9.0f} {photos / cpu:>9.0f} {1000 * cpu / photos:>7.2f}  {note}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve())
