"""Scores to levels: k of the last n seconds confirm, a quiet minute releases."""

import math
from collections import deque
from dataclasses import dataclass, field

from firedetect.contract.level import Level
from firedetect.contract.settings import DecisionSettings

NS_PER_S = 1_000_000_000
_SECONDS = 8
"""The longest window that settings allow."""


@dataclass(slots=True)
class ScoreLevel:
    """Folds scores on a one-second grid of event time; each second takes its highest score.

    Seconds without a score count neither for a level nor for its release: what is unknown is
    never taken for normal.
    """

    settings: DecisionSettings
    level: Level = Level.NORMAL
    _seconds: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_SECONDS))
    _quiet_s: dict[Level, int] = field(default_factory=dict)

    def fold(self, t_ns: int, score: float) -> Level:
        """Fold one score (0 to 1, NaN for none) and return the level that scores confirm."""
        second = t_ns // NS_PER_S
        if math.isnan(score):
            return self.level
        if self._seconds and self._seconds[-1][0] == second:
            score = max(score, self._seconds[-1][1])
            self._seconds[-1] = (second, score)
        else:
            if self._seconds:
                self._finish(self._seconds[-1][1])
            self._seconds.append((second, score))
        confirmed = self.confirmed(second)
        if confirmed > self.level:
            self.level = confirmed
            self._quiet_s.clear()
        else:
            self._release()
        return self.level

    def confirmed(self, second: int) -> Level:
        """Return the highest level that k of the last n seconds reached, without any holding."""
        for level in (Level.EMERGENCY, Level.ALERT, Level.WARNING, Level.INFORMATIONAL):
            need = self.settings.confirm
            if level is Level.EMERGENCY:
                need = self.settings.confirm_emergency
            reached = sum(
                1
                for when, score in self._seconds
                if second - when < need.n and score >= self._threshold(level)
            )
            if reached >= need.k:
                return level
        return Level.NORMAL

    def still_high(self, t_ns: int) -> bool:
        """Whether any of the last n seconds reached a latching level."""
        second = t_ns // NS_PER_S
        limit = self._threshold(Level.ALERT)
        window = max(self.settings.confirm.n, self.settings.confirm_emergency.n)
        return any(second - when < window and score >= limit for when, score in self._seconds)

    def reset(self, t_ns: int) -> None:
        """Forget what is being held: the level is what the last seconds confirm."""
        self.level = self.confirmed(t_ns // NS_PER_S)
        self._quiet_s.clear()

    def _threshold(self, level: Level) -> float:
        return float(getattr(self.settings.thresholds, level.label))

    def _finish(self, highest: float) -> None:
        """Count a finished second as quiet for every level that it lies clearly below."""
        for level in Level:
            if level is Level.NORMAL:
                continue
            threshold = self._threshold(level)
            # Half of a low threshold: with more no score could ever end its level.
            if highest < threshold - min(self.settings.hysteresis, threshold / 2.0):
                self._quiet_s[level] = self._quiet_s.get(level, 0) + 1
            else:
                self._quiet_s[level] = 0

    def _release(self) -> None:
        while (
            self.level is not Level.NORMAL
            and self._quiet_s.get(self.level, 0) >= self.settings.hold_s
        ):
            self.level = Level(self.level - 1)
