"""Notices a lens that sees nothing any more: the picture has gone flat, and stays so.

Judged on one-minute means, so that the noise of single images says nothing, and against what the
place looked like at the commissioning: some walls are flat.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

NS_PER_S: Final = 1_000_000_000
FLAT_C: Final = 0.2
"""Spatial deviation of a mean image; noise leaves 0.02 of it."""
FLAT_MINUTES: Final = 30
STRUCTURED_C: Final = 0.4
"""A scene that was flatter than this at the commissioning cannot tell."""
_WINDOW_NS: Final = 60 * NS_PER_S
_WINDOW_COVERED_NS: Final = 20 * NS_PER_S
"""A lens that is free again is told within a minute."""


class Obstruction:
    """Folds images; `seen` says whether the lens looks covered."""

    def __init__(self) -> None:
        self.seen = False
        self._commissioned_c = math.nan
        self._flat_minutes = 0
        self._sum: NDArray[np.float64] | None = None
        self._count = 0
        self._began_ns: int | None = None
        self._taken_ns = 0

    def commission(self, spread_c: float) -> None:
        """Note the spatial deviation of the scene (°C) when all was well, NaN if unknown."""
        self._commissioned_c = spread_c

    def image(self, t_ns: int, image_c: NDArray[np.float64]) -> None:
        """Take an image of shape (24, 32), °C; one a second is enough."""
        if not self._commissioned_c >= STRUCTURED_C:
            self.seen = False
            return
        if self._sum is None or self._began_ns is None:
            self._begin(t_ns, image_c)
            return
        window_ns = _WINDOW_COVERED_NS if self.seen else _WINDOW_NS
        if t_ns - self._began_ns >= window_ns:
            self._judge(self._sum / self._count)
            self._begin(t_ns, image_c)
        elif t_ns - self._taken_ns >= NS_PER_S:
            self._taken_ns = t_ns
            self._sum += image_c
            self._count += 1

    def _begin(self, t_ns: int, image_c: NDArray[np.float64]) -> None:
        self._began_ns = self._taken_ns = t_ns
        self._sum, self._count = image_c.copy(), 1

    def _judge(self, mean_c: NDArray[np.float64]) -> None:
        valid = mean_c[~np.isnan(mean_c)]
        flat = valid.size > 0 and float(valid.std()) < FLAT_C
        self._flat_minutes = self._flat_minutes + 1 if flat else 0
        self.seen = self._flat_minutes >= FLAT_MINUTES
