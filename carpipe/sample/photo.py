"""One photo of the sample world: place, cars, light, grain, and where the cars are.

Everything is drawn at twice the size and averaged down, which is all the anti-aliasing there is.
"""

import io
import math
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from carpipe.sample.backdrop import Place, another_corner, choose_place, draw_place
from carpipe.sample.details import draw_detail
from carpipe.sample.geometry import Camera, Point, fit, orbit
from carpipe.sample.inside import TRIMS, draw_interior
from carpipe.sample.models import LOOKS, Colour, Look
from carpipe.sample.pen import Pen
from carpipe.sample.vehicle import draw_vehicle

SIZES = ((480, 360), (512, 384), (560, 420), (600, 400), (640, 480))
PAINTS: tuple[Colour, ...] = (
    (236, 237, 238),
    (44, 46, 50),
    (168, 172, 178),
    (112, 116, 122),
    (176, 28, 34),
    (44, 84, 158),
    (28, 44, 84),
    (36, 104, 76),
    (196, 176, 146),
    (214, 152, 40),
    (118, 74, 50),
    (126, 170, 200),
)
YAWS: dict[str, tuple[float, float]] = {  # degrees around the car, 0 sees the front, 90 its right side
    "front": (-9, 9),
    "rear": (171, 189),
    "side-right": (78, 102),
    "side-left": (258, 282),
    "angle-front-right": (22, 64),
    "angle-front-left": (296, 338),
    "angle-rear-right": (116, 158),
    "angle-rear-left": (202, 244),
}
VIEWS = (*YAWS, "interior", "detail", "banner")


@dataclass(frozen=True)
class Box:
    """A car in the frame, pixels; `kind` is car or truck."""

    kind: str
    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """Square pixels."""
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)

    def __str__(self) -> str:
        """As in truth.csv."""
        return f"{self.kind} {self.x0} {self.y0} {self.x1} {self.y1}"


@dataclass(frozen=True)
class Car:
    """What the photos of one car share: its model, colours and place."""

    look: Look
    paint: Colour
    trim: Colour
    place: Place


def choose_car(rng: random.Random, look: Look) -> Car:
    """A car of that model in a colour and a place of its own."""
    shift = rng.randint(-12, 12)
    r, g, b = (min(250, max(12, c + shift + rng.randint(-6, 6))) for c in rng.choice(PAINTS))
    return Car(look, (r, g, b), rng.choice(TRIMS), choose_place(rng))


def draw_photo(rng: random.Random, car: Car, view: str) -> tuple[Image.Image, list[Box]]:
    """The photo of a car from one of `VIEWS` (not banner), and a box for every car in it, largest first."""
    size = rng.choice(SIZES)
    double = (size[0] * 2, size[1] * 2)
    boxes: list[Box] = []
    if view == "interior":
        image = _reframe(rng, draw_interior(rng, double, car.trim))
    elif view == "detail":
        image = _reframe(rng, draw_detail(rng, double, car.paint, car.look))
    else:
        image, boxes = _exterior(rng, car, view, double)
        image = image.reduce(2)
    return _develop(rng, image), boxes


def encode(image: Image.Image, quality: int = 85) -> bytes:
    """JPEG bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _exterior(rng: random.Random, car: Car, view: str, size: tuple[int, int]) -> tuple[Image.Image, list[Box]]:
    camera = _aim(rng, car.look, view, size)
    image = draw_place(another_corner(car.place, rng), size, camera)
    draw = ImageDraw.Draw(image)
    sun = rng.uniform(0, 2 * math.pi)
    others = _others(rng, camera, car.look, size) if rng.random() < 0.3 else []
    boxes = [_stand(draw, camera, look, paint, sun, pose) for look, paint, pose in others]
    main = _in_frame(_stand(draw, camera, car.look, car.paint, sun, (0.0, 0.0, 0.0)), size)
    seen = [_in_frame(box, size) for box in boxes]
    return image, [main, *(box for box in seen if box.area)]


def _corners(look: Look) -> list[Point]:
    s = look.shape
    x, z = s.length / 2, s.width / 2
    return [(a, b, c) for a in (-x, x) for b in (0.0, s.height) for c in (-z, z)]


def _aim(rng: random.Random, look: Look, view: str, size: tuple[int, int]) -> Camera:
    """A camera that shows the car from `view`, somewhere near the middle of the frame."""
    yaw = math.radians(rng.uniform(*YAWS[view]))
    camera = orbit(
        yaw,
        rng.uniform(6.0, 9.5) * look.shape.length / 4.4,
        rng.uniform(1.35, 2.1) * max(1.0, look.shape.height / 1.7),
    )
    trial = fit(camera, _corners(look), 1.0, (0, 0))
    flat = trial.project(_corners(look))
    ratio = max(p[1] for p in flat) - min(p[1] for p in flat)  # height of the car for a width of 1
    width = min(size[0] * rng.uniform(0.52, 0.96), size[1] * rng.uniform(0.6, 0.86) / ratio)
    room_x, room_y = max(0.0, size[0] - width), max(0.0, size[1] - width * ratio)
    x = size[0] / 2 + room_x * rng.uniform(-0.42, 0.42)
    y = size[1] / 2 + room_y * rng.uniform(-0.1, 0.4)
    return fit(camera, _corners(look), width, (x, y))


Pose = tuple[float, float, float]  # x, z in metres, turn in radians


def _others(rng: random.Random, camera: Camera, main: Look, size: tuple[int, int]) -> list[tuple[Look, Colour, Pose]]:
    """Up to three cars farther off, farthest first: each clearly smaller, and not hidden by the first."""
    first = _bounds(camera, main, (0.0, 0.0, 0.0), size)
    found: list[tuple[Look, Colour, Pose]] = []
    cos, sin = math.cos(camera.heading), math.sin(camera.heading)
    turn = rng.uniform(0, 2 * math.pi)
    for _ in range(rng.randint(2, 5)):
        look, paint = rng.choice(LOOKS), rng.choice(PAINTS)
        ahead, across = rng.uniform(13, 26), rng.uniform(-14, 14)
        x, z = camera.x + cos * ahead - sin * across, camera.z + sin * ahead + cos * across
        pose = (x, z, turn + rng.uniform(-0.1, 0.1))
        box = _bounds(camera, look, pose, size)
        covers = [first, *(_bounds(camera, other, place, size) for other, _, place in found)]
        fits = size[0] * size[1] / 800 < box.area < first.area / 2
        if fits and all(_overlap(box, cover) < 0.4 for cover in covers):
            found.append((look, paint, pose))
    return sorted(found[:3], key=lambda car: -camera.depth((car[2][0], 0.0, car[2][1])))


def _bounds(camera: Camera, look: Look, pose: Pose, size: tuple[int, int]) -> Box:
    """About where a car will land in the frame."""
    flat = camera.seen_from(*pose).project(_corners(look))
    xs, ys = [p[0] for p in flat], [p[1] for p in flat]
    return _in_frame((look.kind, min(xs), min(ys), max(xs), max(ys)), size)


def _overlap(box: Box, cover: Box) -> float:
    """Share of `box` that lies under `cover`."""
    wide = min(box.x1, cover.x1) - max(box.x0, cover.x0)
    tall = min(box.y1, cover.y1) - max(box.y0, cover.y0)
    return max(0, wide) * max(0, tall) / max(1, box.area)


def _stand(
    draw: ImageDraw.ImageDraw, camera: Camera, look: Look, paint: Colour, sun: float, pose: Pose
) -> tuple[str, float, float, float, float]:
    x, z, turn = pose
    light = (0.7 * math.cos(sun - turn), 0.55, 0.7 * math.sin(sun - turn))
    pen = Pen(draw, camera.seen_from(x, z, turn), light)
    return (look.kind, *draw_vehicle(pen, look, paint))


def _in_frame(box: tuple[str, float, float, float, float], size: tuple[int, int]) -> Box:
    """The box cut to the frame, in pixels of the finished photo."""
    kind, x0, y0, x1, y1 = box
    xs = [min(max(x, 0), size[0]) / 2 for x in (x0, x1)]
    ys = [min(max(y, 0), size[1]) / 2 for y in (y0, y1)]
    return Box(kind, math.floor(xs[0]), math.floor(ys[0]), math.ceil(xs[1]), math.ceil(ys[1]))


def _reframe(rng: random.Random, image: Image.Image) -> Image.Image:
    """The picture at half its size, seen from a little nearer, tilted and off the middle."""
    width, height = image.width // 2, image.height // 2
    step = 2 / rng.uniform(1.12, 1.5)
    angle = math.radians(rng.uniform(-5, 5))
    cos, sin = step * math.cos(angle), step * math.sin(angle)
    x = image.width / 2 + rng.uniform(-0.04, 0.04) * image.width
    y = image.height / 2 + rng.uniform(-0.04, 0.04) * image.height
    left, top = x - cos * width / 2 + sin * height / 2, y - sin * width / 2 - cos * height / 2
    return image.transform(
        (width, height), Image.Transform.AFFINE, (cos, -sin, left, sin, cos, top), Image.Resampling.BILINEAR
    )


def _develop(rng: random.Random, image: Image.Image) -> Image.Image:
    """Brightness, colour cast, uneven light and grain."""
    bright, contrast = rng.uniform(0.9, 1.2), rng.uniform(0.98, 1.22)
    table: list[int] = []
    for _ in range(3):
        gain = bright * rng.uniform(0.97, 1.03)
        values = (np.arange(256) * gain - 128) * contrast + 128
        table += values.round().clip(0, 255).astype(int).tolist()
    light = _light()
    left, top = rng.randrange(light.width - image.width), rng.randrange(light.height - image.height)
    tile = light.crop((left, top, left + image.width, top + image.height))
    return Image.blend(image.point(table), tile, rng.uniform(0.09, 0.15))


@lru_cache(maxsize=1)
def _light() -> Image.Image:
    """Soft blotches of light under fine grain: flat areas of real photos are never quite flat."""
    rng = np.random.default_rng(20240229)
    side = 1536
    blotches = Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8))
    soft = np.asarray(blotches.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    noise = rng.normal(0, 14, (side, side, 3)).astype(np.float32)
    return Image.fromarray((soft[:, :, None] * 0.8 + 26 + noise).clip(0, 255).astype(np.uint8))
