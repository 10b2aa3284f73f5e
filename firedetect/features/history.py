"""What the features remember: one-second means with slope and baseline, and the last images."""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.features.jit import kernel
from firedetect.features.statistics import median, theil_sen
from firedetect.features.vector import (
    BASELINE_MIN_SECONDS,
    BASELINE_WINDOW_S,
    COLS,
    GRID_MAX_S,
    GRID_MIN_S,
    GRID_S,
    ROWS,
    SLOPE_MIN_SECONDS,
    SLOPE_WINDOW_S,
)

NS_PER_S = 1_000_000_000
_MAX_FILL_S = 15
"""Seconds between two samples of a slow sensor are interpolated up to this gap."""
_IMAGES = 32
"""Images kept for the 0.25 s comparison: half a second at 64 images/s."""
_STAMP_S = 0.05
"""An array of two images a second asks for data now and then: its time stamps vary by less."""
_NEVER = -(1 << 62)


class SecondMeans:
    """One-second means of a signal; slope over 30 s and median over 10 min of the full seconds.

    Only completed seconds count, so every sample rate means the same. Seconds without a sample
    stay out, except short gaps of a slow sensor (`interpolate`), which are filled linearly.
    """

    def __init__(self, *, interpolate: bool = False) -> None:
        self._interpolate = interpolate
        self._seconds = np.zeros(2 * BASELINE_WINDOW_S)
        self._means = np.zeros(2 * BASELINE_WINDOW_S)
        self._count = 0
        self._open_second = -1
        self._sum = 0.0
        self._n = 0
        self.slope_per_s = math.nan
        """Theil-Sen slope per second, NaN until 10 seconds of the last 30 are there."""
        self.baseline = math.nan
        """Running median of up to 10 min, NaN until 10 seconds are there."""

    def add(self, t_ns: int, value: float) -> None:
        """Add one sample; NaN is skipped."""
        self.advance(t_ns)
        if not math.isnan(value):
            self._sum += value
            self._n += 1

    def advance(self, t_ns: int) -> None:
        """Let time pass: complete the open second when `t_ns` lies behind it."""
        second = t_ns // NS_PER_S
        # A reading that comes just after its second's tick counts for the open second.
        if second <= self._open_second:
            return
        if self._n > 0:
            self._complete(self._open_second, self._sum / self._n)
        self._open_second = second
        self._sum = 0.0
        self._n = 0
        self._refresh()

    def clear(self) -> None:
        """Forget everything: the signal has another meaning from now on."""
        self._count = 0
        self._n = 0
        self._sum = 0.0
        self.slope_per_s = math.nan
        self.baseline = math.nan

    def _complete(self, second: int, mean: float) -> None:
        if self._interpolate and self._count > 0:
            last_second = int(self._seconds[self._count - 1])
            last_mean = self._means[self._count - 1]
            gap = second - last_second
            if 1 < gap <= _MAX_FILL_S:
                for step in range(1, gap):
                    self._append(last_second + step, last_mean + (mean - last_mean) * step / gap)
        self._append(second, mean)

    def _append(self, second: float, mean: float) -> None:
        if self._count == len(self._seconds):
            half = self._count - BASELINE_WINDOW_S
            self._seconds[:BASELINE_WINDOW_S] = self._seconds[half:]
            self._means[:BASELINE_WINDOW_S] = self._means[half:]
            self._count = BASELINE_WINDOW_S
        self._seconds[self._count] = second
        self._means[self._count] = mean
        self._count += 1

    def _refresh(self) -> None:
        self.slope_per_s, self.baseline = slope_and_baseline(
            self._seconds, self._means, self._count, self._open_second
        )


@kernel
def slope_and_baseline(
    seconds: NDArray[np.float64], means: NDArray[np.float64], count: int, now: int
) -> tuple[float, float]:
    """Return slope and median of the newest of `count` means, NaN with too few in their window.

    One call for both: what surrounds a kernel's call takes as long as this work.
    """
    first = count
    while first > 0 and seconds[first - 1] >= now - SLOPE_WINDOW_S:
        first -= 1
    slope = math.nan
    if count - first >= SLOPE_MIN_SECONDS:
        slope = theil_sen(seconds[first:count], means[first:count])
    while first > 0 and seconds[first - 1] >= now - BASELINE_WINDOW_S:
        first -= 1
    baseline = math.nan
    if count - first >= BASELINE_MIN_SECONDS:
        baseline = median(means[first:count])
    return slope, baseline


class ImageHistory:
    """The reduced images of the last half second, to find the one nearest to 0.25 s ago."""

    def __init__(self) -> None:
        self._images = np.full((_IMAGES, ROWS, COLS), np.nan)
        self._t_ns = [_NEVER] * _IMAGES
        self._next = 0
        self._nothing = np.full((ROWS, COLS), np.nan)

    def before(self, t_ns: int) -> NDArray[np.float64]:
        """Return the image nearest to 0.25 s before `t_ns`; all NaN if none is 1/8 to 1/2 s old.

        What time stamps vary by does not make one too old.
        """
        nearest, off_s = 0, math.inf
        for back in range(1, _IMAGES + 1):
            at = (self._next - back) % _IMAGES
            off = abs((t_ns - self._t_ns[at]) / NS_PER_S - GRID_S)
            if off >= off_s:
                break
            nearest, off_s = at, off
        if GRID_MIN_S <= (t_ns - self._t_ns[nearest]) / NS_PER_S <= GRID_MAX_S + _STAMP_S:
            image: NDArray[np.float64] = self._images[nearest]
            return image
        return self._nothing

    def add(self, t_ns: int, small: NDArray[np.float64]) -> None:
        """Remember an image (24, 32)."""
        newest = self._t_ns[self._next - 1]
        # Faster sources than the ring can hold keep only every image on a 1/64 s grid.
        if 0 <= t_ns - newest < NS_PER_S // 64:
            return
        self._images[self._next] = small
        self._t_ns[self._next] = t_ns
        self._next = (self._next + 1) % _IMAGES

    def clear(self) -> None:
        """Forget every image."""
        self._t_ns = [_NEVER] * _IMAGES
