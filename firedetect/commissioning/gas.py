"""Takes the clean-air baseline of the gas board, and refuses where the air tells no such thing."""

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median, pstdev

from firedetect.config import GasBaseline
from firedetect.contract.level import Level
from firedetect.features.baseline import DRIFT_LIMIT
from firedetect.features.gas import FILMS, log_resistance
from firedetect.readings import GasCounts

MIN_READINGS = 20
SPREAD_MAX = 0.03
"""Standard deviation over median: more is no steady air."""
DRIFT_MAX = 0.03
"""Last quarter against the first: films that still move are warming, or the air is clearing."""
RAIL_MARGIN = 5.0


@dataclass(slots=True)
class CleanAir:
    """Collects readings; `baseline` says what they give, or why they give nothing."""

    window: int | None = None
    """So many readings count, the newest; None is all."""
    _counts: dict[str, deque[float]] = field(init=False)
    _alarmed: Level = field(default=Level.NORMAL, init=False)

    def __post_init__(self) -> None:
        self._counts = {film: deque(maxlen=self.window) for film in FILMS}

    @property
    def readings(self) -> int:
        """How many whole readings there are."""
        return len(self._counts["no2"])

    def reading(self, counts: GasCounts) -> None:
        """Add a reading; one with a missing film counts as none."""
        values = [getattr(counts, film) for film in FILMS]
        if all(math.isfinite(value) for value in values):
            for film, value in zip(FILMS, values, strict=True):
                self._counts[film].append(value)

    def level(self, level: Level) -> None:
        """Note the detector's level: no baseline is taken while anything is suspected."""
        self._alarmed = max(self._alarmed, level)

    def course(self, film: str) -> list[float]:
        """Return the counts of a film that are taken into account, oldest first."""
        return list(self._counts[film])

    def uncertainty(self, film: str) -> float:
        """Return how far the median may be off (counts).

        Its noise or half of what it drifted, and never less than half a count: they are whole.
        """
        values = self.course(film)
        if len(values) < MIN_READINGS:
            return math.inf
        # The deviation of a median is 1.25 times that of a mean.
        noise = 2.0 * 1.25 * pstdev(_without_glitches(values)) / math.sqrt(len(values))
        first, last = _ends(values)
        return max(noise, abs(last - first) / 2.0, 0.5)

    def baseline(self) -> GasBaseline | str:
        """Return the medians of the films, or why this is no clean-air baseline."""
        if self._alarmed is not Level.NORMAL:
            return f"the level was {self._alarmed.label}: take the baseline in clean air"
        if self.readings < MIN_READINGS:
            return f"{self.readings} readings, at least {MIN_READINGS} are needed"
        for film, values in self._counts.items():
            problem = _problem(list(values))
            if problem:
                return f"{film} {problem}"
        return GasBaseline(**{film: median(values) for film, values in self._counts.items()})


def moved_too_far(present: GasBaseline, new: GasBaseline) -> str:
    """Return which films are further from a baseline than drift may take it, or nothing.

    In either direction: a film that steady fumes hold down and one that has gone deaf both pass
    for clean air once they are the baseline.
    """
    far = []
    for film in FILMS:
        before, after = getattr(present, film), getattr(new, film)
        moved = log_resistance(after) - log_resistance(before)
        if abs(moved) > DRIFT_LIMIT:
            far.append(f"{film} {before:.1f} -> {after:.1f} (resistance x {math.exp(moved):.2f})")
    if not far:
        return ""
    most = math.exp(DRIFT_LIMIT)
    return f"too far from the former baseline, at most x {most:.1f} or / {most:.1f}: " + ", ".join(
        far
    )


def change_of(present: GasBaseline | None, new: GasBaseline) -> str:
    """Return old and new counts of every film on one line."""
    films = []
    for film in FILMS:
        before = "none" if present is None else f"{getattr(present, film):.1f}"
        films.append(f"{film} {before} -> {getattr(new, film):.1f}")
    return ", ".join(films)


def _problem(counted: list[float]) -> str:
    values = _without_glitches(counted)
    middle = median(values)
    if not RAIL_MARGIN < middle < 1023.0 - RAIL_MARGIN:
        return f"is at the end of its range ({middle:.0f} of 1023)"
    if pstdev(values) > SPREAD_MAX * middle:
        return f"is not steady (spread {100 * pstdev(values) / middle:.1f} %)"
    first, last = _ends(values)
    drift = last / first - 1.0
    if abs(drift) > DRIFT_MAX:
        return f"still drifts ({100 * drift:+.1f} %): wait until the board is warm"
    return ""


def _ends(values: list[float]) -> tuple[float, float]:
    """Return the medians of the first and of the last quarter."""
    quarter = max(1, len(values) // 4)
    return median(values[:quarter]), median(values[-quarter:])


def _without_glitches(values: list[float]) -> list[float]:
    """Return the middle of each three, as the films do: one glitch of any size changes nothing."""
    inner = [median(values[k - 1 : k + 2]) for k in range(1, len(values) - 1)]
    return inner or values
