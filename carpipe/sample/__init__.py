"""A small dealer world with known truth, for machines without photos; and a detector of its cars.

    from carpipe.sample import DETECTOR, draw_world
    world = draw_world(Path("sample"))

Everything in it is drawn. Importing this package loads nothing heavy; drawing needs Pillow and NumPy.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from carpipe.sample.photo import Box
    from carpipe.sample.world import Truth, World, draw_world, parse_boxes, read_truth

__all__ = ["DETECTOR", "Box", "Truth", "World", "draw_world", "parse_boxes", "read_truth"]

DETECTOR: Path = Path(__file__).parent / "detector.pt"
"""Weights of a small YOLO that finds the cars of the sample world: 0 car, 1 truck; trained at 320 px."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        from carpipe.sample import world

        return getattr(world, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
