"""What `carpipe serve` answers a second, against the app one would write in an afternoon, and the one in a week.

    python benchmarks/serving.py [--seconds 10] [--clients 4] [--backbone EfficientNetB1] [--side 240] [--rounds 3]
                                 [--out <json>]

The first is Flask's own server with ultralytics and `keras.predict`, photo by photo. The second is Flask too, with both
networks in OpenVINO and its queue of asynchronous requests. Neither has limits, checks weights or follows a channel.
All get the same drawn photos, the same detector and the same network (untrained: its speed is that of a trained one),
each in a process of its own on loopback, one after the other, round by round. The load comes from a process that posts
as fast as it is answered. Broken photos and huge ones are left out: without limits, some cost seconds.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import numpy as np
from kept import keep  # the module beside this one

from carpipe import manifest
from carpipe.config import CropConfig, load_config
from carpipe.local.s3server import s3server
from carpipe.manifest import Work
from carpipe.pictures.decode import PhotoError, decode
from carpipe.sample import DETECTOR, draw_world
from carpipe.steps.session import open_session
from carpipe.weights import channel
from carpipe.weights.client import open_channel

CLASSES = 512
PORT = {"carpipe serve": 5971, "Flask, ultralytics, keras.predict": 5972, "Flask, OpenVINO's queue": 5973}
OURS, PLAIN, QUEUED = PORT
CROP = CropConfig(image_size=320)
SAYS = """Neither Flask app has limits, checks weights or follows a channel. `carpipe serve` decodes in child processes,
and cuts and encodes the crop as the pipeline does."""


def main(options: argparse.Namespace) -> None:
    """Build the model, run both servers, print a line each and the ratios."""
    with tempfile.TemporaryDirectory() as home, s3server(Path(home) / "s3") as s3:
        os.environ.update(s3.env(), CARPIPE_STORE=f"s3://{s3.bucket}/serving")
        folder = Path(home) / "model"
        call("--build", folder, "--backbone", options.backbone, "--side", options.side)
        publish(folder)
        world = draw_world(Path(home) / "world", seed=3, listings=8)
        photos = Path(home) / "photos"
        photos.mkdir()
        for number, data in enumerate(filter(is_sound, map(Path.read_bytes, sorted(world.raw.rglob("*.jpg"))))):
            (photos / f"{number}.jpg").write_bytes(data)
        found = [
            {name: measure(name, folder, photos, options) for name in (PLAIN, QUEUED, OURS)}
            for _ in range(options.rounds)
        ]
        alone = json.loads(call("--model-only", folder, "--seconds", options.seconds).splitlines()[-1])
    rows: list[list[Any]] = [
        [name, *(round(one[name][0], 1) for one in found), *(round(found[-1][name][at]) for at in (1, 2))]
        for name in found[0]
    ]
    first = float(np.median(rows[0][1 : 1 + options.rounds]))
    for row in rows:
        row.append(round(float(np.median(row[1 : 1 + options.rounds])) / first, 2))
        rates = " ".join(map(str, row[1:-3]))
        print(f"{row[0]:36} {rates} answers/s   p50 {row[-3]} ms   p95 {row[-2]} ms   {row[-1]} times")
    print(f"model only: {alone['openvino'][0] / alone['keras.predict'][0]:.1f} times keras.predict")
    if options.out:
        rounds = (f"answers/s, round {number + 1}" for number in range(options.rounds))
        columns = ("server", *rounds, "p50, ms", "p95, ms", "times the first")
        title = f"/predict with {options.backbone} at {options.side} pixels, {options.clients} clients, no GPU"
        keep(options.out, title=title, columns=columns, rows=rows, says=SAYS)


def is_sound(photo: bytes) -> bool:
    """Whether it is whole, and no larger than photos of listings are."""
    try:
        decode(photo, max_pixels=2_000_000)
    except PhotoError:
        return False
    return True


def call(*arguments: object) -> str:
    """This file again, in a fresh interpreter."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def build(folder: Path, backbone: str, side: int) -> None:
    """Write model.keras, model.xml and golden.npz."""
    from carpipe.no_telemetry import silence_openvino
    from carpipe.training import model

    silence_openvino()
    folder.mkdir()
    overrides: dict[str, Any] = {
        "classifier.backbone": backbone,
        "classifier.image_size": side,
        "classifier.weights": "none",
    }
    network = model.build(load_config(overrides=overrides).classifier, classes=CLASSES, weights=None)
    network.save(folder / "model.keras")
    network.export(str(folder / "model.xml"), format="openvino", verbose=False)
    pictures = np.random.default_rng(0).integers(0, 256, (4, side, side, 3), dtype=np.uint8)
    golden = io.BytesIO()
    np.savez(golden, pictures=pictures, probabilities=network.predict(pictures, verbose=0))
    (folder / "golden.npz").write_bytes(golden.getvalue())
    (folder / "preprocessing.json").write_text(json.dumps({"side": side}))


def publish(folder: Path) -> None:
    """Make it the live model of a bucket."""
    session = open_session(load_config())
    policy = {"max_pixels": 40_000_000, "max_damage": 0.0, "detector": "detector/detector.pt", "detector_sha256": "-"}
    values = {
        "labels.json": [f"make{number % 40}_model{number}" for number in range(CLASSES)],
        "calibration.json": {"temperature": 1.0, "threshold": 0.0},
        "crop.json": {**CROP.model_dump(exclude={"weights", "batch"}), **policy},
    }
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    files |= {name: json.dumps(value).encode() for name, value in values.items()}
    work = Work("model", 1, "classifier", {}, (), home="models/classifier")
    done = manifest.commit(session.store, work, files | {"detector/detector.pt": DETECTOR.read_bytes()}, counts={})
    channel.promote(session.store, "classifier", model=done.key, reason="benchmark", run="benchmark", at="2026-01-01")


def measure(name: str, folder: Path, photos: Path, options: argparse.Namespace) -> tuple[float, float, float]:
    """Start a server, wait for its first answer, load it: answers a second, p50 and p95 in ms."""
    ours = [
        sys.executable,
        "-m",
        "carpipe.cli",
        "--quiet",
        "--set",
        f"serving.cache={folder.parent / 'cache'}",
        "serve",
    ]
    other = [sys.executable, __file__, "--queued" if name == QUEUED else "--plain", str(folder)]
    command = [*ours, "--port", str(PORT[name])] if name == OURS else other
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"http://127.0.0.1:{PORT[name]}/predict", next(photos.iterdir()))
            load = ["--load", photos, "--port", PORT[name], "--seconds", options.seconds, "--clients", options.clients]
            return tuple(json.loads(call(*load).splitlines()[-1]))
        finally:
            server.terminate()


def wait_for(url: str, photo: Path) -> None:
    """Return once the server has answered a photo, whatever it says of it."""
    for _ in range(600):
        try:
            if post(httpx, url, photo) in (200, 422):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise TimeoutError(url)


def post(client: Any, url: str, photo: Path) -> int:
    """The status that a photo is answered with."""
    return int(client.post(url, files={"file": photo.read_bytes()}, timeout=120).status_code)


def load(photos: Path, port: int, seconds: float, clients: int) -> tuple[float, float, float]:
    """Post photos from so many threads for so long."""
    names = sorted(photos.iterdir(), key=lambda path: int(path.stem))
    times: list[float] = []
    end = time.monotonic() + seconds

    def ask(number: int) -> None:
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() < end:
                started = time.monotonic()
                status = post(client, f"http://127.0.0.1:{port}/predict", names[number % len(names)])
                if status not in (200, 422):
                    raise RuntimeError(f"the server answers {status}")
                times.append(time.monotonic() - started)
                number += clients

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return figures(times, time.monotonic() - started)


def figures(times: list[float], seconds: float) -> tuple[float, float, float]:
    """Answers a second, p50 and p95 in ms."""
    p50, p95 = np.percentile(times, (50, 95)) * 1000
    return len(times) / seconds, float(p50), float(p95)


def model_only(folder: Path, seconds: float) -> dict[str, tuple[float, float, float]]:
    """One picture at a time through the network alone."""
    import keras

    with tempfile.TemporaryDirectory() as cache:
        ours = open_channel(os.environ["CARPIPE_STORE"], cache=Path(cache))
        theirs = keras.models.load_model(folder / "model.keras", compile=False)
        picture = np.zeros((1, ours.side, ours.side, 3), np.uint8)
        calls: dict[str, Callable[[], object]] = {
            "keras.predict": lambda: theirs.predict(picture, verbose=0),
            "openvino": lambda: ours.predict(picture),
        }
        found = {}
        for name, predict in calls.items():
            predict()
            times, started = [], time.monotonic()
            while time.monotonic() < started + seconds:
                before = time.monotonic()
                predict()
                times.append(time.monotonic() - before)
            found[name] = figures(times, time.monotonic() - started)
        return found


def plain(folder: Path) -> None:
    """The afternoon's app: it has no limits, checks nothing, and knows one model."""
    import flask
    import keras
    from PIL import Image
    from ultralytics import YOLO

    app, detector = flask.Flask(__name__), YOLO(str(DETECTOR))
    network = keras.models.load_model(folder / "model.keras", compile=False)
    side = network.input_shape[1]
    lock = threading.Lock()  # neither ultralytics' predictor nor the making of Keras' is safe between threads

    @app.post("/predict")
    def predict() -> Any:
        try:
            image = Image.open(flask.request.files["file"].stream).convert("RGB")
        except OSError:
            return {"success": False}, 422
        with lock:
            boxes = detector.predict(image, imgsz=CROP.image_size, verbose=False)[0].boxes.xyxy.tolist()
        if not boxes:
            return {"success": False}, 422
        box = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        picture = np.asarray(image.crop(box).resize((side, side)))[None]
        with lock:
            answer = network.predict(picture, verbose=0)
        return {"success": True, "prediction": int(answer[0].argmax())}

    app.run(port=PORT[PLAIN])


def queued(folder: Path) -> None:
    """The week's app: both networks in OpenVINO, and as many requests under way as the processor can use."""
    import cv2
    import flask
    import openvino

    from carpipe.pictures.detection.ultralytics_runtime import import_ultralytics

    (folder.parent / "exported").mkdir(exist_ok=True)
    copy = folder.parent / "exported" / DETECTOR.name
    copy.write_bytes(DETECTOR.read_bytes())
    size = CROP.image_size
    exported = Path(import_ultralytics()(str(copy), task="detect").export(format="openvino", imgsz=size, verbose=False))
    core = openvino.Core()
    hint = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    detector, network = (
        Queue(openvino.AsyncInferQueue(core.compile_model(str(file), "CPU", hint)))
        for file in (next(exported.glob("*.xml")), folder / "model.xml")
    )
    side = json.loads((folder / "preprocessing.json").read_text())["side"]
    app = flask.Flask(__name__)

    @app.post("/predict")
    def predict() -> Any:
        data = np.frombuffer(flask.request.files["file"].read(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        if image is None:
            return {"success": False}, 422
        height, width = image.shape[:2]
        scale = size / max(height, width)
        small = cv2.resize(image, (round(width * scale), round(height * scale)))
        canvas = np.full((size, size, 3), 114, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        found = detector.infer(canvas.transpose(2, 0, 1)[None].astype(np.float32) / 255)[0]
        sides = found[2:4, found[4:].max(axis=0) >= CROP.confidence]
        if not sides.size:
            return {"success": False}, 422
        best = found[:4, found[4:].max(axis=0) >= CROP.confidence][:, sides.prod(axis=0).argmax()] / scale
        x, y, wide, high = best
        left, top = max(0, int(x - wide / 2)), max(0, int(y - high / 2))
        crop = image[top : int(y + high / 2) + 1, left : int(x + wide / 2) + 1]
        answer = network.infer(cv2.resize(crop, (side, side))[None])
        return {"success": True, "prediction": int(answer[0].argmax())}

    app.run(port=PORT[QUEUED])


class Queue:
    """OpenVINO's queue for threads that wait for their own answer."""

    def __init__(self, queue: Any):
        self._queue, self._lock = queue, threading.Lock()  # `start_async` is not safe between threads
        queue.set_callback(lambda request, done: done.put(request.get_output_tensor(0).data.copy()))

    def infer(self, what: Any) -> Any:
        """The first output."""
        done: SimpleQueue[Any] = SimpleQueue()
        with self._lock:
            self._queue.start_async([what], done)
        return done.get()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--backbone", default="EfficientNetB1")
    parser.add_argument("--side", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    for name in ("--build", "--plain", "--queued", "--model-only", "--load"):
        parser.add_argument(name, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if chosen.build:
        build(chosen.build, chosen.backbone, chosen.side)
    elif chosen.plain:
        plain(chosen.plain)
    elif chosen.queued:
        queued(chosen.queued)
    elif chosen.model_only:
        print(json.dumps(model_only(chosen.model_only, chosen.seconds)))
    elif chosen.load:
        print(json.dumps(load(chosen.load, chosen.port, chosen.seconds, chosen.clients)))
    else:
        main(chosen)
