"""Dense Lucas-Kanade optical flow between two small temperature images."""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel
from firedetect.features.planes import MARGIN, pad
from firedetect.features.statistics import mean_and_deviation
from firedetect.features.vector import COLS, FLOW_REGULARISATION, ROWS

PLANES = 13
# Planes of the scratch: the sum of both images, their difference, then five products of gradients
# and their sums over the window.
_SUM, _CHANGE, _XX, _XY, _YY, _XT, _YT = range(7)
_WINDOW = 8
_DOWN = _MAGNITUDE = 7


@kernel
def flow_magnitude(
    before: NDArray[np.float64], after: NDArray[np.float64], work: NDArray[np.float64]
) -> tuple[float, float]:
    """Return mean and population standard deviation of the flow magnitude (px per image).

    Solves (A + r·I)·v = -b for every pixel that is valid in both images, where A and b sum the
    products of the spatial gradient of the mean image (central differences, border repeated) and
    the difference in time over the window; pixels without a valid neighbourhood add nothing.

    Parameters
    ----------
    before, after
        Images (24, 32) in °C; NaN marks invalid pixels.
    work
        Scratch of PLANES planes. The margin of planes 2 to 6 is zero, and stays so: what lies
        beyond the border adds nothing to a window.

    """
    change = work[_CHANGE]
    for r in range(ROWS):
        for c in range(COLS):
            change[r, c] = after[r, c] - before[r, c]
            work[_MAGNITUDE, r, c] = after[r, c] + before[r, c]
    pad(work[_MAGNITUDE], work[_SUM])
    _multiply(work)
    for product in range(_XX, _YT + 1):
        _sum_window(work[product], work[_DOWN], work[product + _WINDOW - _XX])
    _solve(work)
    _, mean, deviation = mean_and_deviation(work[_MAGNITUDE], ROWS, COLS)
    return mean, deviation


@kernel
def _multiply(work: NDArray[np.float64]) -> None:
    """Write the products of the gradients, zero where one of them is unknown."""
    both, change = work[_SUM], work[_CHANGE]
    xx, xy, yy, xt, yt = work[_XX], work[_XY], work[_YY], work[_XT], work[_YT]
    for r in range(ROWS):
        for c in range(COLS):
            # Both images added, over two pixels: a quarter is the gradient of their mean.
            gx = 0.25 * (both[r + 2, c + 3] - both[r + 2, c + 1])
            gy = 0.25 * (both[r + 3, c + 2] - both[r + 1, c + 2])
            gt = change[r, c]
            known = not math.isnan(gx + gy + gt)
            gx = gx if known else 0.0
            gy = gy if known else 0.0
            gt = gt if known else 0.0
            xx[r + MARGIN, c + MARGIN] = gx * gx
            xy[r + MARGIN, c + MARGIN] = gx * gy
            yy[r + MARGIN, c + MARGIN] = gy * gy
            xt[r + MARGIN, c + MARGIN] = gx * gt
            yt[r + MARGIN, c + MARGIN] = gy * gt


@kernel
def _sum_window(
    product: NDArray[np.float64], down: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Write the sums over 5x5 pixels: down the columns first, then along the rows."""
    for r in range(ROWS):
        for c in range(COLS + 2 * MARGIN):
            down[r, c] = (
                product[r, c]
                + product[r + 1, c]
                + product[r + 2, c]
                + product[r + 3, c]
                + product[r + 4, c]
            )
        for c in range(COLS):
            out[r, c] = (
                down[r, c] + down[r, c + 1] + down[r, c + 2] + down[r, c + 3] + down[r, c + 4]
            )


@kernel
def _solve(work: NDArray[np.float64]) -> None:
    """Write the magnitude of the flow, NaN where a pixel is unknown."""
    change, out = work[_CHANGE], work[_MAGNITUDE]
    sums = work[_WINDOW:]
    for r in range(ROWS):
        for c in range(COLS):
            xx = sums[0, r, c] + FLOW_REGULARISATION
            xy = sums[1, r, c]
            yy = sums[2, r, c] + FLOW_REGULARISATION
            xt = sums[3, r, c]
            yt = sums[4, r, c]
            per_determinant = 1.0 / (xx * yy - xy * xy)
            u = (xy * yt - yy * xt) * per_determinant
            v = (xy * xt - xx * yt) * per_determinant
            # Times zero, a known change adds nothing, an unknown one makes the magnitude NaN.
            out[r, c] = math.sqrt(u * u + v * v) + 0.0 * change[r, c]
