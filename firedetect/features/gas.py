"""Raw counts of the Grove films turned into log ratios to clean air and the fire-gas index.

The board delivers 10-bit counts of a voltage divider, not concentrations; boards differ by
hundreds of counts, so only the ratio to the board's own clean-air baseline means anything.
"""

import math
from collections import deque

from firedetect.config import GasBaseline
from firedetect.features.baseline import NS_PER_S, CleanAirBaseline
from firedetect.features.common_mode import CommonMode
from firedetect.features.poisoning import FilmMonitor
from firedetect.features.vector import CLEAN_AIR_INDEX, INDEX_PER_LOG_RATIO, INDEX_WEIGHTS

FILMS = ("no2", "c2h5oh", "voc", "co")
FULL_SCALE = 1023.0
WARM_UP_S = 180.0
"""After power-up the films are in their heating transient: no value."""
FROZEN_S = 600.0
"""Real films move by 0.3 to 0.5 counts rms: the same four counts for so long are no reading."""
_GLITCH_WINDOW = 3
_EXPONENT_MAX = 700.0
_UNKNOWN = (math.nan,) * len(FILMS)


def log_resistance(counts: float) -> float:
    """Return ln(Rs/RL) of a film from its counts; NaN at the rails, where nothing is known.

    The divider gives counts = 1023·RL/(RL + Rs).
    """
    if not 0.0 < counts < FULL_SCALE:
        return math.nan
    return math.log((FULL_SCALE - counts) / counts)


def counts_at(log_rs: float) -> float:
    """Return the counts of a film whose ln(Rs/RL) is `log_rs`."""
    return FULL_SCALE / (1.0 + math.exp(log_rs))


class GasFilms:
    """Glitch filter, warm-up, baseline and log ratios of the four films.

    `ratios` are ln(R0/Rs) in the order of FILMS, NaN while unknown; `index` is the fire-gas index
    (400 in clean air) or NaN.
    """

    def __init__(self) -> None:
        self.ratios: tuple[float, ...] = _UNKNOWN
        self.index = math.nan
        self.stuck_at_rail = False
        self.frozen = False
        self.clean_air = CleanAirBaseline()
        self.activity = FilmMonitor()
        self._common_mode = CommonMode()
        self._co_curve: tuple[float, float] | None = None
        self._warm_at_ns: int | None = None
        self._same_since: tuple[tuple[float, ...], int] = ((), 0)
        self._recent: deque[tuple[float, ...]] = deque(maxlen=_GLITCH_WINDOW)

    def commission(self, baseline: GasBaseline, tracked: GasBaseline | None = None) -> None:
        """Use a stored clean-air baseline, and where its drift had taken it."""
        self.clean_air.commission(_logs(baseline), _logs(tracked) if tracked else None)
        if baseline.co_a is not None and baseline.co_beta is not None:
            self._co_curve = (baseline.co_a, baseline.co_beta)

    def stored(self) -> tuple[GasBaseline, GasBaseline] | None:
        """Return the commissioned and the tracked baseline as counts, None while learning."""
        air = self.clean_air
        if air.commissioned is None or air.tracked is None:
            return None
        return _baseline(air.commissioned, self._co_curve), _baseline(air.tracked, self._co_curve)

    def powered(self, t_ns: int, powered_s: float) -> None:
        """Note when the board got its power; until 180 s after it every value is NaN."""
        self._warm_at_ns = t_ns + round(max(0.0, WARM_UP_S - powered_s) * NS_PER_S)
        self._recent.clear()

    def warming_up(self, t_ns: int) -> bool:
        """Whether the films are still in their heating transient."""
        return self._warm_at_ns is not None and t_ns < self._warm_at_ns

    def add(self, t_ns: int, counts: tuple[float, ...], *, quiet: bool) -> None:
        """Fold one reading; the baseline drifts only while `quiet` (no score, no heat)."""
        if counts != self._same_since[0]:
            self._same_since = (counts, t_ns)
        self.frozen = t_ns - self._same_since[1] > FROZEN_S * NS_PER_S
        if self.warming_up(t_ns):
            self.forget()
            return
        self._recent.append(counts)
        # The middle of three: one glitch of any size changes nothing.
        filtered = tuple(sorted(film)[len(film) // 2] for film in zip(*self._recent, strict=True))
        self.stuck_at_rail = any(not 0.0 < count < FULL_SCALE for count in filtered)
        logs = tuple(log_resistance(count) for count in filtered)
        fault = self._fault_in_common(t_ns, filtered)
        # What all films do together by a fault is no drift.
        self.clean_air.add(t_ns, logs, quiet=quiet and not fault)
        tracked = self.clean_air.tracked
        if tracked is None or fault:
            self.forget()
            return
        self.ratios = tuple(base - log for base, log in zip(tracked, logs, strict=True))
        self.activity.add(t_ns, self.ratios)
        self.index = CLEAN_AIR_INDEX + INDEX_PER_LOG_RATIO * sum(
            INDEX_WEIGHTS[film] * ratio for film, ratio in zip(FILMS, self.ratios, strict=True)
        )

    @property
    def common_mode(self) -> bool:
        """Whether all films have a fault in common: no heater, no supply."""
        return self._common_mode.seen

    def _fault_in_common(self, t_ns: int, counts: tuple[float, ...]) -> bool:
        tracked = self.clean_air.tracked
        if tracked is None or self.clean_air.learning:
            return False
        return self._common_mode.add(t_ns, counts, tuple(counts_at(log) for log in tracked))

    def forget(self) -> None:
        """Let every value be unknown until the next reading; the baseline stays."""
        self.ratios = _UNKNOWN
        self.index = math.nan

    @property
    def co_ppm(self) -> float:
        """CO concentration, NaN unless a user's span calibration exists."""
        if self._co_curve is None:
            return math.nan
        a, beta = self._co_curve
        # An absurd baseline must not end in an overflow: that would be no judgement at all.
        return a * math.exp(min(self.ratios[FILMS.index("co")] / beta, _EXPONENT_MAX))


def _logs(baseline: GasBaseline) -> tuple[float, ...]:
    return tuple(log_resistance(getattr(baseline, film)) for film in FILMS)


def _baseline(logs: tuple[float, ...], curve: tuple[float, float] | None) -> GasBaseline:
    a, beta = curve or (None, None)
    counts = {film: counts_at(log) for film, log in zip(FILMS, logs, strict=True)}
    return GasBaseline(**counts, co_a=a, co_beta=beta)
