"""An SCD41 by its commands: what it takes in which state, how long it is busy, what it answers."""

import errno
from collections.abc import Callable
from typing import Final, NoReturn

from firedetect.clock import NS_PER_S, Clock

CODE_BYTES: Final = 2
PERIOD_S: Final = 5.0
SETTLED_S: Final = 180.0
ZERO, FAILED = 0x8000, 0xFFFF
DATA_SHEET_SERIAL: Final = 0xF896_9F07_3BBE
VARIANT_WORD: Final = 0x1440
"""What an SCD41 answers; an SCD40 has 0x0440, an SCD43 0x5441: the first digit tells."""
SEA_LEVEL_HPA: Final = 1013
MEASURING_TOO: Final = frozenset({0xEC05, 0x3F86, 0xE000, 0xE4B8})
"""Only these are taken while it measures."""
WAKE_UP: Final = 0x36F6

Climate = Callable[[float], tuple[float, float]]
"""Temperature (°C) and relative humidity (%) at a time (s)."""


class Scd41Chip:
    """Answers with `co2_ppm` of the time of each measurement, rounded.

    What it would not take in its state is kept in `refused` and not acknowledged. What tests may
    set: `serial`, `variant`; `wrong_checksums`, so many answers with a wrong one follow;
    `self_calibration`, and whether it is `stuck_on`; `has_stopped`, no new value comes; `fails`,
    forced recalibrations do. `persisted` counts writes of the memory that wears out.
    """

    def __init__(
        self,
        clock: Clock,
        co2_ppm: Callable[[float], float],
        climate: Climate = lambda _t_s: (25.0, 37.0),
    ) -> None:
        self.serial = DATA_SHEET_SERIAL
        self.variant = VARIANT_WORD
        self.self_calibration = True
        self.stuck_on = False
        self.wrong_checksums = 0
        self.has_stopped = False
        self.fails = False
        self.persisted = 0
        self.pressure_hpa = SEA_LEVEL_HPA
        self.offset_ppm = 0
        self.asleep = False
        self.refused: list[int] = []
        self._stored_self_calibration = True
        self._clock = clock
        self._co2_ppm = co2_ppm
        self._climate = climate
        self._made_ns = clock.monotonic_ns()
        self._busy_until_ns = 0
        self._measuring_since_ns: int | None = None
        self._measured_s = 0.0
        self._taken = 0
        self._reply: bytes | None = None
        self._commands: dict[int, tuple[Callable[[int | None], None], float]] = {
            0x36E0: (self._power_down, 0.001),
            0x3F86: (self._stop, 0.5),
            0x3646: (self._reinit, 0.03),
            0x3682: (self._answer_serial, 0.001),
            0x202F: (lambda _: self._answer(self.variant), 0.001),
            0x2416: (self._set_self_calibration, 0.001),
            0x2313: (lambda _: self._answer(int(self.self_calibration)), 0.001),
            0x3615: (self._persist, 0.8),
            0xE000: (self._pressure, 0.001),
            0x21B1: (self._start, 0.0),
            0xE4B8: (lambda _: self._answer(ZERO | (6 if self._fresh() else 0)), 0.001),
            0xEC05: (self._measurement, 0.001),
            0x362F: (self._recalibrate, 0.4),
        }

    @property
    def measuring(self) -> bool:
        """Whether it is in periodic measurement."""
        return self._measuring_since_ns is not None

    def busy_for(self, seconds: float) -> None:
        """Acknowledge nothing for `seconds`."""
        self._busy_until_ns = self._clock.monotonic_ns() + round(seconds * NS_PER_S)

    def restart(self) -> None:
        """Lose power for a moment."""
        self.asleep = False
        self._measuring_since_ns = None
        self._reinit(None)

    def write(self, data: bytes) -> None:
        """Take a command, with its argument if it has one."""
        code = int.from_bytes(data[:CODE_BYTES], "big")
        self._refuse_if_busy()
        if code == WAKE_UP:
            self.asleep = False
            self.busy_for(0.03)
            _not_acknowledged()
        known = self._commands.get(code)
        if known is None or self.asleep or (self.measuring and code not in MEASURING_TOO):
            self.refused.append(code)
            _not_acknowledged()
        carry_out, busy_s = known
        self._reply = None
        carry_out(_argument(data[CODE_BYTES:]))
        self.busy_for(busy_s)

    def read(self, count: int) -> bytes:
        """Return the answer to the last command, once."""
        self._refuse_if_busy()
        reply, self._reply = self._reply, None
        if reply is None:
            _not_acknowledged()
        if self.wrong_checksums > 0:
            self.wrong_checksums -= 1
            reply = reply[:-1] + bytes((reply[-1] ^ 0xFF,))
        return reply.ljust(count, b"\xff")[:count]

    def _refuse_if_busy(self) -> None:
        if self._clock.monotonic_ns() < self._busy_until_ns:
            _not_acknowledged()

    def _answer(self, *words: int) -> None:
        parts = [word.to_bytes(2, "big") + bytes((checksum(word),)) for word in words]
        self._reply = b"".join(parts)

    def _power_down(self, _: int | None) -> None:
        self.asleep = True

    def _start(self, _: int | None) -> None:
        self._measuring_since_ns = self._clock.monotonic_ns()
        self._taken = 0

    def _stop(self, _: int | None) -> None:
        if self._measuring_since_ns is not None:
            spent_ns = self._clock.monotonic_ns() - self._measuring_since_ns
            self._measured_s = spent_ns / NS_PER_S
        self._measuring_since_ns = None

    def _reinit(self, _: int | None) -> None:
        self.self_calibration = self._stored_self_calibration
        self.pressure_hpa = SEA_LEVEL_HPA
        self._measured_s = 0.0

    def _persist(self, _: int | None) -> None:
        self.persisted += 1
        self._stored_self_calibration = self.self_calibration

    def _answer_serial(self, _: int | None) -> None:
        self._answer(*(self.serial >> shift & 0xFFFF for shift in (32, 16, 0)))

    def _set_self_calibration(self, argument: int | None) -> None:
        self.self_calibration = bool(_expected(argument)) or self.stuck_on

    def _pressure(self, argument: int | None) -> None:
        if argument is None:
            self._answer(self.pressure_hpa)
        else:
            self.pressure_hpa = argument

    def _recalibrate(self, argument: int | None) -> None:
        target = _expected(argument)
        if self.fails or self._measured_s < SETTLED_S:
            self._answer(FAILED)
            return
        correction = target - self._ppm(self._clock.monotonic_ns())
        self.offset_ppm += correction
        self._answer(ZERO + correction)

    def _measurement(self, _: int | None) -> None:
        if not self._fresh():
            return
        started_ns = self._measuring_since_ns or 0
        self._taken = self._periods()
        t_ns = started_ns + round(self._taken * PERIOD_S * NS_PER_S)
        temp_c, rh_pct = self._climate((t_ns - self._made_ns) / NS_PER_S)
        self._answer(
            self._ppm(t_ns),
            _word((temp_c + 45.0) / 175.0 * 0xFFFF),
            _word(rh_pct / 100.0 * 0xFFFF),
        )

    def _fresh(self) -> bool:
        return not self.has_stopped and self._periods() > self._taken

    def _periods(self) -> int:
        if self._measuring_since_ns is None:
            return 0
        spent_ns = self._clock.monotonic_ns() - self._measuring_since_ns
        return int(spent_ns / NS_PER_S / PERIOD_S)

    def _ppm(self, t_ns: int) -> int:
        return _word(self._co2_ppm((t_ns - self._made_ns) / NS_PER_S) + self.offset_ppm)


def checksum(word: int) -> int:
    """Return the rest of a word divided by x^8 + x^5 + x^4 + 1, its first byte inverted."""
    rest = (word ^ 0xFF00) << 8
    for bit in range(23, 7, -1):
        if rest >> bit & 1:
            rest ^= 0x131 << (bit - 8)
    return rest


def _word(value: float) -> int:
    return min(max(round(value), 0), 0xFFFF)


def _argument(data: bytes) -> int | None:
    if not data:
        return None
    word = int.from_bytes(data[:2], "big")
    if data[2:] != bytes((checksum(word),)):
        _not_acknowledged()
    return word


def _expected(argument: int | None) -> int:
    if argument is None:
        _not_acknowledged()
    return argument


def _not_acknowledged() -> NoReturn:
    raise OSError(errno.EREMOTEIO, "Remote I/O error")
