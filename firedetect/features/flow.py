"""Dense Lucas-Kanade optical flow between two small temperature images."""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel
from firedetect.features.vector import FLOW_RADIUS_PX, FLOW_REGULARISATION

_PRODUCTS = 5


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
        Images of one shape (rows, cols) in °C; NaN marks invalid pixels.
    work
        Scratch of shape (2, 5, rows, cols).

    """
    rows, cols = after.shape
    products = work[0]
    along = work[1]
    for r in range(rows):
        for c in range(cols):
            left, right = max(c - 1, 0), min(c + 1, cols - 1)
            up, down = max(r - 1, 0), min(r + 1, rows - 1)
            gx = 0.25 * (before[r, right] + after[r, right] - before[r, left] - after[r, left])
            gy = 0.25 * (before[down, c] + after[down, c] - before[up, c] - after[up, c])
            gt = after[r, c] - before[r, c]
            if math.isnan(gx + gy + gt):
                gx = gy = gt = 0.0
            products[0, r, c] = gx * gx
            products[1, r, c] = gx * gy
            products[2, r, c] = gy * gy
            products[3, r, c] = gx * gt
            products[4, r, c] = gy * gt
    for p in range(_PRODUCTS):
        for r in range(rows):
            for c in range(cols):
                total = 0.0
                for k in range(max(c - FLOW_RADIUS_PX, 0), min(c + FLOW_RADIUS_PX + 1, cols)):
                    total += products[p, r, k]
                along[p, r, c] = total
    count = 0
    magnitude = products[0]
    total = 0.0
    for r in range(rows):
        for c in range(cols):
            xx = xy = yy = xt = yt = 0.0
            for k in range(max(r - FLOW_RADIUS_PX, 0), min(r + FLOW_RADIUS_PX + 1, rows)):
                xx += along[0, k, c]
                xy += along[1, k, c]
                yy += along[2, k, c]
                xt += along[3, k, c]
                yt += along[4, k, c]
            if math.isnan(before[r, c] + after[r, c]):
                magnitude[r, c] = math.nan
                continue
            xx += FLOW_REGULARISATION
            yy += FLOW_REGULARISATION
            determinant = xx * yy - xy * xy
            u = (xy * yt - yy * xt) / determinant
            v = (xy * xt - xx * yt) / determinant
            magnitude[r, c] = math.sqrt(u * u + v * v)
            total += magnitude[r, c]
            count += 1
    if count == 0:
        return math.nan, math.nan
    mean = total / count
    spread = 0.0
    for r in range(rows):
        for c in range(cols):
            if not math.isnan(magnitude[r, c]):
                spread += (magnitude[r, c] - mean) ** 2
    return mean, math.sqrt(spread / count)
