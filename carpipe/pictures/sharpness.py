"""How sharp a picture is, so that photos of one listing can be compared."""

import numpy as np
from PIL import Image

# Pixels of the long side that pictures are compared at: what is enlarged to it is as soft as it looks.
SIDE = 256


def sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian of the grey picture at one size, in squared grey levels: the higher, the sharper.

    Source: J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", 2000.
    """
    scale = SIDE / max(image.size)
    size = (max(3, round(image.width * scale)), max(3, round(image.height * scale)))
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * middle).var())
