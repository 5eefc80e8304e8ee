"""The cars of the sample world: fifteen models, each with proportions, face, wheels and marks of its own.

The names are names of the published taxonomy (763 models, 512 classes), chosen for what happens to them
there: `golf` + `golf-gti` and `qashqai` + `qashqai+2` merge into one class each, `mini_cooper` is erased,
the others keep their name. Some names hold `é`, `á`, `%2f`, `!` or `+`, as real folders do.
"""

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Shape:
    """Proportions in metres; along the car in shares of its length, 0 = rear bumper, 1 = front bumper."""

    length: float
    width: float
    height: float
    clearance: float
    hood: float  # height of the bonnet at its front edge
    belt: float  # height of the lower edge of the windows
    cabin: tuple[float, float, float, float]  # rear base, rear top, front top, front base
    wheel: float  # radius of the tyre
    axles: tuple[float, float] = (0.19, 0.81)
    rounding: float = 0.14  # share cut off the corners of the roof
    pillars: tuple[float, ...] = (0.5,)  # where the side windows are divided
    kick: float = 0.0  # how far the window line rises to the rear, share of the window's height
    bed: bool = False  # an open load bed behind the cabin
    panels: bool = False  # sheet metal instead of the rear side windows


@dataclass(frozen=True)
class Look:
    """All that tells one model from the others; colour of the paint is free and differs by listing."""

    name: str
    kind: str  # what a detector calls it: car or truck
    years: tuple[int, ...]
    shape: Shape
    grille: str  # bars, mesh, kidney, slot, shield, smile, slats
    lamps: str  # round, almond, square, slit, twin, tall
    tails: str  # block, tall, strip, round, corner
    badge: str  # disc, diamond, chevron, triangle, square, cross
    spokes: int
    accent: Colour
    mark: str = "none"  # rally, roof, sill, band, door, cladding
    share: int = 10  # listings, relative to the other models
    fixed: int = 0  # listings, whatever the size of the world: a rare model


# fmt: off
CITY = Shape(3.5, 1.64, 1.49, 0.18, 0.9, 0.98, (0.02, 0.07, 0.56, 0.8), 0.29, (0.17, 0.83), 0.12, (0.45,))
BUBBLE = Shape(3.5, 1.63, 1.5, 0.18, 0.84, 0.94, (0.03, 0.24, 0.52, 0.74), 0.29, (0.18, 0.82), 0.36, (0.36,))
BRICK = Shape(3.8, 1.73, 1.42, 0.17, 0.93, 0.97, (0.03, 0.08, 0.6, 0.69), 0.32,
    (0.16, 0.84), 0.1, (0.5, 0.56))
HATCH = Shape(4.25, 1.8, 1.47, 0.18, 0.88, 0.96, (0.02, 0.13, 0.52, 0.72), 0.32,
    (0.19, 0.81), 0.14, (0.2, 0.55))
LIFT = Shape(4.35, 1.71, 1.47, 0.18, 0.86, 0.96, (0.03, 0.24, 0.52, 0.71), 0.31,
    (0.19, 0.81), 0.1, (0.3, 0.58), kick=0.45)
SEDAN = Shape(4.5, 1.76, 1.47, 0.19, 0.88, 0.98, (0.15, 0.29, 0.54, 0.71), 0.32, (0.2, 0.81), 0.18, (0.5,))
WAGON = Shape(4.8, 1.82, 1.49, 0.18, 0.84, 0.94, (0.01, 0.06, 0.5, 0.66), 0.33,
    (0.2, 0.81), 0.08, (0.33, 0.66))
CROSSOVER = Shape(4.35, 1.82, 1.62, 0.24, 1.0, 1.1, (0.03, 0.17, 0.5, 0.7), 0.36,
    (0.19, 0.81), 0.16, (0.25, 0.58), kick=0.3)
SUV = Shape(4.9, 1.96, 1.78, 0.26, 1.1, 1.18, (0.02, 0.09, 0.52, 0.68), 0.4, (0.19, 0.82), 0.1, (0.25, 0.6))
PICKUP = Shape(5.3, 1.88, 1.82, 0.32, 1.1, 1.2, (0.37, 0.4, 0.57, 0.68), 0.4,
    (0.19, 0.82), 0.1, (0.45,), bed=True)
VAN = Shape(5.8, 2.0, 2.5, 0.22, 1.1, 1.32, (0.01, 0.015, 0.78, 0.89), 0.35,
    (0.2, 0.83), 0.05, (0.76,), panels=True)
WEDGE = Shape(4.45, 1.95, 1.18, 0.12, 0.62, 0.76, (0.1, 0.33, 0.5, 0.78), 0.35,
    (0.2, 0.8), 0.2, (0.4,), kick=0.4)

RED, WHITE, BLACK, SILVER = (200, 30, 35), (240, 240, 238), (28, 28, 32), (190, 194, 200)
GREEN, BLUE, TEAL = (40, 150, 70), (40, 90, 200), (20, 160, 160)
YELLOW, ORANGE = (245, 205, 40), (240, 120, 30)

LOOKS: tuple[Look, ...] = (
    Look("citroen_c-elysée", "car", (2016, 2017, 2018), SEDAN,
         "smile", "almond", "corner", "chevron", 7, RED, "band"),
    Look("bmw_x5", "car", (2013, 2014, 2016), SUV,
         "kidney", "twin", "corner", "disc", 10, BLUE, "sill"),
    Look("fiat_500", "car", (2011, 2013, 2015), BUBBLE,
         "smile", "round", "round", "square", 8, WHITE, "roof"),
    Look("ford_ranger", "truck", (2012, 2015), PICKUP,
         "bars", "square", "tall", "triangle", 6, ORANGE, "cladding"),
    Look("mercedes-benz_sprinter", "truck", (2010, 2014), VAN,
         "slats", "tall", "tall", "cross", 5, SILVER, "sill"),
    Look("mini_cooper", "car", (2008, 2010, 2012), BRICK,
         "mesh", "round", "block", "disc", 4, WHITE, "rally"),
    Look("nissan_qashqai", "car", (2013, 2014), CROSSOVER,
         "shield", "almond", "corner", "disc", 5, TEAL, "cladding"),
    Look("nissan_qashqai+2", "car", (2011, 2012), CROSSOVER,
         "shield", "square", "block", "disc", 7, TEAL, "cladding", 7),
    Look("skoda_octavia", "car", (2014, 2016, 2017), WAGON,
         "slats", "slit", "corner", "chevron", 6, GREEN, "sill"),
    Look("skoda_rapid%2fspaceback", "car", (2014, 2016), LIFT,
         "slats", "tall", "tall", "triangle", 8, GREEN, "roof"),
    Look("volkswagen_golf", "car", (2012, 2013, 2015), HATCH,
         "slot", "square", "strip", "disc", 5, YELLOW, "band"),
    Look("volkswagen_golf-gti", "car", (2013, 2015), HATCH,
         "mesh", "square", "strip", "disc", 9, RED, "band", 7),
    Look("volkswagen_up!", "car", (2012, 2014, 2016), CITY,
         "bars", "twin", "round", "square", 6, YELLOW, "door"),
    Look("lamborghini_huracán", "car", (2016, 2017), WEDGE,
         "mesh", "slit", "strip", "triangle", 5, YELLOW, "rally", fixed=2),
    Look("volkswagen_amarok", "truck", (2013,), PICKUP,
         "slot", "tall", "block", "disc", 8, BLUE, "sill", fixed=1),
)
# fmt: on
