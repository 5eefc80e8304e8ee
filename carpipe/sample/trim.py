"""The front and the rear of a car: lamps, grille, badge, bumper and plate."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from carpipe.sample.body import Skin
from carpipe.sample.geometry import Flat, Point, circle
from carpipe.sample.models import BLACK, Colour, Look
from carpipe.sample.pen import CHROME, Pen

LAMP: Colour = (236, 240, 242)
TAIL: Colour = (190, 22, 28)
AMBER: Colour = (238, 150, 40)
PLATE: Colour = (238, 238, 232)

BADGES: dict[str, list[Flat]] = {
    "disc": circle(1, 14),
    "diamond": [(0, 1.25), (0.85, 0), (0, -1.25), (-0.85, 0)],
    "chevron": [(0, 1.1), (1.1, -0.3), (1.1, -1.0), (0, 0.2), (-1.1, -1.0), (-1.1, -0.3)],
    "triangle": [(0, 1.15), (1.1, -0.85), (-1.1, -0.85)],
    "square": [(0.9, 0.9), (0.9, -0.9), (-0.9, -0.9), (-0.9, 0.9)],
    "cross": [
        (p * a, q * b)
        for p, q, corner in ((1, 1, 0), (1, -1, 1), (-1, -1, 0), (-1, 1, 1))
        for a, b in (((0.4, 1.2), (0.4, 0.4), (1.2, 0.4)), ((1.2, 0.4), (0.4, 0.4), (0.4, 1.2)))[corner]
    ],
}


@dataclass(frozen=True)
class End:
    """The front (1) or rear (-1) face as a sheet: z across in metres, y up."""

    pen: Pen
    body: Skin
    end: float

    def spot(self, outline: Sequence[Flat], z: float, y: float, colour: Colour, factor: float = 1.0) -> None:
        """A flat figure around (z, y)."""
        self.pen.fill([self.at(z + p, y + q) for p, q in outline], colour, factor)

    def box(self, z0: float, z1: float, y0: float, y1: float, colour: Colour, factor: float = 1.0) -> None:
        """A rectangle."""
        self.pen.fill(self.body.face(y0, y1, z0, z1, self.end), colour, factor)

    def at(self, z: float, y: float) -> Point:
        """The sheet bends back a little to both sides, as bumpers do."""
        return self.body.end(y, self.end) + self.end * 0.014, y, z


def draw_badge(spot: Callable[[Sequence[Flat], Colour], None], look: Look, size: float) -> None:
    """The maker's mark: a chrome rim around the accent colour."""
    outline = BADGES[look.badge]
    spot([(p * size * 1.25, q * size * 1.25) for p, q in outline], CHROME)
    spot([(p * size, q * size) for p, q in outline], look.accent)


def draw_front(pen: Pen, look: Look, body: Skin) -> None:
    """Bumper, grille, lamps, plate and badge."""
    sheet, s = End(pen, body, 1.0), look.shape
    wide = body.half(s.length / 2 - 0.1, s.hood)
    low, high = s.clearance, s.hood
    cladding = look.mark == "cladding"
    sheet.box(-wide, wide, low + 0.02, low + (0.26 if cladding else 0.08), (52, 53, 56))
    sheet.box(-wide * 0.62, wide * 0.62, low + 0.07, low + 0.2, (24, 24, 26))
    middle = high - 0.26
    _grille(sheet, look, middle, wide)
    for side in (-1.0, 1.0):
        _lamp(sheet, look, side * wide * 0.74, high - 0.21, side)
        sheet.spot([(p, q * 0.8) for p, q in circle(0.06, 10)], side * wide * 0.78, low + 0.17, CHROME)
    _plate(sheet, low + 0.21)
    y = high - 0.13 if look.grille in ("kidney", "smile", "slats", "bars") else middle
    draw_badge(lambda outline, colour: sheet.spot(outline, 0.0, y, colour), look, 0.075)


def _plate(sheet: End, y: float) -> None:
    sheet.box(-0.26, 0.26, y, y + 0.11, PLATE)
    blue = 0.22 * sheet.end  # the left edge, as one reads it
    sheet.box(blue, blue + 0.04 * sheet.end, y, y + 0.11, (30, 70, 170))
    for i in range(6):
        z = -0.18 + 0.07 * i
        sheet.box(z, z + 0.045, y + 0.025, y + 0.085, (60, 60, 62))


def _grille(sheet: End, look: Look, y: float, wide: float) -> None:
    z = wide * 0.5
    if look.grille == "kidney":
        for side in (-1, 1):
            sheet.spot([(p * 1.15, q) for p, q in circle(0.17, 12)], side * 0.2, y + 0.01, CHROME)
            sheet.spot([(p * 1.1, q) for p, q in circle(0.14, 12)], side * 0.2, y + 0.01, BLACK)
    elif look.grille == "slot":
        sheet.box(-z, z, y - 0.05, y + 0.05, BLACK)
        sheet.box(-z, z, y - 0.012, y + 0.012, CHROME)
    elif look.grille == "smile":
        curve = [(z * t, y + 0.02 + 0.08 * t * t) for t in (-1, -0.66, -0.33, 0, 0.33, 0.66, 1)]
        sheet.spot([*curve, *[(p, q - 0.05) for p, q in reversed(curve)]], 0, 0, CHROME)
        sheet.box(-z * 0.8, z * 0.8, y - 0.13, y - 0.06, BLACK)
    elif look.grille == "shield":
        sheet.spot([(-z, 0.15), (z, 0.15), (z * 0.55, -0.2), (-z * 0.55, -0.2)], 0, y, CHROME)
        sheet.spot([(-z * 0.86, 0.12), (z * 0.86, 0.12), (z * 0.46, -0.17), (-z * 0.46, -0.17)], 0, y, BLACK)
    else:
        _field(sheet, look.grille, y, z)


def _field(sheet: End, kind: str, y: float, z: float) -> None:
    """A dark field with bars, slats or a mesh."""
    tall = 0.19 if kind == "bars" else 0.13
    sheet.box(-z - 0.02, z + 0.02, y - tall - 0.02, y + tall + 0.02, CHROME if kind != "mesh" else BLACK)
    sheet.box(-z, z, y - tall, y + tall, (22, 22, 25))
    if kind == "bars":
        for i in range(3):
            low = y - 0.15 + 0.12 * i
            sheet.box(-z, z, low, low + 0.055, CHROME)
    elif kind == "slats":
        for i in range(9):
            left = -z + (i + 0.5) * 2 * z / 9.5
            sheet.box(left, left + 0.03, y - tall, y + tall, CHROME, 0.92)
    else:
        for i in range(4):
            sheet.box(-z, z, y - tall + 0.06 * i + 0.03, y - tall + 0.06 * i + 0.042, (92, 92, 96))
        for i in range(8):
            left = -z + (i + 0.5) * 2 * z / 8
            sheet.box(left, left + 0.014, y - tall, y + tall, (92, 92, 96))


def _lamp(sheet: End, look: Look, z: float, y: float, side: float) -> None:
    if look.lamps in ("round", "twin"):
        radius = 0.15 if look.lamps == "round" else 0.105
        for shift in (0.0,) if look.lamps == "round" else (-0.11, 0.11):
            sheet.spot(circle(radius + 0.018, 16), z + shift, y, (70, 72, 76))
            sheet.spot(circle(radius, 16), z + shift, y, LAMP)
            sheet.spot(circle(radius * 0.45, 10), z + shift, y, (170, 186, 200))
        return
    outlines: dict[str, list[Flat]] = {
        "almond": [(-0.24, -0.07), (-0.05, -0.09), (0.2, 0.03), (0.23, 0.14), (0.02, 0.09)],
        "square": [(-0.19, -0.1), (0.17, -0.1), (0.19, 0.1), (-0.19, 0.1)],
        "slit": [(-0.26, -0.05), (0.2, 0.0), (0.22, 0.07), (-0.24, 0.02)],
        "tall": [(-0.08, -0.18), (0.1, -0.18), (0.13, 0.17), (-0.02, 0.17)],
    }
    outline = [(p * side, q) for p, q in outlines[look.lamps]]
    sheet.spot([(p * 1.12, q * 1.15) for p, q in outline], z, y, (60, 62, 66))
    sheet.spot(outline, z, y, LAMP)
    sheet.spot([(p * 0.4, q * 0.55) for p, q in outline], z, y, (168, 184, 198))


def draw_rear(pen: Pen, look: Look, body: Skin) -> None:
    """Bumper, lamps, plate and badge."""
    sheet, s = End(pen, body, -1.0), look.shape
    wide = body.half(-s.length / 2 + 0.1, s.belt)
    low, high = s.clearance, s.belt - 0.08
    sheet.box(-wide, wide, low + 0.02, low + (0.28 if look.mark == "cladding" else 0.1), (52, 53, 56))
    sheet.box(-wide * 0.9, wide * 0.9, low + 0.3, low + 0.315, (45, 45, 48))
    for side in (-1.0, 1.0):
        _tail(sheet, look, side * wide, high, side)
        sheet.box(side * wide * 0.55, side * wide * 0.75, low + 0.12, low + 0.17, TAIL, 0.7)
    if look.shape.panels:
        pen.line([(-s.length / 2 - 0.01, low + 0.3, 0), (-s.length / 2 + 0.02, s.height - 0.1, 0)], BLACK, 0.025)
        for side in (-1.0, 1.0):
            quad = [
                (-s.length / 2 + 0.02, y, side * z) for y, z in ((1.5, 0.12), (1.5, 0.7), (2.05, 0.66), (2.05, 0.12))
            ]
            pen.fill(quad, (40, 50, 60))
    _plate(sheet, low + 0.36 if s.hood > 0.7 else low + 0.2)
    draw_badge(lambda outline, colour: sheet.spot(outline, 0.0, high - 0.09, colour), look, 0.075)


def _tail(sheet: End, look: Look, edge: float, high: float, side: float) -> None:
    """`edge` is the z of the car's side."""
    if look.tails == "strip":
        sheet.box(0, edge, high - 0.1, high - 0.01, TAIL)
        sheet.box(edge * 0.72, edge, high - 0.17, high, TAIL, 1.1)
    elif look.tails == "round":
        for colour, radius in ((BLACK, 0.14), (TAIL, 0.12), (AMBER, 0.05)):
            sheet.spot(circle(radius, 16), edge - side * 0.18, high - 0.12, colour)
    elif look.tails == "tall":
        sheet.box(edge - side * 0.14, edge, high - 0.46, high, TAIL)
        sheet.box(edge - side * 0.14, edge, high - 0.3, high - 0.2, AMBER)
    elif look.tails == "corner":
        outline = [
            (0.0, 0.0),
            (-0.42 * side, -0.02),
            (-0.36 * side, -0.1),
            (-0.14 * side, -0.13),
            (0.0, -0.26),
        ]
        sheet.spot(outline, edge, high, TAIL)
        sheet.spot([(p * 0.5, q * 0.4 - 0.03) for p, q in outline], edge, high, (240, 120, 110))
    else:
        sheet.box(edge - side * 0.26, edge, high - 0.22, high, TAIL)
        sheet.box(edge - side * 0.2, edge - side * 0.05, high - 0.15, high - 0.08, (238, 232, 226))


def wheel_face(spot: Callable[[Sequence[Flat], Colour], None], radius: float, spokes: int) -> None:
    """Tyre, rim, spokes and hub around the origin."""
    spot(circle(radius, 24), (28, 28, 30))
    spot(circle(radius * 0.7, 22), (70, 72, 76))
    for i in range(spokes):
        angle = 2 * math.pi * i / spokes + 0.3
        spread = min(0.32, 1.5 / spokes)
        spot(
            [
                (radius * r * math.cos(angle + d), radius * r * math.sin(angle + d))
                for r, d in ((0.12, -1.0), (0.66, -spread), (0.66, spread), (0.12, 1.0))
            ],
            (200, 203, 208),
        )
    spot(circle(radius * 0.16, 12), (120, 122, 126))
