"""A Grove Multichannel Gas Sensor v2: one command byte, then a separate four-byte read."""

import errno
from collections.abc import Callable, Sequence
from typing import TypeAlias

from firedetect.clock import NS_PER_S, Clock

Counts: TypeAlias = tuple[float, float, float, float]
"""NO2, C2H5OH, VOC, CO: raw counts."""

FILM_OF_COMMAND = {0x01: 0, 0x03: 1, 0x05: 2, 0x07: 3}
HEAT, COOL = 0xFE, 0xFF
COUNTS_MAX = 1023


class GroveBoard:
    """Answers with the counts of the time of the command, rounded and clipped to 10 bits.

    `heating` follows the heater commands. Any other command, the change of address among them,
    is kept in `refused` and not acknowledged. `reply` replaces the four bytes while it is set.
    """

    def __init__(self, clock: Clock, counts: Callable[[float], Counts]) -> None:
        self.heating = True
        self.refused: list[int] = []
        self.reply: bytes | None = None
        self._clock = clock
        self._counts = counts
        self._made_ns = clock.monotonic_ns()
        self._value = 0

    def write(self, data: bytes) -> None:
        """Take one command byte."""
        for command in data:
            if command in FILM_OF_COMMAND:
                t_s = (self._clock.monotonic_ns() - self._made_ns) / NS_PER_S
                value = self._counts(t_s)[FILM_OF_COMMAND[command]]
                self._value = min(max(round(value), 0), COUNTS_MAX)
            elif command in (HEAT, COOL):
                self.heating = command == HEAT
            else:
                self.refused.append(command)
                raise OSError(errno.EREMOTEIO, "Remote I/O error")

    def read(self, count: int) -> bytes:
        """Return the counts of the last command, little-endian."""
        reply = self.reply if self.reply is not None else self._value.to_bytes(4, "little")
        return reply.ljust(count, b"\xff")[:count]


def recorded_counts(rows: Sequence[Counts], interval_s: float = 1.0) -> Callable[[float], Counts]:
    """Return counts that play `rows`, one per interval, over and over."""

    def counts(t_s: float) -> Counts:
        return rows[int(t_s / interval_s) % len(rows)]

    return counts
