"""Hides places that may be hot, as far as they are no hotter than was approved."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.vector import COLS, ROWS

EXPIRES_DAYS: Final = 90
_DAY_NS: Final = 86_400 * 1_000_000_000
NOTHING: Final[NDArray[np.float64]] = np.empty(0)


class HotMask:
    """The mask that was approved; `trouble` says why it is not in force."""

    def __init__(self) -> None:
        self.trouble = ""
        self._limit_c: NDArray[np.float32] | None = None
        self._in_force = False
        self._approved_ns = 0

    def approve(self, limit_c: NDArray[np.float32], approved_wall_ns: int, wall_ns: int) -> None:
        """Use a mask: °C of shape (24, 32), NaN where nothing may be hot; see `age`."""
        self._limit_c = limit_c
        self._approved_ns = approved_wall_ns
        self.age(wall_ns)

    def age(self, wall_ns: int) -> None:
        """Use no mask that is too old; nor one of the future, until the clock is set right."""
        if self._limit_c is None:
            return
        age_ns = wall_ns - self._approved_ns
        self._in_force = 0 <= age_ns < EXPIRES_DAYS * _DAY_NS
        if self._in_force:
            self.trouble = ""
        else:
            self.trouble = "mask:expired" if age_ns > 0 else "mask:approved-in-the-future"

    def hide(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make what is allowed NaN, in place; return the values (°C) that were hidden."""
        if self._limit_c is None or not self._in_force:
            return NOTHING
        hidden = image <= self._limits(image.shape)
        values = image[hidden]
        image[hidden] = np.nan
        return values

    def _limits(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        assert self._limit_c is not None  # noqa: S101 - asked by the caller
        if shape == (ROWS, COLS):
            return self._limit_c
        block = np.ones((shape[0] // ROWS, shape[1] // COLS), np.float32)
        return np.kron(self._limit_c, block)
