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
    """
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
