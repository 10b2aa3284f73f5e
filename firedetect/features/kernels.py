"""Kernels over one thermal image: cleaning, reduction, the 12 spatial and temporal features.

Missing pixels are NaN, are skipped first, and compared with `if value > best`: `max` would lose
the hottest pixel when a NaN follows it. Sums run in float64 in a fixed order.
"""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.features.flow import flow_magnitude
from firedetect.features.jit import kernel
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
def select(values: NDArray[np.float64], n: int, k: int) -> float:
    """Return the k-th smallest (from 0) of the first n values; quickselect reorders them."""
    low = 0
    high = n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i = low
        j = high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                swap = values[i]
                values[i] = values[j]
                values[j] = swap
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    found: float = values[k]
    return found


@kernel
def quantile(values: NDArray[np.float64], n: int, q: float) -> float:
    """Return quantile `q` of the first n values by linear interpolation; they are reordered."""
    position = q * (n - 1)
    below = math.floor(position)
    lower = select(values, n, below)
    if below + 1 >= n:
        return lower
    upper: float = values[below + 1]
    for i in range(below + 2, n):
        if values[i] < upper:
            upper = values[i]
    return lower + (position - below) * (upper - lower)


@kernel
def largest_region(
    image: NDArray[np.float64], limit_c: float, stack: NDArray[np.int64], seen: NDArray[np.uint8]
) -> tuple[int, int]:
    """Return how many pixels reach `limit_c`, and the size of their largest 8-connected region.

    `stack` and `seen` are scratch of as many elements as the image has.
    """
    rows, cols = image.shape
    seen[:] = 0
    total = 0
    largest = 0
    for start in range(rows * cols):
        if seen[start] or not image[start // cols, start % cols] >= limit_c:
            continue
        seen[start] = 1
        stack[0] = start
        depth = 1
        size = 0
        while depth > 0:
            depth -= 1
            r, c = stack[depth] // cols, stack[depth] % cols
            size += 1
            for i in range(max(r - 1, 0), min(r + 2, rows)):
                for j in range(max(c - 1, 0), min(c + 2, cols)):
                    if not seen[i * cols + j] and image[i, j] >= limit_c:
                        seen[i * cols + j] = 1
                        stack[depth] = i * cols + j
                        depth += 1
        total += size
        if size > largest:
            largest = size
    return total, largest


@kernel
def gradient_magnitude(image: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and population deviation of the Sobel magnitude (°C/px), NaN without any.

    The border is reflected (which for 3x3 repeats the edge pixel); a pixel with a NaN in its
    neighbourhood has no gradient and is skipped.
    """
    rows, cols = image.shape
    count = 0
    total = 0.0
    squares = 0.0
    for r in range(rows):
        up, down = max(r - 1, 0), min(r + 1, rows - 1)
        for c in range(cols):
            left, right = max(c - 1, 0), min(c + 1, cols - 1)
            a, b, d = image[up, left], image[up, c], image[up, right]
            e, g = image[r, left], image[r, right]
            h, i, j = image[down, left], image[down, c], image[down, right]
            gx = (d + 2.0 * g + j - a - 2.0 * e - h) / 8.0
            gy = (h + 2.0 * i + j - a - 2.0 * b - d) / 8.0
            magnitude = math.sqrt(gx * gx + gy * gy)
            if math.isnan(magnitude + image[r, c]):
                continue
            count += 1
            # Welford: one pass without the cancellation of a sum of squares.
            step = magnitude - total
            total += step / count
            squares += step * (magnitude - total)
    if count == 0:
        return math.nan, math.nan
    return total, math.sqrt(squares / count)


@kernel
def difference(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and population deviation of |after - before| (°C) where both are valid."""
    count = 0
    mean = 0.0
    squares = 0.0
    for r in range(after.shape[0]):
        for c in range(after.shape[1]):
            change = abs(after[r, c] - before[r, c])
            if math.isnan(change):
                continue
            count += 1
            step = change - mean
            mean += step / count
            squares += step * (change - mean)
    if count == 0:
        return math.nan, math.nan
    return mean, math.sqrt(squares / count)


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
    work, stack, seen
        Scratch: float64 (2, 5, 24, 32), int64 (768,), uint8 (768,).

    """
    out[:] = math.nan
    values = work[1, 0].reshape(ROWS * COLS)
    n = 0
    mean = 0.0
    squares = 0.0
    for r in range(ROWS):
        for c in range(COLS):
            value = small[r, c]
            if math.isnan(value):
                continue
            values[n] = value
            n += 1
            step = value - mean
            mean += step / n
            squares += step * (value - mean)
    if n == 0:
        return
    out[0] = mean
    out[1] = math.sqrt(squares / n)
    median = quantile(values, n, 0.5)
    out[3] = quantile(values, n, 0.95)
    hot_limit = median + HOT_ABOVE_MEDIAN_C
    if hot_limit < HOT_MIN_C:
        hot_limit = HOT_MIN_C
    hot, largest = largest_region(small, hot_limit, stack, seen)
    out[4] = 100.0 * hot / n
    out[5] = 100.0 * largest / n
    out[6], out[7] = gradient_magnitude(small)
    out[8], out[9] = difference(before, small)
    if not math.isnan(out[8]):
        out[10], out[11] = flow_magnitude(before, small, work)
    out[2], out[12] = hottest(full, work[0, 0, 0, :PROXY_PIXELS])


@kernel
def theil_sen(seconds: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the median of the slopes of all pairs (value per second), NaN for fewer than two."""
    n = len(values)
    slopes = np.empty(max(n * (n - 1) // 2, 1))
    count = 0
    for i in range(n):
        for j in range(i + 1, n):
            slopes[count] = (values[j] - values[i]) / (seconds[j] - seconds[i])
            count += 1
    if count == 0:
        return math.nan
    return quantile(slopes, count, 0.5)


@kernel
def median(values: NDArray[np.float64]) -> float:
    """Return the median of the values, NaN for none; the values stay as they are."""
    n = len(values)
    if n == 0:
        return math.nan
    return quantile(values.copy(), n, 0.5)
