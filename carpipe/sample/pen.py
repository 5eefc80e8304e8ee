"""The pen of the sample world: polygons given in a car's axes, lit and projected."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import ImageDraw

from carpipe.sample.geometry import Camera, Flat, Point
from carpipe.sample.models import Colour

GLASS: Colour = (38, 48, 58)
SHINE: Colour = (92, 108, 122)
CHROME: Colour = (205, 208, 212)
TYRE: Colour = (26, 26, 28)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour times a brightness."""
    return tuple(min(255, max(0, round(c * factor))) for c in colour)  # type: ignore[return-value]  # 3 in, 3 out


@dataclass
class Pen:
    """Paints polygons given in one car's axes, and remembers how far they reach."""

    draw: ImageDraw.ImageDraw
    camera: Camera
    light: Point  # direction to the sun, in the car's axes
    reach: list[Flat] = field(default_factory=list)

    def fill(self, points: Sequence[Point], colour: Colour, factor: float = 1.0) -> None:
        """One polygon."""
        self.polygon(self.camera.project(points), shade(colour, factor))

    def polygon(self, flat: list[Flat], colour: Colour) -> None:
        """One polygon that is in pixels already."""
        self.reach += flat
        self.draw.polygon(flat, fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 0.012) -> None:
        """A line about `width` metres thick."""
        depth = max(self.camera.depth(points[0]), 0.5)
        self.draw.line(self.camera.project(points), fill=colour, width=max(1, round(width * self.camera.scale / depth)))

    def glow(self, nx: float, ny: float, nz: float) -> float:
        """Brightness of a face with this unit normal: sky from above, sun from the side."""
        lx, ly, lz = self.light
        return 0.62 + 0.18 * ny + 0.34 * max(0.0, nx * lx + ny * ly + nz * lz)
