"""Which refresh rate of an MLX90640 fits a bus speed: bits, seconds, nothing else."""

from typing import Final

READ_BYTES: Final = 1664
"""A sub-page, and the EEPROM, too: 832 words in one transfer."""
BITS_PER_BYTE: Final = 9
"""Eight and the acknowledge."""
_FRAME_BITS: Final = 3 + 4 * BITS_PER_BYTE
"""Start, repeated start, stop; the chip's address twice, two bytes of memory address."""
READ_BITS: Final = READ_BYTES * BITS_PER_BYTE + _FRAME_BITS

BUS_SHARE_MAX: Final = 0.7
"""A sub-page may take this part of a period: the array is asked for data in the rest of it."""
REFRESH_HZ: Final = (2, 4, 8, 16, 32)
"""The rates that can be set, in sub-pages a second."""
EEPROM_MAX_HZ: Final = 400_000
"""Its memory of calibration is read no faster, and Linux has one speed for the whole bus."""


def read_s(bus_hz: float) -> float:
    """Return how long a sub-page is on the bus (s)."""
    return READ_BITS / bus_hz


def bus_hz(seconds: float) -> float:
    """Return the speed of a bus on which a sub-page, or the EEPROM, took `seconds`."""
    return READ_BITS / seconds


def needed_bus_hz(refresh_hz: float) -> float:
    """Return the slowest bus on which the sub-pages of a refresh rate fit."""
    return READ_BITS * refresh_hz / BUS_SHARE_MAX


def largest_refresh_hz(bus_hz: float) -> int:
    """Return the highest refresh rate whose sub-pages fit, 0 if none does."""
    limit = BUS_SHARE_MAX / read_s(bus_hz)
    return max((rate for rate in REFRESH_HZ if rate <= limit), default=0)
