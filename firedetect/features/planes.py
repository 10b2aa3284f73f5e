"""Scratch planes of the image kernels: an image each, and a margin that spares loops the edge."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel
from firedetect.features.vector import COLS, FLOW_RADIUS_PX, ROWS

MARGIN: Final = FLOW_RADIUS_PX
PLANE_SHAPE: Final = (ROWS + 2 * MARGIN, COLS + 2 * MARGIN)


@kernel
def pad(image: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Copy the image (24, 32) into the middle of a plane and repeat its border by one pixel."""
    for r in range(ROWS):
        for c in range(COLS):
            out[r + MARGIN, c + MARGIN] = image[r, c]
        out[r + MARGIN, MARGIN - 1] = image[r, 0]
        out[r + MARGIN, COLS + MARGIN] = image[r, COLS - 1]
    for c in range(COLS + 2):
        out[MARGIN - 1, c + MARGIN - 1] = out[MARGIN, c + MARGIN - 1]
        out[ROWS + MARGIN, c + MARGIN - 1] = out[ROWS + MARGIN - 1, c + MARGIN - 1]
