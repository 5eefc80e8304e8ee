"""Close looks: wheel, engine bay, papers, and the dealer's banner."""

import math
import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from carpipe.sample.backdrop import gradient
from carpipe.sample.geometry import Flat, circle
from carpipe.sample.inside import disc
from carpipe.sample.models import Colour, Look
from carpipe.sample.pen import shade
from carpipe.sample.trim import wheel_face


def draw_detail(rng: random.Random, size: tuple[int, int], paint: Colour, look: Look) -> Image.Image:
    """One of wheel, engine bay or papers."""
    kind = rng.choice(("wheel", "wheel", "engine", "papers"))
    if kind == "wheel":
        return _wheel(rng, size, paint, look)
    return _engine(rng, size, paint) if kind == "engine" else _papers(rng, size)


def _wheel(rng: random.Random, size: tuple[int, int], paint: Colour, look: Look) -> Image.Image:
    w, h = size
    image = gradient(size, shade(paint, 1.1), shade(paint, 0.7))
    draw = ImageDraw.Draw(image)
    ground = h * rng.uniform(0.84, 0.95)
    tone = rng.randint(90, 150)
    x, r = w * rng.uniform(0.4, 0.6), h * rng.uniform(0.36, 0.46)
    y = ground - r * 0.98
    draw.line((x + r * 1.5, 0, x + r * 1.6, ground), fill=shade(paint, 0.4), width=5)
    draw.rectangle((0, ground - r * 0.42, w, h), fill=(30, 30, 32))
    disc(draw, x, y, r * 1.16, (18, 18, 20))
    draw.rectangle((0, ground - h * 0.02, w, h), fill=(tone, tone, tone - 4))

    def spot(outline: Sequence[Flat], colour: Colour) -> None:
        draw.polygon([(x + p, y + q) for p, q in outline], fill=colour)

    wheel_face(spot, r, look.spokes)
    spot(circle(r * 0.09, 12), look.accent)
    return image


def _engine(rng: random.Random, size: tuple[int, int], paint: Colour) -> Image.Image:
    w, h = size
    image = gradient(size, (70, 72, 76), (30, 31, 34))
    draw = ImageDraw.Draw(image)
    draw.polygon([(0, 0), (w, 0), (w * 0.86, h * 0.16), (w * 0.14, h * 0.16)], fill=shade(paint, 0.8))
    for _ in range(rng.randint(14, 22)):
        x, y = rng.uniform(0.02, 0.86) * w, rng.uniform(0.16, 0.86) * h
        tone = rng.randint(36, 120)
        box = (x, y, x + w * rng.uniform(0.05, 0.2), y + h * rng.uniform(0.05, 0.16))
        draw.rounded_rectangle(box, h // 60, fill=(tone, tone, tone + 5), outline=(22, 22, 24), width=3)
    draw.rounded_rectangle(
        (w * 0.3, h * 0.3, w * 0.7, h * 0.62), h // 30, fill=(52, 54, 58), outline=(120, 122, 126), width=6
    )
    for _ in range(rng.randint(4, 7)):
        x, y, r = rng.uniform(0, 0.8) * w, rng.uniform(0.2, 0.8) * h, rng.uniform(0.1, 0.3) * w
        start = rng.uniform(0, 360)
        hose = rng.choice(((20, 20, 22), (150, 60, 50), (80, 84, 90)))
        draw.arc((x, y, x + r, y + r * 0.7), start, start + rng.uniform(90, 200), fill=hose, width=h // 50)
    disc(draw, w * rng.uniform(0.1, 0.9), h * 0.78, h * 0.035, rng.choice(((240, 200, 40), (60, 110, 190))))
    return image


def _papers(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    w, h = size
    desk = rng.choice(((134, 96, 66), (86, 88, 92), (170, 160, 146)))
    image = gradient(size, shade(desk, 1.1), shade(desk, 0.85))
    draw = ImageDraw.Draw(image)
    angle, scale = rng.uniform(-0.2, 0.2), rng.uniform(0.8, 1.05)
    paper = rng.choice(((240, 238, 228), (226, 234, 222), (246, 236, 206)))
    place = _turner(w / 2, h / 2, angle, scale)
    draw.polygon([place(p * w * 0.3, q * h * 0.45) for p, q in ((-1, -1), (1, -1), (1, 1), (-1, 1))], fill=paper)
    for i in range(16):
        y = h * (-0.36 + 0.048 * i)
        draw.line(
            [place(-w * 0.25, y), place(w * rng.uniform(-0.05, 0.25), y)],
            fill=(92, 92, 100),
            width=max(3, h // 120),
        )
    cx, cy = place(w * rng.uniform(-0.15, 0.18), h * 0.34)
    draw.ellipse((cx - h * 0.07, cy - h * 0.07, cx + h * 0.07, cy + h * 0.07), outline=(70, 70, 170), width=6)
    return image


def _turner(x: float, y: float, angle: float, scale: float) -> Callable[[float, float], Flat]:
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    return lambda p, q: (x + p * cos - q * sin, y + p * sin + q * cos)


def draw_banner(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """A dealer's advertisement: the same picture in many listings."""
    w, h = size
    colour = rng.choice(((172, 32, 38), (24, 66, 130), (20, 110, 80), (230, 150, 20)))
    image = gradient(size, shade(colour, 1.15), shade(colour, 0.75))
    draw = ImageDraw.Draw(image)
    draw.polygon([(0, h * 0.72), (w, h * 0.62), (w, h), (0, h)], fill=(244, 244, 240))
    name = (
        rng.choice(("AUTOHAUS", "AUTO CENTER", "CAR PARK", "MOTOR VILLAGE"))
        + " "
        + rng.choice(("NORD", "SUD", "LINE", "PLUS"))
    )
    draw.text((w * 0.08, h * 0.2), name, fill=(255, 255, 255), font_size=h * 0.12)
    draw.text((w * 0.08, h * 0.4), "200 cars in stock", fill=(250, 236, 200), font_size=h * 0.08)
    draw.text(
        (w * 0.08, h * 0.8),
        f"Tel. 555 01{rng.randint(0, 99):02d}",
        fill=shade(colour, 0.8),
        font_size=h * 0.09,
    )
    disc(draw, w * 0.84, h * 0.5, h * 0.12, (255, 255, 255))
    disc(draw, w * 0.84, h * 0.5, h * 0.08, colour)
    return image
