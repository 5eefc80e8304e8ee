"""Where the cars stand: six kinds of place, with colours that one listing keeps."""

import random
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from carpipe.sample.geometry import Camera, Point
from carpipe.sample.models import Colour
from carpipe.sample.pen import shade

PLACES = ("street", "lot", "country", "showroom", "wall", "suburb")


@dataclass(frozen=True)
class Place:
    """A place and its colours."""

    kind: str
    sky: tuple[Colour, Colour]  # at the top, at the horizon
    ground: Colour
    walls: tuple[Colour, ...]
    seed: int


def choose_place(rng: random.Random) -> Place:
    """A place for one listing."""
    kind = rng.choice(PLACES)
    skies: list[tuple[Colour, Colour]] = [
        ((92, 144, 206), (196, 216, 234)),
        ((150, 160, 172), (206, 210, 214)),
        ((116, 132, 170), (240, 208, 176)),
        ((70, 110, 170), (170, 196, 220)),
    ]
    walls = tuple(_jitter(rng, rng.choice(WALLS), 14) for _ in range(5))
    grounds: list[Colour] = [(112, 112, 112), (138, 134, 126), (92, 94, 98), (150, 146, 138)]
    ground = rng.choice(grounds)
    if kind == "showroom":
        ground = rng.choice([(176, 174, 170), (96, 98, 104), (150, 120, 92)])
    return Place(kind, rng.choice(skies), _jitter(rng, ground, 10), walls, rng.randrange(1 << 30))


WALLS: tuple[Colour, ...] = (
    (176, 120, 92),
    (206, 196, 176),
    (150, 154, 160),
    (120, 98, 84),
    (214, 214, 210),
    (172, 150, 112),
    (110, 126, 138),
)


def another_corner(place: Place, rng: random.Random) -> Place:
    """The same place from elsewhere: same colours, other houses and trees."""
    return replace(place, seed=rng.randrange(1 << 30))


def _jitter(rng: random.Random, colour: Colour, spread: int) -> Colour:
    shift = rng.randint(-spread, spread)
    r, g, b = (min(255, max(0, c + shift + rng.randint(-4, 4))) for c in colour)
    return r, g, b


def gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    """A picture that goes from one colour to another, downwards."""
    strip = Image.new("RGB", (1, 8))
    for i in range(8):
        r, g, b = (round(t + (u - t) * i / 7) for t, u in zip(top, bottom, strict=True))
        strip.putpixel((0, i), (r, g, b))
    column = strip.resize((1, size[1]), Image.Resampling.BILINEAR)
    return column.resize(size, Image.Resampling.NEAREST)


def draw_place(place: Place, size: tuple[int, int], camera: Camera) -> Image.Image:
    """Sky, ground, what stands behind, and lines on the ground; the horizon is the camera's."""
    rng = random.Random(place.seed)
    width, height = size
    horizon = min(max(round(camera.oy), 8), height - 8)
    image = Image.new("RGB", size)
    indoors = place.kind == "showroom"
    top, low = (shade(place.walls[0], 1.12), place.walls[0]) if indoors else place.sky
    image.paste(gradient((width, horizon), top, low), (0, 0))
    near = shade(place.ground, 0.82)
    image.paste(gradient((width, height - horizon), shade(place.ground, 1.06), near), (0, horizon))
    draw = ImageDraw.Draw(image)
    {
        "street": _houses,
        "lot": _lot,
        "country": _hills,
        "showroom": _showroom,
        "wall": _wall,
        "suburb": _suburb,
    }[place.kind](draw, rng, place, width, horizon)
    if place.kind != "country":
        _ground_lines(draw, rng, place, camera)
    else:
        draw.rectangle((0, horizon, width, horizon + height // 60), fill=(106, 132, 70))
    return image


def _houses(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, width: int, horizon: int) -> None:
    x = -rng.randint(0, width // 6)
    while x < width:
        wide, tall = (
            rng.randint(width // 6, width // 3),
            rng.randint(horizon // 2, max(horizon, horizon // 2 + 1)),
        )
        wall = rng.choice(place.walls)
        base = horizon + width // 90
        draw.rectangle((x, base - tall, x + wide, base), fill=wall)
        draw.rectangle((x, base - tall, x + wide, base - tall + width // 80), fill=shade(wall, 0.7))
        step = width // rng.randint(18, 26)
        for wx in range(x + step // 2, x + wide - step // 2, step):
            for wy in range(base - tall + step // 2, base - step, step):
                draw.rectangle(
                    (wx, wy, wx + step // 2, wy + step * 0.6), fill=rng.choice(((70, 84, 98), (98, 114, 128)))
                )
        x += wide
    draw.rectangle((0, horizon + width // 90, width, horizon + width // 60), fill=shade(place.ground, 1.25))


def _tree(draw: ImageDraw.ImageDraw, rng: random.Random, x: int, base: int, tall: int) -> None:
    draw.rectangle((x - tall // 24, base - tall // 2, x + tall // 24, base), fill=(88, 68, 52))
    for _ in range(6):
        r = rng.randint(max(2, tall // 6), max(3, tall // 4))
        cx, cy = x + rng.randint(-tall // 5, tall // 5), base - tall + r + rng.randint(0, max(1, tall // 3))
        green = rng.randint(78, 128)
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=(green - 30, green, green - 48))


def _lot(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, width: int, horizon: int) -> None:
    """A dealer's lot: a low hall with a sign, a fence, flags."""
    hall = rng.randint(horizon // 3, max(horizon // 3 + 1, horizon * 3 // 5))
    base = horizon + width // 100
    left = rng.randint(-width // 4, width // 3)
    draw.rectangle((left, base - hall, left + width * 3 // 4, base), fill=place.walls[0])
    draw.rectangle((left, base - hall, left + width * 3 // 4, base - hall * 3 // 4), fill=shade(place.walls[1], 0.8))
    for i in range(6):
        x = left + width // 40 + i * width // 8
        draw.rectangle((x, base - hall * 2 // 3, x + width // 10, base - hall // 12), fill=(92, 112, 128))
    for x in range(0, width, width // 24):
        draw.rectangle((x, base - horizon // 7, x + 2, base), fill=(196, 198, 200))
    draw.rectangle((0, base - horizon // 7, width, base - horizon // 7 + 3), fill=(196, 198, 200))
    colour = rng.choice(((190, 40, 44), (40, 90, 170), (230, 180, 40), (240, 240, 236)))
    for _ in range(rng.randint(1, 3)):
        x = rng.randint(0, width)
        draw.rectangle((x, base - horizon * 9 // 10, x + 4, base), fill=(214, 216, 218))
        draw.polygon(
            [
                (x + 4, base - horizon * 9 // 10),
                (x + width // 22, base - horizon * 4 // 5),
                (x + 4, base - horizon * 2 // 3),
            ],
            fill=colour,
        )


def _hills(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, width: int, horizon: int) -> None:
    for layer, green in ((0.5, 136), (0.25, 116)):
        points = [(-10.0, float(horizon + 4))]
        points += [(width * i / 5, horizon - horizon * layer * rng.uniform(0.2, 1.0)) for i in range(6)]
        draw.polygon([*points, (width + 10, horizon + 4)], fill=(green - 30, green, green - 56))
    for _ in range(rng.randint(2, 7)):
        _tree(
            draw,
            rng,
            rng.randint(0, width),
            horizon + 6,
            rng.randint(horizon // 4, max(horizon // 4 + 1, horizon * 3 // 4)),
        )


def _showroom(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, width: int, horizon: int) -> None:
    panel = width // rng.randint(4, 7)
    for x in range(rng.randint(-panel, 0), width, panel):
        draw.rectangle((x, 0, x + 3, horizon), fill=shade(place.walls[0], 0.85))
    for _ in range(rng.randint(1, 3)):
        x, y = rng.randint(0, width), rng.randint(0, max(1, horizon // 3))
        draw.rectangle((x, y, x + panel, y + horizon // 14), fill=(252, 252, 246))
    poster = rng.randint(0, width - panel)
    draw.rectangle((poster, horizon // 4, poster + panel * 2 // 3, horizon * 3 // 4), fill=rng.choice(place.walls))
    draw.rectangle((0, horizon - width // 60, width, horizon), fill=shade(place.walls[0], 0.6))


def _wall(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, width: int, horizon: int) -> None:
    """Courses of brick behind the car."""
    top = rng.randint(0, max(1, horizon // 2))
    brick = place.walls[0]
    draw.rectangle((0, top, width, horizon + 4), fill=shade(brick, 0.86))
    tall = max(6, width // rng.randint(40, 60))
    for row, y in enumerate(range(top, horizon, tall)):
        for x in range(-tall * (row % 2), width, tall * 2):
            tone = shade(brick, rng.uniform(0.93, 1.06))
            draw.rectangle((x, y, x + tall * 2 - 3, y + tall - 3), fill=tone)


def _suburb(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, width: int, horizon: int) -> None:
    """Gabled houses, hedges and trees."""
    x = -rng.randint(0, width // 5)
    while x < width:
        wide, tall = (
            rng.randint(width // 6, width // 4),
            rng.randint(horizon // 4, max(horizon // 4 + 1, horizon // 2)),
        )
        wall, base = rng.choice(place.walls), horizon + 4
        draw.rectangle((x, base - tall, x + wide, base), fill=wall)
        draw.polygon(
            [(x - 8, base - tall), (x + wide // 2, base - tall - wide // 3), (x + wide + 8, base - tall)],
            fill=(122, 66, 54),
        )
        for wx in (x + wide // 6, x + wide * 5 // 8):
            draw.rectangle((wx, base - tall * 3 // 4, wx + wide // 6, base - tall * 2 // 5), fill=(84, 98, 112))
        _tree(draw, rng, x + wide + width // 24, base, rng.randint(tall, tall * 2))
        x += wide + width // 12
    draw.rectangle((0, horizon - width // 60, width, horizon + 6), fill=(80, 110, 62))


def _ground_lines(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, camera: Camera) -> None:
    """Parking bays or tiles, laid on the ground in perspective."""
    tiles = place.kind == "showroom"
    step, colour = (1.4, shade(place.ground, 0.9)) if tiles else (rng.uniform(2.6, 3.2), (214, 214, 206))
    if not tiles and rng.random() < 0.4:
        return
    half = 0.02 if tiles else 0.06
    reach = range(-9, 10) if tiles else range(-5, 6)
    for i in reach:
        a = (i + 0.5) * step
        _strip(
            draw,
            camera,
            [(-12, 0, a - half), (-12, 0, a + half), (14, 0, a + half), (14, 0, a - half)],
            colour,
        )
        if tiles:
            _strip(
                draw,
                camera,
                [(a - half, 0, -12), (a + half, 0, -12), (a + half, 0, 14), (a - half, 0, 14)],
                colour,
            )


def _strip(draw: ImageDraw.ImageDraw, camera: Camera, quad: list[Point], colour: Colour) -> None:
    """A quad on the ground, cut off half a metre before the camera."""
    near = 0.5
    kept: list[Point] = []
    for p, q in zip(quad, quad[1:] + quad[:1], strict=True):
        dp, dq = camera.depth(p), camera.depth(q)
        if dp >= near:
            kept.append(p)
        if (dp < near) != (dq < near):
            t = (near - dp) / (dq - dp)
            kept.append((p[0] + (q[0] - p[0]) * t, 0.0, p[2] + (q[2] - p[2]) * t))
    if len(kept) > 2:
        draw.polygon(camera.project(kept), fill=colour)
