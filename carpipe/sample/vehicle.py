"""Draws one car: lit faces from far to near, then glass, lamps, grille, wheels and marks on top.

The lower body and the cabin are convex, so it is enough to draw the faces that look at the camera,
first the ends and tops, then the one side that shows.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from carpipe.sample.body import Skin, skin
from carpipe.sample.flank import draw_side
from carpipe.sample.geometry import Flat, circle, hull
from carpipe.sample.models import BLACK, Colour, Look
from carpipe.sample.pen import GLASS, SHINE, TYRE, Pen, shade
from carpipe.sample.trim import draw_front, draw_rear


def draw_vehicle(pen: Pen, look: Look, paint: Colour) -> tuple[float, float, float, float]:
    """Draws the car of `pen.camera` and returns its box in pixels, not cut to the frame."""
    body = skin(look.shape)
    camera = pen.camera
    side = math.copysign(1.0, camera.z)
    end = math.copysign(1.0, camera.x)
    wide = look.shape.width / 2
    _shadow(pen, look)
    pen.reach.clear()
    _wheels(pen, look)
    _ends(pen, body, body.lower, paint)
    roof = look.accent if look.mark == "roof" else paint
    _mirror(pen, body, -side, paint)
    if look.shape.bed:
        _bed(pen, body)
    _ends(pen, body, body.cabin, roof)
    _panes(pen, look, body)
    if abs(camera.x) > look.shape.length / 2:
        (draw_front if end > 0 else draw_rear)(pen, look, body)
    if look.mark == "rally":
        _rally(pen, look, body)
    if abs(camera.z) > wide:
        draw_side(pen, look, body, paint, side)
    _mirror(pen, body, side, paint)
    xs, ys = [p[0] for p in pen.reach], [p[1] for p in pen.reach]
    return min(xs), min(ys), max(xs), max(ys)


def _shadow(pen: Pen, look: Look) -> None:
    x, z = look.shape.length / 2, look.shape.width / 2 + 0.04
    ring = [(x * c, 0.0, z * s) for c, s in (_squircle(2 * math.pi * i / 24) for i in range(24))]
    pen.fill(ring, (34, 34, 37))


def _squircle(angle: float) -> Flat:
    c, s = math.cos(angle), math.sin(angle)
    return math.copysign(abs(c) ** 0.4, c), math.copysign(abs(s) ** 0.4, s)


def _ends(pen: Pen, body: Skin, outline: Sequence[Flat], paint: Colour) -> None:
    """The strips across the car that look at the camera, farthest first."""
    strips = []
    for (x0, y0), (x1, y1) in pairwise(outline):
        nx, ny = y0 - y1, x1 - x0
        size = math.hypot(nx, ny)
        if size < 1e-6 or nx * (pen.camera.x - x0) + ny * (pen.camera.y - y0) <= 0:
            continue
        strips.append((pen.camera.depth(((x0 + x1) / 2, 0, 0)), x0, y0, x1, y1, nx / size, ny / size))
    for _, x0, y0, x1, y1, nx, ny in sorted(strips, reverse=True):
        quad = [body.point(x0, y0, -1), body.point(x0, y0, 1), body.point(x1, y1, 1), body.point(x1, y1, -1)]
        pen.fill(quad, paint, pen.glow(nx, ny, 0))


def _bed(pen: Pen, body: Skin) -> None:
    s = body.shape
    rear, front = -s.length / 2 + 0.14, body.corners[0][0] - 0.06
    z = s.width / 2 - 0.12
    corners = ((rear, -z), (rear, z), (front, z), (front, -z))
    pen.fill([(x, s.belt + 0.03, across) for x, across in corners], (40, 40, 42))


def _panes(pen: Pen, look: Look, body: Skin) -> None:
    _, b, c, _ = body.corners
    if pen.camera.x > c[0] + 0.3:
        pen.fill(body.pane(True, 0.08, 0.93, 0.09), GLASS)
        x0, x1 = body.pane(True, 0.08, 0.93, 0.09), body.pane(True, 0.4, 0.93, 0.09)
        pen.fill([x1[0], x1[1], x1[2], x1[3]], SHINE, 0.72)
        pen.line([x0[0], x0[1]], BLACK, 0.03)
    elif pen.camera.x < b[0] - 0.3 and not look.shape.panels:
        low = 0.34 if look.shape.cabin[0] < 0.08 and look.shape.cabin[1] < 0.2 else 0.1
        pen.fill(body.pane(False, low, 0.9, 0.13), GLASS)
        pen.fill(body.pane(False, (low + 0.9) / 2, 0.9, 0.13), SHINE, 0.62)


def _rally(pen: Pen, look: Look, body: Skin) -> None:
    """Two stripes over bonnet, roof and boot: on the faces that look up, but not on glass."""
    for outline in (body.lower, body.cabin):
        for (x0, y0), (x1, y1) in pairwise(outline):
            nx, ny = y0 - y1, x1 - x0
            seen = nx * (pen.camera.x - x0) + ny * (pen.camera.y - y0) > 0
            if outline is body.lower:
                bare = not body.corners[0][0] < (x0 + x1) / 2 < body.corners[3][0]
            else:
                bare = min(y0, y1) >= body.shape.height - 0.12
            if seen and bare and ny >= 0.3 * abs(nx):
                for z in (-0.24, 0.24):
                    corners = ((x0, y0, -0.11), (x0, y0, 0.11), (x1, y1, 0.11), (x1, y1, -0.11))
                    pen.fill([(x, y + 0.01, z + across) for x, y, across in corners], look.accent, 0.95)


def _mirror(pen: Pen, body: Skin, side: float, paint: Colour) -> None:
    x, y = body.corners[3][0] - 0.22, body.shape.belt + 0.1
    z = side * (body.half(x, y) + 0.1)
    ring = [(x + 0.05, y + 0.75 * p, z + q * 1.1) for q, p in circle(0.11, 10)]
    ring += [(x - 0.06, y + 0.75 * p, z + q * 1.1) for q, p in circle(0.11, 10)]
    pen.polygon(hull(pen.camera.project(ring)), shade(paint, 0.72))


def _wheels(pen: Pen, look: Look) -> None:
    """Four black drums and the dark floor above them; what the body hides gets painted over."""
    s = look.shape
    for share in s.axles:
        x = (share - 0.5) * s.length
        for side in (-1.0, 1.0):
            outer, inner = side * (s.width / 2 - 0.03), side * (s.width / 2 - 0.26)
            ring = [(x + p, s.wheel + q, z) for z in (outer, inner) for p, q in circle(s.wheel, 16)]
            pen.polygon(hull(pen.camera.project(ring)), TYRE)
    x, z = s.length / 2 - 0.2, s.width / 2 - 0.1
    floor = [(p, s.clearance + h, q) for p in (-x, x) for q in (-z, z) for h in (0.0, 0.3)]
    pen.polygon(hull(pen.camera.project(floor)), (30, 30, 33))
