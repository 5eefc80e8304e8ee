"""The skin of a car: its outline from the side, and how wide it is at every point of it."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from carpipe.sample.geometry import Flat, Point, round_corners
from carpipe.sample.models import Shape

Patch = tuple[Point, Point, Point, Point]


@dataclass(frozen=True)
class Skin:
    """Outlines (x, y) of the lower body and of the cabin, from the rear over the top to the front."""

    shape: Shape
    lower: tuple[Flat, ...]
    cabin: tuple[Flat, ...]
    corners: tuple[Flat, Flat, Flat, Flat]  # rear base, rear top, front top, front base of the cabin

    def half(self, x: float, y: float) -> float:
        """Half the width at (x, y): the body tapers to both ends, the cabin to the roof."""
        s = self.shape
        taper = 1 - 0.13 * min(abs(2 * x / s.length), 1.0) ** 5
        lean = 0.16 if not s.panels else 0.07
        above = max(0.0, (y - s.belt) / (s.height - s.belt))
        return s.width / 2 * taper * (1 - lean * above)

    def point(self, x: float, y: float, side: float) -> Point:
        """The point of the skin on the right (1) or left (-1) side."""
        return x, y, side * self.half(x, y)

    def end(self, y: float, end: float) -> float:
        """x of the front (1) or rear (-1) face of the lower body at height y."""
        line = self.lower[::-1] if end > 0 else self.lower
        for (x0, y0), (x1, y1) in pairwise(line):
            if y0 <= y <= y1 and y1 > y0:
                return x0 + (x1 - x0) * (y - y0) / (y1 - y0)
        return line[len(line) // 4][0]

    def window(self, u: float, v: float, side: float) -> Point:
        """A point of the cabin's side: u from rear to front, v from the belt to the roof."""
        a, b, c, d = self.corners
        x = (a[0] + (d[0] - a[0]) * u) * (1 - v) + (b[0] + (c[0] - b[0]) * u) * v
        y = (a[1] + (d[1] - a[1]) * u) * (1 - v) + (b[1] + (c[1] - b[1]) * u) * v
        return self.point(x, y, side)

    def face(self, y0: float, y1: float, z0: float, z1: float, end: float) -> Patch:
        """An upright rectangle on the front or rear face, a finger's breadth before the paint."""
        low, high = self.end(y0, end) + 0.012 * end, self.end(y1, end) + 0.012 * end
        return (low, y0, z0), (low, y0, z1), (high, y1, z1), (high, y1, z0)

    def pane(self, front: bool, low: float, high: float, inset: float) -> Patch:
        """The windscreen or the rear window, between two shares of its height."""
        base, top = (self.corners[3], self.corners[2]) if front else (self.corners[0], self.corners[1])
        push = 0.015 if front else -0.015
        points = []
        for v in (low, high):
            x, y = base[0] + (top[0] - base[0]) * v, base[1] + (top[1] - base[1]) * v
            points.append((x + push, y, self.half(x, y) - inset))
        (x0, y0, z0), (x1, y1, z1) = points
        return (x0, y0, -z0), (x0, y0, z0), (x1, y1, z1), (x1, y1, -z1)


@lru_cache(maxsize=64)
def skin(shape: Shape) -> Skin:
    """The skin of a shape."""
    s = shape
    length = s.length
    rear, front = -length / 2, length / 2
    a, b, c, d = (rear + share * length for share in s.cabin)
    deck = s.belt + (0.04 if s.cabin[0] > 0.08 and not s.bed else 0.0)
    lower = [
        (rear + 0.12, s.clearance),
        (rear, s.clearance + 0.18),
        (rear, s.clearance + 0.38),
        (rear + 0.05, deck - 0.03),
        (rear + 0.16, deck),
        (a, s.belt + 0.01),
        (d, s.belt),
        (front - 0.14, s.hood),
        (front, s.hood - 0.22),
        (front, s.clearance + 0.2),
        (front - 0.16, s.clearance),
    ]
    top = s.height
    corners = ((a, s.belt), (b, top - 0.02), (c, top), (d, s.belt - 0.01))
    return Skin(s, tuple(round_corners(lower, 0.22)), tuple(round_corners(corners, s.rounding)), corners)
