"""Films that have gone deaf: how much each moves from day to day, against its first weeks.

A film poisoned by silicone or sulphur keeps its counts in clean air and its noise, and answers to
gas no more. What a room does every day (people, cooking, cleaning) then moves it less than before.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from firedetect.readings import FilmActivity

NS_PER_S = 1_000_000_000

CELL_S: Final = 300
"""Means over so long: the noise of single readings is gone, what a room does is not."""
DAY_CELLS: Final = 288
"""A day of readings, whatever restarts lie in between."""
REFERENCE_DAYS: Final = 14
"""The first two weeks are what later ones are compared with."""
RECENT_DAYS: Final = 28
DEAF_DAYS: Final = 15
"""More than half of four weeks: two weeks of holidays are no poison."""
ACTIVITY_MIN: Final = 0.02
"""Below 2 % a day (deviation of the ratio) a place is too quiet to tell anything of a film."""
DEAF_SHARE: Final = 0.2
"""Seasons and habits move a film half or twice as much; a poisoned one answers with a tenth."""


@dataclass(slots=True)
class FilmMonitor:
    """Folds ratios to clean air; `deaf` lists the films that move far less than they did."""

    deaf: tuple[int, ...] = ()
    _cell: int = -1
    _sums: list[float] = field(default_factory=list)
    _samples: int = 0
    _cells: int = 0
    _mean: tuple[float, ...] = ()
    _squares: tuple[float, ...] = ()
    _days: list[tuple[float, ...]] = field(default_factory=list)
    _reference: tuple[float, ...] = ()

    def add(self, t_ns: int, ratios: Sequence[float]) -> None:
        """Fold one reading, ln(R0/Rs) of each film; one with a NaN teaches nothing."""
        if any(math.isnan(ratio) for ratio in ratios):
            return
        cell = t_ns // (CELL_S * NS_PER_S)
        if cell != self._cell:
            self._complete()
            self._cell, self._sums, self._samples = cell, [0.0] * len(ratios), 0
        self._sums = [total + ratio for total, ratio in zip(self._sums, ratios, strict=True)]
        self._samples += 1

    def begin(self) -> None:
        """Forget everything: there is another board, or it hangs in another place."""
        self.restore(FilmActivity())

    def restore(self, known: FilmActivity) -> None:
        """Go on with what was stored."""
        self._cell, self._samples = -1, 0
        self._reference, self._days = known.reference, list(known.days)
        self._cells, self._mean, self._squares = known.cells, known.mean, known.squares
        self._judge()

    def stored(self) -> FilmActivity | None:
        """Return what must survive a restart, None while there is nothing."""
        if not (self._cells or self._days or self._reference):
            return None
        return FilmActivity(
            self._reference, tuple(self._days), self._cells, self._mean, self._squares
        )

    def _complete(self) -> None:
        """End a cell, the day that it ends, and what ends with that day."""
        if self._samples == 0:
            return
        self._fold(tuple(total / self._samples for total in self._sums))
        if self._cells < DAY_CELLS:
            return
        self._days.append(tuple(round(math.sqrt(one / self._cells), 6) for one in self._squares))
        self._cells = 0
        if not self._reference:
            if len(self._days) == REFERENCE_DAYS:
                self._reference, self._days = _typical(self._days), []
            return
        self._days = self._days[-RECENT_DAYS:]
        self._judge()

    def _fold(self, cell: tuple[float, ...]) -> None:
        """Add a cell to mean and squared deviations of its day (Welford)."""
        if self._cells == 0:
            self._mean = self._squares = (0.0,) * len(cell)
        self._cells += 1
        off = [value - mean for value, mean in zip(cell, self._mean, strict=True)]
        self._mean = tuple(
            mean + one / self._cells for mean, one in zip(self._mean, off, strict=True)
        )
        self._squares = tuple(
            square + one * (value - mean)
            for square, one, value, mean in zip(self._squares, off, cell, self._mean, strict=True)
        )

    def _judge(self) -> None:
        self.deaf = tuple(
            film
            for film, then in enumerate(self._reference)
            if then >= ACTIVITY_MIN
            and sum(day[film] < DEAF_SHARE * then for day in self._days) >= DEAF_DAYS
        )


def _typical(days: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return for each film the median of its days: one party and one empty day say nothing."""
    return tuple(statistics.median(film) for film in zip(*days, strict=True))
