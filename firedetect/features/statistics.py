"""Kernels of statistics: mean and deviation of an image, order statistics, the robust slope."""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel


@kernel
def mean_and_deviation(
    values: NDArray[np.float64], rows: int, cols: int
) -> tuple[int, float, float]:
    """Return count, mean and population deviation of all but NaN; (0, NaN, NaN) without any.

    Of `values` the first rows and columns count. Each column has its own sum, and these are added
    in order: every machine adds alike, however many numbers its instructions take at once.
    """
    counts = np.zeros(cols)
    sums = np.zeros(cols)
    for r in range(rows):
        row = values[r]
        for c in range(cols):
            known = not math.isnan(row[c])
            counts[c] += 1.0 if known else 0.0
            sums[c] += row[c] if known else 0.0
    count = 0.0
    mean = 0.0
    for c in range(cols):
        count += counts[c]
        mean += sums[c]
    if count == 0.0:
        return 0, math.nan, math.nan
    mean /= count
    sums[:] = 0.0
    for r in range(rows):
        row = values[r]
        for c in range(cols):
            off = row[c] - mean
            sums[c] += 0.0 if math.isnan(off) else off * off
    squares = 0.0
    for c in range(cols):
        squares += sums[c]
    return int(count), mean, math.sqrt(squares / count)


@kernel
def select(values: NDArray[np.float64], low: int, high: int, k: int) -> float:
    """Return what place `k` would hold if the values from `low` to `high` were sorted.

    Quickselect: it reorders them, so that none before `k` is greater and none behind it smaller.
    Its partition swaps always and moves the border by the outcome of the comparison: on noise, a
    branch would be foretold wrongly every second time, which costs more than the swaps.
    """
    while low < high:
        pivot = values[(low + high) // 2]
        first = low
        for i in range(low, high + 1):
            value = values[i]
            values[i] = values[first]
            values[first] = value
            first += value < pivot
        if k < first:
            high = first - 1
            continue
        behind = first
        for i in range(first, high + 1):
            value = values[i]
            values[i] = values[behind]
            values[behind] = value
            behind += value <= pivot
        if k < behind:
            break
        low = behind
    found: float = values[k]
    return found


@kernel
def quantile(values: NDArray[np.float64], n: int, q: float, low: int = 0) -> float:
    """Return quantile `q` of the first n values by linear interpolation; they are reordered.

    After a lower quantile none before its place is greater: `low` spares looking there again.
    """
    position = q * (n - 1)
    below = math.floor(position)
    lower = select(values, low, n - 1, below)
    if below + 1 >= n:
        return lower
    upper: float = values[below + 1]
    for i in range(below + 2, n):
        if values[i] < upper:
            upper = values[i]
    return lower + (position - below) * (upper - lower)


@kernel
def median(values: NDArray[np.float64]) -> float:
    """Return the median of the values, NaN for none; the values stay as they are."""
    n = len(values)
    if n == 0:
        return math.nan
    return quantile(values.copy(), n, 0.5)


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
