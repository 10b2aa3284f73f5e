"""The sequence of an MLX90640: set it up, wait for data, read one whole sub-page."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.clock import NS_PER_S, Clock, sleep_until
from firedetect.config import ThermalCalibration, ThermalSettings, load_thermal_calibration
from firedetect.errors import (
    BusError,
    BusStuckError,
    CalibrationError,
    ConfigError,
    NoFrameError,
    SensorError,
    TornFrameError,
)
from firedetect.readings import SUBPAGE_WORDS, Sensor, SensorOpened, SubPage
from firedetect.sensors.base import since_boot_s
from firedetect.sensors.bus import I2cBus
from firedetect.sensors.mlx90640.calibration import check_eeprom, commissioned_words
from firedetect.sensors.mlx90640.pace import Pace

EEPROM_READS = 3
"""So many dumps are read at most to get two that are equal."""
SPEED_READS = 3
"""So many more show whether the bus is slow, or something else took the time of the first ones."""
WAIT_FRACTION = 0.8
"""The bus is left alone for this part of a period after data was ready."""
POLL_FRACTION = 1 / 40
POLL_MIN_S = 0.001
READY_DEADLINE_S = 1.0
READY_DEADLINE_PERIODS = 3.0
"""No new sub-page within the larger of the two: the sensor has to be set up again."""


@dataclass(frozen=True, slots=True)
class Register:
    """A place in the sensor's memory: 16-bit address, length in words."""

    address: int
    words: int = 1

    @property
    def select(self) -> bytes:
        """The bytes that address it."""
        return self.address.to_bytes(2, "big")

    def store(self, value: int) -> bytes:
        """Return the bytes that write `value` into its first word."""
        return self.select + value.to_bytes(2, "big")


EEPROM = Register(0x2400, 832)
RAM = Register(0x0400, 832)
STATUS = Register(0x8000)
CONTROL = Register(0x800D)

STATUS_SUBPAGE = 0x0007
STATUS_NEW_DATA = 0x0008
STATUS_UNDRIVEN = 0xFFFF
STATUS_CLEAR = 0x0030
"""New data off; a new sub-page may overwrite the old one, and a measurement starts."""

CONTROL_SUBPAGES = 0x0001
CONTROL_CHESS = 0x1000
CONTROL_RATE_SHIFT = 7
CONTROL_SET = 0x138D
"""The bits that the set-up decides: sub-pages on, data hold and repeat off, rate, pattern.

The resolution stays what the maker calibrated with.
"""


class Mlx90640:
    """Reads raw sub-pages; temperatures are made of them by `images`."""

    sensor = Sensor.THERMAL

    def __init__(
        self,
        bus: I2cBus,
        settings: ThermalSettings,
        clock: Clock,
        powered_s: Callable[[], float] = since_boot_s,
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._powered_s = powered_s
        self._pace = Pace(settings.refresh_hz)
        self._control = 0
        self._ready_ns: int | None = None
        # Read once: no disk may hold up an array that is to be opened again.
        self._calibration, self._problem = _calibration_of(settings)

    async def open(self) -> SensorOpened:
        """Read the EEPROM until two dumps agree, then set rate and pattern and verify them.

        With a commissioned copy dumps that never agree are no reason to see nothing. The rate is
        the one that is set, or the highest that fits the bus as these reads measure it; raises
        BusSlowError if none does.
        """
        known = self._calibration
        eeprom = await self._dump_and_measure(needed=known is None)
        if known is None and eeprom is not None:
            # Nothing could be computed with a bad one: opened again, it may be read well.
            check_eeprom(eeprom)
        before = await self._read_word(CONTROL)
        wanted = wanted_control(self._settings, self._pace.running_hz)
        self._control = (before & ~CONTROL_SET) | wanted
        await self._send(CONTROL.store(self._control))
        after = await self._read_word(CONTROL)
        if after != self._control:
            raise SensorError(
                f"thermal: control register reads 0x{after:04X} after 0x{self._control:04X} was "
                "written: check wiring and supply"
            )
        await self._send(STATUS.store(STATUS_CLEAR))
        self._ready_ns = None
        settings = self._settings
        return SensorOpened(
            t_ns=self._clock.monotonic_ns(),
            sensor=self.sensor,
            powered_s=self._powered_s(),
            eeprom=eeprom,
            emissivity=settings.emissivity if known is None else known.emissivity,
            ta_shift_c=settings.ta_shift_c if known is None else known.ta_shift_c,
            commissioned=None if known is None else commissioned_words(known),
            offset_c=0.0 if known is None else known.offset_c,
            bad_pixels=() if known is None else known.bad_pixels,
            spread_c=math.nan if known is None else known.spread_c,
            problem=self._problem,
            refresh_hz=float(self._pace.running_hz),
            slow=self._pace.trouble,
        )

    async def read(self) -> SubPage | SensorOpened:
        """Return the next sub-page; on a bus whose speed has changed the array is opened again.

        Raises BusError when the bus fails, NoFrameError when none comes in time, TornFrameError
        when a new one arrived during the transfer, SensorError when the sensor lost its set-up.
        """
        status = await self._wait_for_data()
        await self._send(STATUS.store(STATUS_CLEAR))
        ram, took_s = await self._timed(RAM)
        t_ns = self._clock.monotonic_ns()
        if self._pace.changed(took_s):
            return await self.open()
        after = await self._read_word(STATUS)
        if after & STATUS_NEW_DATA or (after ^ status) & STATUS_SUBPAGE:
            raise TornFrameError(
                f"thermal: status 0x{status:04X} before the read, 0x{after:04X} after it"
            )
        control = await self._read_word(CONTROL)
        if control != self._control:
            raise SensorError(
                f"thermal: control register is 0x{control:04X}, 0x{self._control:04X} was set: "
                "the sensor has restarted"
            )
        words = np.empty(SUBPAGE_WORDS, dtype=np.uint16)
        words[:832] = ram
        words[832] = control
        words[833] = status & 1
        return SubPage(t_ns, words)

    async def close(self) -> None:
        """Leave the sensor measuring; it needs no farewell."""

    async def _dump_and_measure(self, *, needed: bool) -> NDArray[np.uint16] | None:
        """Return the EEPROM, None without two equal dumps of one not `needed`; choose the rate."""
        took_s: list[float] = []
        eeprom = await self._dump(took_s, needed=needed)
        for _ in range(SPEED_READS):
            if self._pace.fits(min(took_s)):
                break
            took_s.append((await self._timed(EEPROM))[1])
        self._pace.measured(took_s)
        return eeprom

    async def _dump(self, took_s: list[float], *, needed: bool) -> NDArray[np.uint16] | None:
        """Return the EEPROM; how long each read took is added to `took_s`."""
        first, first_s = await self._timed(EEPROM)
        took_s.append(first_s)
        differing = 0
        for _ in range(EEPROM_READS - 1):
            second, second_s = await self._timed(EEPROM)
            took_s.append(second_s)
            if np.array_equal(first, second):
                return second
            differing = int(np.count_nonzero(first != second))
            first = second
        if not needed:
            return None
        raise CalibrationError(
            f"EEPROM: {EEPROM_READS} reads in a row differ, the last two in {differing} words: "
            "check cable and supply"
        )

    async def _wait_for_data(self) -> int:
        """Sleep most of a period, then ask until data is ready; return the status word."""
        start_ns = self._clock.monotonic_ns()
        period_s = 1.0 / self._pace.running_hz
        limit_s = max(READY_DEADLINE_S, READY_DEADLINE_PERIODS * period_s)
        if self._ready_ns is not None:
            await sleep_until(
                self._clock, self._ready_ns + round(WAIT_FRACTION * period_s * NS_PER_S)
            )
        while True:
            status = await self._asked_status(start_ns + round(limit_s * NS_PER_S))
            now_ns = self._clock.monotonic_ns()
            if status == STATUS_UNDRIVEN:
                raise BusError("thermal: status reads 0xFFFF: nothing drives the bus")
            if status & STATUS_NEW_DATA:
                self._ready_ns = now_ns
                return status
            if now_ns - start_ns > limit_s * NS_PER_S:
                raise NoFrameError(
                    f"thermal: no new sub-page within {limit_s:g} s, status 0x{status:04X}"
                )
            await asyncio.sleep(max(POLL_FRACTION * period_s, POLL_MIN_S))

    async def _asked_status(self, until_ns: int) -> int:
        """Return the status word, 0 if the transfer failed and there is time to ask again.

        Most transfers are such questions: on a bus that loses some of them the array would be set
        up again and again instead of being read.
        """
        try:
            return await self._read_word(STATUS)
        except BusStuckError:
            raise
        except BusError:
            if self._clock.monotonic_ns() > until_ns:
                raise
            return 0

    async def _timed(self, register: Register) -> tuple[NDArray[np.uint16], float]:
        """Return the words of a register and how long they were on the bus (s)."""
        data, took_s = await self._bus.timed_again(
            self._settings.address, register.select, 2 * register.words
        )
        return np.frombuffer(data, dtype=">u2").astype(np.uint16), took_s

    async def _read_word(self, register: Register) -> int:
        words, _ = await self._timed(register)
        return int(words[0])

    async def _send(self, data: bytes) -> None:
        await self._bus.transfer_again(self._settings.address, data)


def _calibration_of(settings: ThermalSettings) -> tuple[ThermalCalibration | None, str]:
    """Return what the commissioning found, or why its file cannot be used."""
    if settings.calibration is None:
        return None, ""
    try:
        return load_thermal_calibration(settings.calibration), ""
    except (ConfigError, ValueError, RecursionError) as error:
        return None, str(error)


def wanted_control(settings: ThermalSettings, refresh_hz: int) -> int:
    """Return the bits of the control register for the pattern that is set and a refresh rate."""
    # Rates are 0.5 Hz times a power of two.
    rate = refresh_hz.bit_length()
    chess = CONTROL_CHESS if settings.pattern == "chess" else 0
    return CONTROL_SUBPAGES | chess | rate << CONTROL_RATE_SHIFT
