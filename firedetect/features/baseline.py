"""Clean-air baseline of gas signals: learnt once, then followed slowly and within bounds.

Works on logarithms, so that a rate in per cent means the same at every level.
"""

import math
from dataclasses import dataclass, field

LEARN_S = 60.0
LEARN_MIN_SAMPLES = 10
"""Without a commissioned baseline it is the median of the first minute; provisional values are
used as soon as ten samples are there."""
DRIFT_PER_S = math.log(1.02) / 3600.0
"""It follows slow drift by at most 2 % an hour, and only in quiet air."""
DRIFT_GAP_S = 15.0
DRIFT_LIMIT = math.log(1.5)
"""At most 50 % away from the commissioned value; beyond it the sensor needs attention."""
NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class CleanAirBaseline:
    """Baseline of one or more signals that belong together, as natural logarithms.

    `falls` is for a concentration that no air is cleaner of than clean air: what lies below the
    bound proves that the commissioned value was none, and takes it along.
    """

    commissioned: tuple[float, ...] | None = None
    tracked: tuple[float, ...] | None = None
    falls: bool = False
    _learnt: list[tuple[float, ...]] = field(default_factory=list)
    _learn_from_ns: int | None = None
    _last_ns: int | None = None

    @property
    def learning(self) -> bool:
        """Whether no baseline was commissioned or learnt to its end yet."""
        return self.commissioned is None

    @property
    def exhausted(self) -> bool:
        """Whether the baseline has drifted as far as it may."""
        if self.commissioned is None or self.tracked is None:
            return False
        return any(
            abs(now - then) >= DRIFT_LIMIT - 1e-9
            for now, then in zip(self.tracked, self.commissioned, strict=True)
        )

    def commission(
        self, commissioned: tuple[float, ...], tracked: tuple[float, ...] | None = None
    ) -> None:
        """Use a stored baseline, and where its drift had taken it."""
        self.commissioned = commissioned
        self.tracked = tracked or commissioned
        self._learnt.clear()

    def add(self, t_ns: int, logs: tuple[float, ...], *, quiet: bool) -> None:
        """Fold one sample; signals that are NaN teach nothing."""
        if self.learning:
            self._learn(t_ns, logs)
        elif quiet:
            self._drift(t_ns, logs)
        self._last_ns = t_ns

    def _learn(self, t_ns: int, logs: tuple[float, ...]) -> None:
        if any(math.isnan(value) for value in logs):
            return
        if self._learn_from_ns is None:
            self._learn_from_ns = t_ns
        self._learnt.append(logs)
        if len(self._learnt) < LEARN_MIN_SAMPLES:
            return
        middle = len(self._learnt) // 2
        self.tracked = tuple(sorted(signal)[middle] for signal in zip(*self._learnt, strict=True))
        if t_ns - self._learn_from_ns >= LEARN_S * NS_PER_S:
            self.commission(self.tracked)

    def _drift(self, t_ns: int, logs: tuple[float, ...]) -> None:
        if self.tracked is None or self.commissioned is None or self._last_ns is None:
            return
        # Over an outage nobody saw the drift: it is followed from here on.
        step = DRIFT_PER_S * min((t_ns - self._last_ns) / NS_PER_S, DRIFT_GAP_S)
        self.tracked = tuple(
            now if math.isnan(log) else _bounded(now + _clip(log - now, step), then)
            for now, then, log in zip(self.tracked, self.commissioned, logs, strict=True)
        )
        if self.falls:
            pairs = zip(self.commissioned, self.tracked, strict=True)
            self.commissioned = tuple(min(then, now) for then, now in pairs)


def _clip(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


def _bounded(value: float, centre: float) -> float:
    return min(max(value, centre - DRIFT_LIMIT), centre + DRIFT_LIMIT)
