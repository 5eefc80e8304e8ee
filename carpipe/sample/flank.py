"""The side of a car: sheet metal, windows, doors, wheels and the model's mark."""

from collections.abc import Sequence
from itertools import pairwise

from carpipe.sample.body import Skin
from carpipe.sample.geometry import Flat, Point, circle
from carpipe.sample.models import BLACK, Colour, Look
from carpipe.sample.pen import GLASS, SHINE, Pen
from carpipe.sample.trim import AMBER, LAMP, TAIL, draw_badge, wheel_face


def draw_side(pen: Pen, look: Look, body: Skin, paint: Colour, side: float) -> None:
    """The right (1) or left (-1) side."""
    glow = pen.glow(0, 0, side)
    pen.fill([body.point(x, y, side) for x, y in body.lower], paint, glow)
    roof = look.accent if look.mark == "roof" else paint
    pen.fill([body.point(x, y, side) for x, y in body.cabin], roof, glow)
    _relief(pen, look, body, paint, side)
    _windows(pen, look, body, side)
    _mark(pen, look, body, side)
    _doors(pen, look, body, paint, side)
    _lamp_ends(pen, look, body, side)
    for share in look.shape.axles:
        _wheel(pen, look, body, (share - 0.5) * look.shape.length, side)


def _band(
    pen: Pen,
    body: Skin,
    span: tuple[float, float],
    rows: tuple[float, float],
    side: float,
    colour: Colour,
    factor: float = 1.0,
) -> None:
    """A strip along the side between two shares of the length and two heights."""
    y0, y1 = rows
    length = body.shape.length
    points: list[Point] = []
    for y, order in ((y0, (0, 1, 2, 3, 4)), (y1, (4, 3, 2, 1, 0))):
        left, right = body.end(y, -1), body.end(y, 1)
        start, stop = max(left, (span[0] - 0.5) * length), min(right, (span[1] - 0.5) * length)
        points += [body.point(start + (stop - start) * i / 4, y, side * 1.003) for i in order]
    pen.fill(points, colour, factor)


def _relief(pen: Pen, look: Look, body: Skin, paint: Colour, side: float) -> None:
    """A light shoulder, a dark lower door and the sill: what makes sheet metal look bent."""
    s, glow = look.shape, pen.glow(0, 0, side)
    top = min(s.belt, s.hood + 0.05)
    low = s.clearance
    _band(pen, body, (0.0, 1.0), (low + 0.01, low + (top - low) * 0.45), side, paint, glow * 0.86)
    _band(pen, body, (0.03, 0.93), (top - 0.2, top - 0.1), side, paint, glow * 1.13)
    if look.mark == "cladding":
        _band(pen, body, (0.0, 1.0), (low, low + 0.2), side, (58, 59, 62), glow)
    else:
        _band(pen, body, (0.06, 0.95), (low, low + 0.07), side, (48, 48, 51), glow)


def _windows(pen: Pen, look: Look, body: Skin, side: float) -> None:
    s = look.shape
    if s.panels:
        cells = [(max(s.pillars) + 0.01, 0.965)]
    else:
        edges = [0.05, *s.pillars, 0.97]
        cells = [(a + 0.012, b - 0.012) for a, b in pairwise(edges)]
    for left, right in cells:
        rise_left, rise_right = (0.08 + s.kick * max(0.0, 1 - u / 0.45) for u in (left, right))
        if rise_left > 0.8:
            rise_left = 0.8
        quad = [(left, rise_left), (right, rise_right), (right, 0.88), (left, 0.88)]
        pen.fill([body.window(u, v, side * 1.002) for u, v in quad], GLASS)
        middle, lean = left + (right - left) * 0.35, (right - left) * 0.22
        shine = [
            (middle, 0.5),
            (middle + lean, 0.5),
            (middle + lean * 1.8, 0.88),
            (middle + lean * 0.8, 0.88),
        ]
        pen.fill([body.window(u, v, side * 1.004) for u, v in shine], SHINE, 0.85)


def _mark(pen: Pen, look: Look, body: Skin, side: float) -> None:
    s = look.shape
    if look.mark == "sill":
        _band(pen, body, (0.1, 0.9), (s.clearance + 0.12, s.clearance + 0.21), side, look.accent)
    elif look.mark == "band":
        y = s.clearance + (s.belt - s.clearance) * 0.5
        _band(pen, body, (0.03, 0.96), (y - 0.035, y + 0.035), side, look.accent)
    elif look.mark == "door":
        x, y = 0.04 * s.length, (s.clearance + s.belt) / 2 + 0.02
        pen.fill([body.point(x + p, y + q, side * 1.004) for p, q in circle(0.2, 18)], look.accent)
    x = (s.axles[1] - 0.5) * s.length - s.wheel * 1.75
    y = s.clearance + (s.belt - s.clearance) * 0.72

    def spot(outline: Sequence[Flat], colour: Colour) -> None:
        pen.fill([body.point(x + p, y + q, side * 1.004) for p, q in outline], colour)

    draw_badge(spot, look, 0.06)


def _doors(pen: Pen, look: Look, body: Skin, paint: Colour, side: float) -> None:
    s = look.shape
    a, d = body.corners[0][0], body.corners[3][0]
    ink = (max(20, paint[0] // 3), max(20, paint[1] // 3), max(20, paint[2] // 3))
    edges = [d - 0.12, *[a + (d - a) * p for p in s.pillars]]
    for x in edges:
        pen.line([body.point(x, s.clearance + 0.12, side * 1.004), body.point(x, s.belt - 0.01, side * 1.004)], ink)
    for x in edges[1:]:
        handle = [(0.08, -0.17), (0.26, -0.17), (0.26, -0.13), (0.08, -0.13)]
        pen.fill([body.point(x + p, s.belt + q, side * 1.005) for p, q in handle], (60, 60, 62))


def _lamp_ends(pen: Pen, look: Look, body: Skin, side: float) -> None:
    """Where front and rear lamps reach around the corner."""
    s = look.shape
    y = s.hood - 0.21
    front = body.end(y, 1)
    long = {"slit": 0.34, "almond": 0.3, "tall": 0.16}.get(look.lamps, 0.2)
    tall = {"slit": 0.05, "tall": 0.17}.get(look.lamps, 0.1)
    if look.lamps in ("round", "twin"):
        outline = [(front - 0.12 + p, y + q) for p, q in circle(0.1, 12)]
    else:
        outline = [
            (front - 0.01, y - tall),
            (front - long * 0.4, y - tall * 0.6),
            (front - long, y + tall),
            (front - 0.07, y + tall),
        ]
    pen.fill([body.point(p, q, side * 1.004) for p, q in outline], LAMP)
    high = s.belt - 0.08
    deep = {"tall": 0.42, "strip": 0.16, "corner": 0.2}.get(look.tails, 0.22)
    rear = max(body.end(high - deep, -1), body.end(high, -1))
    quad = [(rear, high - deep), (rear + 0.14, high - deep * 0.8), (rear + 0.2, high), (rear, high)]
    pen.fill([body.point(p, q, side * 1.004) for p, q in quad], TAIL)
    if look.tails in ("tall", "round"):
        pen.fill([body.point(p, (q + high - deep * 0.4) / 2, side * 1.005) for p, q in quad], AMBER)


def _wheel(pen: Pen, look: Look, body: Skin, x: float, side: float) -> None:
    s = look.shape
    arch = [(p, max(s.wheel + q, s.clearance + 0.01)) for p, q in circle(s.wheel * 1.2, 24)]
    flare = (56, 57, 60) if look.mark == "cladding" else BLACK
    if look.mark == "cladding":
        wide = [(p * 1.12, max(s.wheel + (q - s.wheel) * 1.12, s.clearance + 0.01)) for p, q in arch]
        pen.fill([body.point(x + p, q, side * 1.005) for p, q in wide], flare)
    pen.fill([body.point(x + p, q, side * 1.006) for p, q in arch], (20, 20, 22))
    z = side * (s.width / 2 - 0.03)

    def spot(outline: Sequence[Flat], colour: Colour) -> None:
        pen.fill([(x + p, s.wheel + q, z) for p, q in outline], colour)

    wheel_face(spot, s.wheel, look.spokes)
