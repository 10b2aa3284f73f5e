"""Films alone: without an image and without CO2, an alert by score takes two minutes.

Odours of food at a few centimetres move the four films as a smoulder does, and only heat or CO2
tells them apart (of 250 real recordings of odours four reach an alert's score, for 80 s of 120 at
most). What films alone see is a warning at once; a smoulder grows for far longer than it waits.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.vector import INDEX

NS_PER_S: Final = 1_000_000_000
SUSTAINED_S: Final = 90
WINDOW_S: Final = 120
"""So many seconds of the last ones must reach an alert's score."""

_HOTTEST, _CO2 = INDEX["t_max"], INDEX["co2_excess_ppm"]


def films_alone(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return for each of rows (n, 27) whether it has neither image nor CO2."""
    alone: NDArray[np.bool_] = np.isnan(rows[:, _HOTTEST]) & np.isnan(rows[:, _CO2])
    return alone


@dataclass(slots=True)
class FilmsAlone:
    """Folds rows and scores; `not_yet` tells whether an alert by score has to wait."""

    _alone: bool = False
    _seconds: deque[int] = field(default_factory=deque)

    def see(self, row: NDArray[np.floating]) -> None:
        """Fold one row (27,)."""
        self._alone = math.isnan(row[_HOTTEST]) and math.isnan(row[_CO2])

    def count(self, t_ns: int, score: float, alert_score: float) -> None:
        """Fold one score (NaN for none), whatever it is made of."""
        second = t_ns // NS_PER_S
        if score >= alert_score and (not self._seconds or self._seconds[-1] != second):
            self._seconds.append(second)
        while self._seconds and second - self._seconds[0] >= WINDOW_S:
            self._seconds.popleft()

    @property
    def not_yet(self) -> bool:
        """Whether only films speak, and not for long enough."""
        return self._alone and len(self._seconds) < SUSTAINED_S
