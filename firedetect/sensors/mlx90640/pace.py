"""Which refresh rate an array runs at: the one that is set, else the highest that fits its bus."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from firedetect.errors import BusSlowError
from firedetect.sensors.mlx90640 import rate

TROUBLE: Final = "thermal-rate"
"""The name of the trouble while an array runs slower than it is set to."""
SLOW_READS: Final = 5
"""So many reads in a row too long for the running rate: the bus is measured anew. A busy machine
makes single ones long."""
FAST_READS: Final = 8
FAST_READS_MAX: Final = 1024
"""So many reads in a row short enough for a higher rate: it is tried, after each time with twice as
many, so that a bus at the limit does not change its rate all the time."""
FAST_MARGIN: Final = 0.9
"""A higher rate has to fit with this much of what it may take."""
USUAL_BUS: Final = "set the bus to 400 kHz"


class Pace:
    """Folds how long reads of 832 words took (s); `running_hz` is what they allow."""

    def __init__(self, set_hz: int) -> None:
        self.set_hz = set_hz
        self.running_hz = set_hz
        self._bus_hz = 0.0
        self._needed = FAST_READS
        self._recent: deque[float] = deque(maxlen=FAST_READS_MAX)

    def fits(self, took_s: float) -> bool:
        """Whether the rate that is set fits a bus on which one read takes so long."""
        return self._allowed_hz(took_s) >= self.set_hz

    def measured(self, took_s: Iterable[float]) -> None:
        """Choose the rate by the shortest of some reads; raises BusSlowError if none fits.

        Whatever else the machine and the bus do can only make a read longer.
        """
        shortest_s = min(took_s)
        self._recent.clear()
        self._bus_hz = rate.bus_hz(shortest_s)
        allowed_hz = self._allowed_hz(shortest_s)
        if not allowed_hz:
            raise BusSlowError(
                f"thermal: {self._speed}, even {rate.REFRESH_HZ[0]} Hz needs "
                f"{_khz(rate.needed_bus_hz(rate.REFRESH_HZ[0]))}: {USUAL_BUS}"
            )
        self.running_hz = allowed_hz

    def changed(self, took_s: float) -> bool:
        """Fold one read; whether the last ones ask for another rate than the running one."""
        self._recent.append(took_s)
        if len(self._recent) >= SLOW_READS:
            last = list(self._recent)[-SLOW_READS:]
            if all(self._allowed_hz(one) < self.running_hz for one in last):
                return True
        if self.running_hz == self.set_hz or len(self._recent) < self._needed:
            return False
        last = list(self._recent)[-self._needed :]
        if all(self._allowed_hz(one / FAST_MARGIN) > self.running_hz for one in last):
            self._needed = min(2 * self._needed, FAST_READS_MAX)
            return True
        return False

    @property
    def trouble(self) -> str:
        """Why the array runs slower than it is set to and what helps; empty if it does not."""
        if self.running_hz == self.set_hz:
            return ""
        needed_hz = rate.needed_bus_hz(self.set_hz)
        ways = [USUAL_BUS] if needed_hz <= rate.EEPROM_MAX_HZ else []
        ways += [f"set thermal.refresh_hz = {self.running_hz}"]
        return (
            f"{self.running_hz} Hz instead of {self.set_hz} Hz: {self._speed}, {self.set_hz} Hz "
            f"needs {_khz(needed_hz)}: {', or '.join(ways)}"
        )

    @property
    def _speed(self) -> str:
        return f"the bus was measured at {_khz(self._bus_hz)}"

    def _allowed_hz(self, took_s: float) -> int:
        return min(self.set_hz, rate.largest_refresh_hz(rate.bus_hz(took_s)))


def _khz(hertz: float) -> str:
    return f"{hertz / 1e3:.0f} kHz"
