"""Kernels over one thermal image: cleaning, reduction, the 12 spatial and temporal features.

Missing pixels are NaN, are skipped first, and compared with `if value > best`: `max` would lose
the hottest pixel when a NaN follows it. Sums run in float64 in a fixed order.
"""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.features.flow import PLANES, flow_magnitude
from firedetect.features.jit import kernel
from firedetect.features.planes import PLANE_SHAPE, pad
from firedetect.features.statistics import mean_and_deviation, quantile
from firedetect.features.vector import (
    CLIP_C,
    COLS,
    HOT_ABOVE_MEDIAN_C,
    HOT_MIN_C,
    INVALID_ABOVE_C,
    INVALID_BELOW_C,
    PROXY_PIXELS,
    ROWS,
)

WORK_SHAPE = (PLANES, *PLANE_SHAPE)


@kernel
def clean_image(raw: NDArray[np.float32], clean: NDArray[np.float64]) -> int:
    """Copy an image (°C); invalid pixels become NaN, hotter ones 300. Return the valid count."""
    valid = 0
    for r in range(raw.shape[0]):
        for c in range(raw.shape[1]):
            value = float(raw[r, c])
            # An infinite or absurd value is a fault of the data and never evidence of heat.
            if value >= INVALID_BELOW_C and value <= INVALID_ABOVE_C:
                clean[r, c] = min(value, CLIP_C)
                valid += 1
            else:
                clean[r, c] = math.nan
    return valid


@kernel
def reduce_image(full: NDArray[np.float64], small: NDArray[np.float64]) -> None:
    """Write the block means of `full` into `small` (24, 32); NaN is skipped."""
    if full.shape == small.shape:
        small[:] = full
        return
    step_r = full.shape[0] // ROWS
    step_c = full.shape[1] // COLS
    for r in range(ROWS):
        for c in range(COLS):
            total = 0.0
            count = 0
            for i in range(r * step_r, (r + 1) * step_r):
                for j in range(c * step_c, (c + 1) * step_c):
                    if not math.isnan(full[i, j]):
                        total += full[i, j]
                        count += 1
            small[r, c] = total / count if count > 0 else math.nan


@kernel
def largest_region(
    image: NDArray[np.float64], limit_c: float, stack: NDArray[np.int64], seen: NDArray[np.uint8]
) -> tuple[int, int]:
    """Return how many pixels reach `limit_c`, and the size of their largest 8-connected region.

    `stack` is scratch of as many elements as the image has, `seen` of its shape.
    """
    rows, cols = image.shape
    seen[:] = 0
    total = 0
    largest = 0
    for row in range(rows):
        for col in range(cols):
            if not image[row, col] >= limit_c or seen[row, col]:
                continue
            size = _flood(image, limit_c, row, col, stack, seen)
            total += size
            if size > largest:
                largest = size
    return total, largest


@kernel
def _flood(
    image: NDArray[np.float64],
    limit_c: float,
    row: int,
    col: int,
    stack: NDArray[np.int64],
    seen: NDArray[np.uint8],
) -> int:
    """Return how many pixels hang together with one, and mark them as seen."""
    rows, cols = image.shape
    seen[row, col] = 1
    stack[0] = row * cols + col
    depth = 1
    size = 0
    while depth > 0:
        depth -= 1
        r, c = stack[depth] // cols, stack[depth] % cols
        size += 1
        for i in range(max(r - 1, 0), min(r + 2, rows)):
            for j in range(max(c - 1, 0), min(c + 2, cols)):
                if not seen[i, j] and image[i, j] >= limit_c:
                    seen[i, j] = 1
                    stack[depth] = i * cols + j
                    depth += 1
    return size


@kernel
def gradient_magnitude(
    image: NDArray[np.float64], padded: NDArray[np.float64], magnitude: NDArray[np.float64]
) -> tuple[float, float]:
    """Return mean and population deviation of the Sobel magnitude (°C/px), NaN without any.

    The border is reflected (which for 3x3 repeats the edge pixel); a pixel with a NaN in its
    neighbourhood has no gradient and is skipped. The last two arguments are scratch planes.
    """
    pad(image, padded)
    for r in range(ROWS):
        above, here, below = padded[r + 1], padded[r + 2], padded[r + 3]
        for c in range(COLS):
            west = above[c + 1] + 2.0 * here[c + 1] + below[c + 1]
            east = above[c + 3] + 2.0 * here[c + 3] + below[c + 3]
            north = above[c + 1] + 2.0 * above[c + 2] + above[c + 3]
            south = below[c + 1] + 2.0 * below[c + 2] + below[c + 3]
            gx = (east - west) / 8.0
            gy = (south - north) / 8.0
            # The pixel itself has no weight, but unknown it has no gradient.
            magnitude[r, c] = math.sqrt(gx * gx + gy * gy) + 0.0 * here[c + 2]
    _, mean, deviation = mean_and_deviation(magnitude, ROWS, COLS)
    return mean, deviation


@kernel
def difference(
    before: NDArray[np.float64], after: NDArray[np.float64], change: NDArray[np.float64]
) -> tuple[float, float]:
    """Return mean and population deviation of |after - before| (°C) where both are valid.

    The last argument is a scratch plane.
    """
    for r in range(ROWS):
        for c in range(COLS):
            change[r, c] = abs(after[r, c] - before[r, c])
    _, mean, deviation = mean_and_deviation(change, ROWS, COLS)
    return mean, deviation


@kernel
def hottest(image: NDArray[np.float64], best: NDArray[np.float64]) -> tuple[float, float]:
    """Return the hottest pixel and the mean of the 8 hottest (°C); NaN without a valid pixel.

    `best` is scratch of PROXY_PIXELS values.
    """
    filled = 0
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            value = image[r, c]
            if math.isnan(value):
                continue
            if filled < PROXY_PIXELS:
                position = filled
                filled += 1
            elif value > best[PROXY_PIXELS - 1]:
                position = PROXY_PIXELS - 1
            else:
                continue
            while position > 0 and best[position - 1] < value:
                best[position] = best[position - 1]
                position -= 1
            best[position] = value
    if filled == 0:
        return math.nan, math.nan
    total = 0.0
    for k in range(filled):
        total += best[k]
    return best[0], total / filled


@kernel
def image_features(
    full: NDArray[np.float64],
    small: NDArray[np.float64],
    before: NDArray[np.float64],
    out: NDArray[np.float64],
    work: NDArray[np.float64],
    stack: NDArray[np.int64],
    seen: NDArray[np.uint8],
) -> None:
    """Write features 1 to 13 of a clean image into `out` (13 values), NaN where not computable.

    Parameters
    ----------
    full
        The clean image at full resolution (°C).
    small
        The image reduced to (24, 32).
    before
        The reduced image 0.25 s before; its first pixel column all NaN is no special case, an
        image of NaN alone gives NaN differences and flow.
    out
        t_mean .. flow_mag_std, tproxy_val in table order.
    work
        Scratch of WORK_SHAPE, zero at first.
    stack, seen
        Scratch: int64 (768,), uint8 (24, 32).

    """
    out[:] = math.nan
    count, out[0], out[1] = mean_and_deviation(small, ROWS, COLS)
    if count == 0:
        return
    n = 0
    values = work[0].reshape(work[0].size)
    for r in range(ROWS):
        for c in range(COLS):
            values[n] = small[r, c]
            n += 0 if math.isnan(small[r, c]) else 1
    median = quantile(values, n, 0.5)
    out[3] = quantile(values, n, 0.95, (n - 1) // 2)
    hot_limit = median + HOT_ABOVE_MEDIAN_C
    if hot_limit < HOT_MIN_C:
        hot_limit = HOT_MIN_C
    hot, largest = largest_region(small, hot_limit, stack, seen)
    out[4] = 100.0 * hot / n
    out[5] = 100.0 * largest / n
    out[6], out[7] = gradient_magnitude(small, work[0], work[1])
    out[8], out[9] = difference(before, small, work[0])
    if not math.isnan(out[8]):
        out[10], out[11] = flow_magnitude(before, small, work)
    out[2], out[12] = hottest(full, work[0, 0, :PROXY_PIXELS])
