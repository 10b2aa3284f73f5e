"""A fault of all four gas films at once: a heater that is off, a supply that droops."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NS_PER_S = 1_000_000_000

FALL_MIN: Final = 0.15
FALL_OVER: Final = 0.10
"""All counts this far below their clean-air baseline begin it, one of them above that ends it."""
SAME_WITHIN: Final = 2.0
"""The largest fall is at most so many times the smallest. What air does to the resistances of all
films, by humidity or warmth, moves the counts of the film for CO, at three quarters of its range,
about a third as much as those of the others."""
HOLD_S: Final = 10.0


@dataclass(slots=True)
class CommonMode:
    """Folds the falls of the films; `seen` while they have a fault in common.

    Fire gas and fumes lower resistances, so counts rise; nitrogen dioxide lowers the counts of its
    own film. No gas of a fire lowers the counts of all four below those in clean air.
    """

    seen: bool = False
    _since_ns: int | None = None

    def add(self, t_ns: int, counts: Sequence[float], clean: Sequence[float]) -> bool:
        """Fold one reading and the counts in clean air; returns whether this is such a fault."""
        falls = [1.0 - now / then for now, then in zip(counts, clean, strict=True)]
        least = min(falls)
        if self.seen:
            self.seen = least >= FALL_OVER
        elif least < FALL_MIN or max(falls) > SAME_WITHIN * least:
            self._since_ns = None
        else:
            if self._since_ns is None:
                self._since_ns = t_ns
            self.seen = t_ns - self._since_ns >= HOLD_S * NS_PER_S
        if self.seen:
            self._since_ns = None
        return self.seen
