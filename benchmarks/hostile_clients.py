"""What an honest client of `carpipe serve` waits while hostile ones send, without a pause, what costs most.

    python benchmarks/hostile_clients.py [--seconds 20] [--clients 1] [--hostile 4]

Honest clients post drawn photos one after the other, first alone and then beside hostile ones, whose files are a mix of
the dearest that are taken, of what is refused by its headers, and of listings of twenty. Every second of the hostile
ones comes on a new connection each time. They have another address than the honest ones, and run with a low priority:
in earnest they have machines of their own. Model and detector are those of `benchmarks/serving.py`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import serving  # noqa: E402  # the benchmark beside this one

from carpipe.local.s3server import s3server  # noqa: E402  # the tests must be found first
from carpipe.sample import draw_world  # noqa: E402
from tests.pictures import hostile  # noqa: E402

PORT = serving.PORT[serving.OURS]


def main(options: argparse.Namespace) -> None:
    """Start a server, and print what honest clients wait, alone and not."""
    with tempfile.TemporaryDirectory() as home, s3server(Path(home) / "s3") as s3:
        os.environ.update(s3.env(), CARPIPE_STORE=f"s3://{s3.bucket}/serving")
        folder, photos = Path(home) / "model", Path(home) / "photos"
        serving.call("--build", folder, "--backbone", options.backbone, "--side", options.side)
        serving.publish(folder)
        world = draw_world(Path(home) / "world", seed=3, listings=8)
        photos.mkdir()
        for number, path in enumerate(sorted(world.raw.rglob("*.jpg"))):
            (photos / f"{number}.jpg").write_bytes(path.read_bytes())
        command = [sys.executable, "-m", "carpipe.cli", "--quiet", "--set", f"serving.cache={home}/cache"]
        with subprocess.Popen([*command, "serve", "--port", str(PORT)], stderr=subprocess.DEVNULL) as server:
            try:
                serving.wait_for(f"http://127.0.0.1:{PORT}/predict", next(photos.iterdir()))
                compare(photos, options)
            finally:
                server.terminate()


def compare(photos: Path, options: argparse.Namespace) -> None:
    """Two rounds of each, in turns, as the machine may have other things to do."""
    load = ["--load", photos, "--port", PORT, "--seconds", options.seconds, "--clients", options.clients]
    ratios = []
    for _ in range(2):
        alone = json.loads(serving.call(*load).splitlines()[-1])
        enemies = subprocess.Popen(
            ["nice", "-n", "19", sys.executable, __file__, "--attack", str(options.hostile)],
            stdout=subprocess.PIPE, text=True, stdin=subprocess.PIPE,
        )  # fmt: skip
        print(f"hostile files: {enemies.stdout.readline().strip() if enemies.stdout else ''}", flush=True)
        time.sleep(2)
        beside = json.loads(serving.call(*load).splitlines()[-1])
        answers, _ = enemies.communicate("\n")
        for name, (rate, p50, p95) in (("alone", alone), ("beside hostile ones", beside)):
            print(f"{name:20} {rate:6.1f}/s   p50 {p50:6.0f} ms   p95 {p95:6.0f} ms")
        print(f"hostile ones were answered {answers.strip()}", flush=True)
        ratios.append(beside[2] / alone[2])
    print(f"p95 beside hostile clients: {min(ratios):.2f} to {max(ratios):.2f} times that alone")


def attack(clients: int) -> None:
    """Post until something comes by standard input; print how often each answer came."""
    side = 6320  # the model of the benchmark takes 40 megapixels
    files = [
        hostile.progressive(side, side, 20, components=1),
        hostile.progressive(2800, 2800, 100),
        hostile.progressive(6320, 6320, 2647),
        hostile.lossless_webp(side, side),
        hostile.lossless_webp(16383, 16383),
        hostile.png(side, side, hostile.png_chunk(b"IDAT", hostile.zeros(side * (8 * side + 1))), depth=16, colour=6),
        hostile.gif(64, 64, b"\x21\xfe" + b"\1a" * 1_000_000 + b"\0"),
        hostile.bmp_rle(side, side, b"\1\7" * 1_990_000),
    ]
    print(*(f"{len(data) / 1e6:.1f} MB" for data in files), sep=", ", flush=True)
    answers: Counter[str] = Counter()
    done = threading.Event()

    def ask(number: int) -> None:
        # Without keep-alive each request has a connection of its own.
        kept = httpx.Limits(max_keepalive_connections=number // 3 % 2)
        transport = httpx.HTTPTransport(local_address="127.0.0.2", limits=kept)
        with httpx.Client(timeout=120, base_url=f"http://127.0.0.1:{PORT}", transport=transport) as client:
            while not done.is_set():
                number += 1
                data = files[number % len(files)]
                url, count = ("/predict/listing", 20) if number % 5 == 0 and len(data) < 500_000 else ("/predict", 1)
                reply = client.post(url, files=[("file", ("a.jpg", data))] * count)
                answers[f"{reply.status_code} {reply.json().get('reason', '')}"] += 1

    threads = [threading.Thread(target=ask, args=(3 * number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    done.set()
    print(dict(answers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--hostile", type=int, default=4)
    parser.add_argument("--backbone", default="EfficientNetB1")
    parser.add_argument("--side", type=int, default=240)
    parser.add_argument("--attack", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if chosen.attack:
        attack(chosen.attack)
    else:
        main(chosen)
