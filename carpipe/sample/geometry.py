"""Where a point of the world lands in the picture: one level camera, and outlines that are cut round.

World and car axes: x to the car's front, y up, z to the car's right, metres. Pixels run right and down.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

Point = tuple[float, float, float]
Flat = tuple[float, float]


@dataclass(frozen=True)
class Camera:
    """A camera that looks level, so the horizon is the row `oy`; `scale` is its focal length in pixels."""

    x: float
    y: float
    z: float
    heading: float  # radians in the x-z plane, 0 = along +x
    scale: float = 1.0
    ox: float = 0.0
    oy: float = 0.0

    def depth(self, point: Point) -> float:
        """Metres from the camera along its axis."""
        return (point[0] - self.x) * math.cos(self.heading) + (point[2] - self.z) * math.sin(self.heading)

    def project(self, points: Sequence[Point]) -> list[Flat]:
        """Pixels of the points; whatever lies behind the camera is pushed to 0.2 m before it."""
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        pixels = []
        for px, py, pz in points:
            dx, dz = px - self.x, pz - self.z
            zoom = self.scale / max(dx * cos + dz * sin, 0.2)
            pixels.append((self.ox + (dz * cos - dx * sin) * zoom, self.oy - (py - self.y) * zoom))
        return pixels

    def seen_from(self, x: float, z: float, turn: float) -> "Camera":
        """The same camera in the axes of a car that stands at (x, z), turned by `turn` radians."""
        dx, dz = self.x - x, self.z - z
        cos, sin = math.cos(turn), math.sin(turn)
        return replace(self, x=dx * cos + dz * sin, z=dz * cos - dx * sin, heading=self.heading - turn)


def orbit(yaw: float, distance: float, height: float) -> Camera:
    """A camera that looks at the origin from `yaw` radians: 0 sees the front, pi/2 the right side."""
    return Camera(distance * math.cos(yaw), height, distance * math.sin(yaw), yaw + math.pi)


def fit(camera: Camera, corners: Sequence[Point], width: float, centre: Flat) -> Camera:
    """The camera zoomed so that `corners` span `width` pixels around `centre`."""
    flat = camera.project(corners)
    left, right = min(p[0] for p in flat), max(p[0] for p in flat)
    top, bottom = min(p[1] for p in flat), max(p[1] for p in flat)
    zoom = width / (right - left)
    return replace(
        camera,
        scale=camera.scale * zoom,
        ox=centre[0] - zoom * (left + right) / 2,
        oy=centre[1] - zoom * (top + bottom) / 2,
    )


def round_corners(points: Sequence[Flat], share: float) -> list[Flat]:
    """An open line whose inner corners are cut off, `share` of each neighbouring edge (Chaikin's way)."""
    line = [points[0]]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        line += [toward(corner, before, share), toward(corner, after, share)]
    return [*line, points[-1]]


def toward(start: Flat, end: Flat, share: float) -> Flat:
    """The point `share` of the way from `start` to `end`."""
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def hull(points: Sequence[Flat]) -> list[Flat]:
    """Convex hull by Andrew's monotone chain."""
    ordered = sorted(set(points))
    sides = [_chain(ordered), _chain(ordered[::-1])]
    return sides[0][:-1] + sides[1][:-1]


def _chain(ordered: Sequence[Flat]) -> list[Flat]:
    line: list[Flat] = []
    for p in ordered:
        while len(line) > 1 and _turn(line[-2], line[-1], p) <= 0:
            line.pop()
        line.append(p)
    return line


def _turn(a: Flat, b: Flat, c: Flat) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def circle(radius: float, steps: int = 20) -> list[Flat]:
    """A regular polygon around the origin."""
    return [
        (radius * math.cos(2 * math.pi * i / steps), radius * math.sin(2 * math.pi * i / steps)) for i in range(steps)
    ]
