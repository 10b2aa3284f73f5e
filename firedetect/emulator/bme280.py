"""A BME280 by its registers: sleep and forced mode, raw words that mean the wanted air.

The words are found by bisection of the integer formulas of the data sheet (section 4.2.3), which
share nothing with the ones in double precision that the driver uses.
"""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from firedetect.clock import NS_PER_S, Clock

Air: TypeAlias = tuple[float, float, float]
"""Temperature (°C), relative humidity (%), pressure (hPa)."""

IDENTITY: Final = 0x60
IDENTITY_AT, RESET_AT = 0xD0, 0xE0
CONTROL_HUMIDITY_AT, STATUS_AT, CONTROL_AT, DATA_AT = 0xF2, 0xF3, 0xF4, 0xF7
RESET_CODE: Final = 0xB6
START_UP_S: Final = 0.002
MODE_MASK, SLEEP = 0x03, 0x00
COPYING, MEASURING = 0x01, 0x08
MAX_20_BITS, MAX_16_BITS = 0xFFFFF, 0xFFFF
SKIPPED_DATA: Final = b"\x80\0\0\x80\0\0\x80\0"


class Trim(NamedTuple):
    """The calibration words, in the order of the memory but for H1."""

    t1: int = 27504
    t2: int = 26435
    t3: int = -1000
    p1: int = 36477
    p2: int = -10685
    p3: int = 3024
    p4: int = 2855
    p5: int = 140
    p6: int = -7
    p7: int = 15500
    p8: int = -14600
    p9: int = 6000
    h1: int = 75
    h2: int = 376
    h3: int = 0
    h4: int = 286
    h5: int = 50
    h6: int = 30


def random_trim(rng: np.random.Generator) -> Trim:
    """Return words as they differ from one sensor to the next."""
    usual = Trim()
    near = {name: round(value * rng.uniform(0.97, 1.03)) for name, value in usual._asdict().items()}
    # The small ones spread widely and may have either sign.
    near |= {
        "t3": int(rng.integers(-1000, 100)),
        "p4": int(rng.integers(2000, 9000)),
        "p5": int(rng.integers(-250, 250)),
        "h4": int(rng.integers(250, 400)),
        "h5": int(rng.integers(-60, 60)),
        "h6": int(rng.integers(-40, 40)),
    }
    return Trim(**near)


def trim_memory(trim: Trim) -> dict[int, bytes]:
    """Return what stands in the memory, by its first address."""
    low = struct.pack("<HhhHhhhhhhhh", *trim[:12]) + b"\0" + bytes((trim.h1,))
    # H4 and H5 have 12 bits each and share the byte between them.
    h4, h5 = trim.h4 & 0xFFF, trim.h5 & 0xFFF
    shared = bytes((h4 >> 4, (h5 & 0xF) << 4 | h4 & 0xF, h5 >> 4))
    high = struct.pack("<hB", trim.h2, trim.h3) + shared + struct.pack("b", trim.h6)
    return {0x88: low, 0xE1: high}


class Bme280Chip:
    """Measures `air` of the time at which it is asked to.

    `memory` holds all 256 registers and may be changed. `extra_s` makes measurements longer,
    `skipped` names what is not measured (t, h, p). A register that does not exist is written
    without effect.
    """

    def __init__(self, clock: Clock, air: Callable[[float], Air], trim: Trim | None = None) -> None:
        self.trim = trim or Trim()
        self.memory = bytearray(256)
        self.extra_s = 0.0
        self.skipped = ""
        self.resets = 0
        self._clock = clock
        self._air = air
        self._made_ns = clock.monotonic_ns()
        self._at = 0
        self._ready_ns = 0
        self._pending: bytes | None = None
        self._humidity_control = 0
        self.memory[IDENTITY_AT] = IDENTITY
        for address, words in trim_memory(self.trim).items():
            self.memory[address : address + len(words)] = words
        self.restart()

    def restart(self) -> None:
        """Lose power for a moment: settings and data are gone, the calibration is copied anew."""
        self.memory[0xF2:0xFF] = bytes(5) + SKIPPED_DATA
        self._humidity_control = 0
        self._pending = None
        self._ready_ns = self._clock.monotonic_ns() + round(START_UP_S * NS_PER_S)

    def write(self, data: bytes) -> None:
        """Take an address to read from, or pairs of address and value."""
        self._advance()
        self._at = data[0]
        for address, value in zip(data[::2], data[1::2], strict=False):
            self._store(address, value)

    def read(self, count: int) -> bytes:
        """Return registers from the address on."""
        self._advance()
        start, self._at = self._at, (self._at + count) % 256
        return bytes(self.memory[start : start + count]).ljust(count, b"\0")

    def _store(self, address: int, value: int) -> None:
        if address == RESET_AT and value == RESET_CODE:
            self.resets += 1
            self.restart()
        elif address == CONTROL_HUMIDITY_AT:
            self.memory[address] = value & 0x07
        elif address == CONTROL_AT:
            self.memory[address] = value
            # What was written to the other register counts from now on (section 5.4.3).
            self._humidity_control = self.memory[CONTROL_HUMIDITY_AT]
            if value & MODE_MASK in (1, 2):
                self._measure(value)
        elif address == CONTROL_AT + 1:
            self.memory[address] = value

    def _measure(self, control: int) -> None:
        now_ns = self._clock.monotonic_ns()
        adc_p, adc_t, adc_h = encode(self.trim, *self._air((now_ns - self._made_ns) / NS_PER_S))
        times = [
            _samples(bits) for bits in (control >> 5, control >> 2 & 0x07, self._humidity_control)
        ]
        if "t" in self.skipped or not times[0]:
            adc_t = 0x80000
        if "p" in self.skipped or not times[1]:
            adc_p = 0x80000
        if "h" in self.skipped or not times[2]:
            adc_h = 0x8000
        self._pending = b"".join(
            (
                (adc_p << 4).to_bytes(3, "big"),
                (adc_t << 4).to_bytes(3, "big"),
                adc_h.to_bytes(2, "big"),
            )
        )
        spent_s = 0.001 + 0.002 * sum(times) + 0.0005 * sum(n > 0 for n in times[1:])
        self._ready_ns = now_ns + round((spent_s + self.extra_s) * NS_PER_S)

    def _advance(self) -> None:
        """Bring status, mode and data to what they are now."""
        done = self._clock.monotonic_ns() >= self._ready_ns
        if self._pending is None:
            self.memory[STATUS_AT] = 0 if done else COPYING
        elif not done:
            self.memory[STATUS_AT] = MEASURING
        else:
            self.memory[STATUS_AT] = 0
            self.memory[CONTROL_AT] &= ~MODE_MASK | SLEEP
            self.memory[DATA_AT : DATA_AT + len(self._pending)] = self._pending
            self._pending = None


def encode(trim: Trim, temp_c: float, rh_pct: float, pressure_hpa: float) -> tuple[int, int, int]:
    """Return the raw words of pressure, temperature, humidity that come nearest to this air."""
    adc_t = _nearest(lambda adc: fine_temperature(trim, adc), temp_c * 5120.0, MAX_20_BITS)
    fine = fine_temperature(trim, adc_t)
    # More pressure gives a smaller word.
    adc_p = MAX_20_BITS - _nearest(
        lambda adc: integer_pressure(trim, MAX_20_BITS - adc, fine),
        pressure_hpa * 100.0 * 256.0,
        MAX_20_BITS,
    )
    adc_h = _nearest(lambda adc: integer_humidity(trim, adc, fine), rh_pct * 1024.0, MAX_16_BITS)
    return adc_p, adc_t, adc_h


def fine_temperature(trim: Trim, adc: int) -> int:
    """Return the temperature in 1/5120 °C (section 4.2.3)."""
    linear = ((adc >> 3) - (trim.t1 << 1)) * trim.t2 >> 11
    from_t1 = (adc >> 4) - trim.t1
    return linear + ((from_t1 * from_t1 >> 12) * trim.t3 >> 14)


def integer_pressure(trim: Trim, adc: int, fine: int) -> int:
    """Return the pressure in 1/256 Pa, 0 if it cannot be computed (section 4.2.3, 64 bits)."""
    t = fine - 128000
    offset = t * t * trim.p6 + (t * trim.p5 << 17) + (trim.p4 << 35)
    scale = (t * t * trim.p3 >> 8) + (t * trim.p2 << 12)
    scale = ((1 << 47) + scale) * trim.p1 >> 33
    if scale <= 0:
        return 0
    p = ((1048576 - adc << 31) - offset) * 3125 // scale
    square = trim.p9 * (p >> 13) * (p >> 13) >> 25
    linear = trim.p8 * p >> 19
    return (p + square + linear >> 8) + (trim.p7 << 4)


def integer_humidity(trim: Trim, adc: int, fine: int) -> int:
    """Return the relative humidity in 1/1024 % (section 4.2.3)."""
    t = fine - 76800
    raw = (adc << 14) - (trim.h4 << 20) - trim.h5 * t + 16384 >> 15
    gain = (t * trim.h6 >> 10) * ((t * trim.h3 >> 11) + 32768) >> 10
    h = raw * ((gain + 2097152) * trim.h2 + 8192 >> 14)
    h -= ((h >> 15) * (h >> 15) >> 7) * trim.h1 >> 4
    return min(max(h, 0), 419430400) >> 12


def _nearest(rising: Callable[[int], int], wanted: float, last: int) -> int:
    """Return the argument from 0 to `last` at which a rising function comes nearest to `wanted`."""
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if rising(middle) < wanted:
            low = middle
        else:
            high = middle
    return low if wanted - rising(low) < rising(high) - wanted else high


def _samples(bits: int) -> int:
    """Return how often is measured for an oversampling setting of three bits."""
    return 0 if bits == 0 else min(1 << bits - 1, 16)
