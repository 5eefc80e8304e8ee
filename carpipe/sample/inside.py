"""Photos from inside a car: dashboard, seats, door and instruments."""

import math
import random

from PIL import Image, ImageDraw

from carpipe.sample.backdrop import gradient
from carpipe.sample.models import Colour
from carpipe.sample.pen import shade

TRIMS: tuple[Colour, ...] = (
    (54, 54, 58),
    (150, 128, 100),
    (96, 74, 60),
    (120, 122, 126),
    (84, 36, 38),
    (206, 196, 178),
)


def draw_interior(rng: random.Random, size: tuple[int, int], trim: Colour) -> Image.Image:
    """One of dashboard, seats, door or instruments."""
    draw = rng.choice((_dashboard, _dashboard, _seats, _door, _instruments))
    image = draw(rng, size, trim)
    other_way = draw is not _instruments and rng.random() < 0.4
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if other_way else image


def disc(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: Colour) -> None:
    """A filled circle."""
    draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _dashboard(rng: random.Random, size: tuple[int, int], trim: Colour) -> Image.Image:
    w, h = size
    image = gradient(size, shade(trim, 1.05), shade(trim, 0.55))
    draw = ImageDraw.Draw(image)
    top = h * rng.uniform(0.24, 0.42)
    sky = rng.choice(((176, 200, 222), (206, 208, 210), (150, 170, 150)))
    draw.polygon([(w * 0.06, 0), (w * 0.94, 0), (w * 1.02, top), (-w * 0.02, top)], fill=sky)
    draw.polygon([(0, top * 0.6), (w, top * 0.5), (w, top), (0, top)], fill=shade(sky, 0.72))
    draw.polygon([(0, top * 0.96), (w, top * 0.9), (w, h * 0.62), (0, h * 0.66)], fill=shade(trim, 0.8))
    draw.polygon([(0, h * 0.56), (w, h * 0.52), (w, h * 0.58), (0, h * 0.62)], fill=shade(trim, 1.25))
    centre = w * rng.uniform(0.52, 0.62)
    draw.rectangle((centre, top * 1.08, centre + w * 0.22, h), fill=(40, 41, 44))
    draw.rectangle(
        (centre + w * 0.02, top * 1.2, centre + w * 0.2, top * 1.2 + h * 0.16),
        fill=rng.choice(((30, 60, 96), (24, 26, 30), (70, 92, 60))),
    )
    for i in range(3):
        disc(draw, centre + w * (0.05 + 0.06 * i), h * 0.72, w * 0.02, (150, 152, 156))
    for x in (0.03, 0.84):
        for i in range(4):
            draw.rectangle(
                (w * x, top * 1.15 + i * h * 0.03, w * (x + 0.12), top * 1.15 + i * h * 0.03 + h * 0.014),
                fill=(24, 24, 26),
            )
    _steering(draw, rng, w * rng.uniform(0.2, 0.34), h * rng.uniform(0.56, 0.72), h * rng.uniform(0.26, 0.38), trim)
    return image


def _steering(draw: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, r: float, trim: Colour) -> None:
    for dx in (-0.35, 0.35):
        disc(draw, x + r * dx, y - r * 0.72, r * 0.24, (28, 30, 34))
        draw.line((x + r * dx, y - r * 0.72, x + r * (dx + 0.12), y - r * 0.86), fill=(220, 60, 40), width=4)
    width = max(8, round(r * 0.17))
    draw.ellipse((x - r, y - r, x + r, y + r), outline=(32, 32, 35), width=width)
    for angle in (math.pi * 0.02, math.pi * 0.5, math.pi * 0.98):
        draw.line(
            (x, y, x + r * 0.93 * math.cos(angle), y + r * 0.93 * math.sin(angle)),
            fill=(44, 44, 48),
            width=width,
        )
    disc(draw, x, y, r * 0.3, (52, 52, 56))
    disc(draw, x, y, r * 0.1, rng.choice(((190, 192, 196), (60, 100, 170), (180, 50, 48))))


def _seats(rng: random.Random, size: tuple[int, int], trim: Colour) -> Image.Image:
    w, h = size
    image = gradient(size, rng.choice(((120, 126, 132), (164, 170, 176), (82, 84, 88))), (44, 44, 46))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, h * 0.08, w, h * 0.3), fill=rng.choice(((150, 176, 200), (190, 194, 196), (112, 132, 106))))
    shift = rng.uniform(-0.08, 0.08)
    for x in (0.1 + shift, 0.54 + shift):
        left, right = w * x, w * (x + rng.uniform(0.32, 0.38))
        middle, quarter = (left + right) / 2, (right - left) / 4
        draw.rounded_rectangle((middle - quarter, h * 0.1, middle + quarter, h * 0.28), h // 24, fill=shade(trim, 0.95))
        draw.rounded_rectangle((left, h * 0.26, right, h * 0.78), h // 14, fill=trim)
        draw.rounded_rectangle(
            (left + quarter * 0.7, h * 0.32, right - quarter * 0.7, h * 0.72), h // 20, fill=shade(trim, 1.18)
        )
        for i in range(5):
            y = h * (0.38 + 0.07 * i)
            draw.line((left + quarter * 0.7, y, right - quarter * 0.7, y), fill=shade(trim, 0.82), width=3)
        draw.rounded_rectangle((left - w * 0.02, h * 0.72, right + w * 0.02, h * 1.1), h // 14, fill=shade(trim, 0.9))
        draw.line((right - quarter * 0.3, h * 0.3, right - quarter * 0.5, h * 0.8), fill=(30, 30, 32), width=9)
    return image


def _door(rng: random.Random, size: tuple[int, int], trim: Colour) -> Image.Image:
    w, h = size
    image = gradient(size, shade(trim, 0.9), shade(trim, 0.6))
    draw = ImageDraw.Draw(image)
    tilt = rng.uniform(-0.06, 0.06)
    draw.polygon(
        [(0, 0), (w, 0), (w, h * (0.3 + tilt)), (0, h * (0.3 - tilt))],
        fill=rng.choice(((160, 184, 206), (196, 200, 204), (110, 130, 104))),
    )
    draw.polygon([(0, h * (0.46 - tilt)), (w, h * (0.46 + tilt)), (w, h * 0.6), (0, h * 0.64)], fill=shade(trim, 1.3))
    draw.rounded_rectangle((w * 0.2, h * 0.5, w * 0.66, h * 0.57), h // 40, fill=(40, 40, 43))
    for i in range(3):
        draw.rectangle((w * (0.24 + 0.07 * i), h * 0.515, w * (0.29 + 0.07 * i), h * 0.55), fill=(92, 94, 98))
    x, y, r = w * rng.uniform(0.15, 0.8), h * 0.82, h * rng.uniform(0.1, 0.16)
    disc(draw, x, y, r, (34, 34, 36))
    for i in range(4):
        draw.ellipse((x - r * i / 4, y - r * i / 4, x + r * i / 4, y + r * i / 4), outline=(70, 70, 74), width=3)
    return image


def _instruments(rng: random.Random, size: tuple[int, int], trim: Colour) -> Image.Image:
    w, h = size
    image = gradient(size, (34, 35, 38), shade(trim, 0.5))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((w * 0.04, h * 0.14, w * 0.96, h * 0.86), h // 8, fill=(16, 17, 20))
    ink = rng.choice(((230, 232, 236), (240, 150, 60), (110, 190, 240)))
    for x in (0.28, 0.72):
        _dial(draw, rng, w * x, h * 0.5, h * rng.uniform(0.26, 0.32), ink)
    draw.rectangle((w * 0.45, h * 0.4, w * 0.55, h * 0.62), fill=shade(ink, 0.35))
    draw.text(
        (w * 0.46, h * 0.46),
        f"{rng.randint(9, 290)} {rng.randint(0, 999):03d} km",
        fill=ink,
        font_size=h * 0.035,
    )
    return image


def _dial(draw: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, r: float, ink: Colour) -> None:
    def ray(degrees: float, inner: float, outer: float) -> tuple[float, float, float, float]:
        cos, sin = math.cos(math.radians(degrees)) * r, math.sin(math.radians(degrees)) * r
        return x + inner * cos, y + inner * sin, x + outer * cos, y + outer * sin

    draw.ellipse((x - r, y - r, x + r, y + r), outline=(120, 122, 126), width=6)
    for degrees in range(150, 391, 20):
        draw.line(ray(degrees, 0.78, 0.92), fill=ink, width=5)
    draw.line(ray(rng.uniform(150, 390), 0, 0.72), fill=(226, 60, 44), width=7)
    disc(draw, x, y, r * 0.12, (70, 72, 76))
