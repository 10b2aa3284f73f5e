"""The BME280: temperature, humidity and pressure of the air, one forced measurement per reading.

Forced mode because the sensor warms itself in normal mode. Sections are those of Bosch's data sheet
BST-BME280-DS002; calibration words are named as there (dig_T1 is `t1`).
"""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass

from firedetect.clock import Clock
from firedetect.config import AirSettings
from firedetect.errors import (
    BusError,
    CalibrationError,
    FrameRejectedError,
    NoFrameError,
    SensorError,
)
from firedetect.readings import AirReading, Sensor, SensorOpened
from firedetect.sensors.base import Stillness, since_boot_s
from firedetect.sensors.bus import I2cBus

CHIP_ID = 0x60
RELATIVES = {0x56: "BMP280", 0x57: "BMP280", 0x58: "BMP280", 0x61: "BME680"}
"""Sensors at the same address with another register map or without humidity."""
CALIBRATION_READS = 3
"""So many dumps are read at most to get two that are equal."""

RESET_CODE = 0xB6
START_UP_S = 0.005
"""Section 1.1 gives 2 ms."""
COPYING = 0x01
MEASURING = 0x08

OVERSAMPLING = 1
"""Section 3.5.1: once each and no filter, as for weather; its noise is far below what decides."""
HUMIDITY_CONTROL = OVERSAMPLING
SLEEPING = OVERSAMPLING << 5 | OVERSAMPLING << 2
FORCED = SLEEPING | 0x01
MEASURING_S = 0.00125 + 0.0023 * OVERSAMPLING + 2 * (0.0023 * OVERSAMPLING + 0.000575)
"""Section 9.1, the longest that a measurement of all three takes."""
SLACK_S = 0.001

SKIPPED_20_BITS, SKIPPED_16_BITS = 0x80000, 0x8000
UNDRIVEN = 0xFF
TEMP_MIN_C, TEMP_MAX_C = -40.0, 125.0
"""It is specified up to 85 °C; above that a fire is likelier than a fault, and is passed on."""
PRESSURE_MIN_HPA, PRESSURE_MAX_HPA = 300.0, 1100.0
RH_MAX_PCT = 100.0


@dataclass(frozen=True, slots=True)
class Register:
    """A place in the sensor's memory: 8-bit address, length in bytes (section 5.3)."""

    address: int
    count: int = 1

    @property
    def select(self) -> bytes:
        """The byte that addresses it."""
        return bytes((self.address,))

    def store(self, value: int) -> bytes:
        """Return the bytes that write `value`; several of them may follow each other."""
        return bytes((self.address, value))


CALIBRATION_LOW = Register(0x88, 26)
IDENTITY = Register(0xD0)
RESET = Register(0xE0)
CALIBRATION_HIGH = Register(0xE1, 7)
CONTROL_HUMIDITY = Register(0xF2)
STATUS_AND_CONTROL = Register(0xF3, 2)
CONTROL = Register(0xF4)
CONFIG = Register(0xF5)
DATA = Register(0xF7, 8)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The words by which this one sensor differs from others."""

    t1: int
    t2: int
    t3: int
    p1: int
    p2: int
    p3: int
    p4: int
    p5: int
    p6: int
    p7: int
    p8: int
    p9: int
    h1: int
    h2: int
    h3: int
    h4: int
    h5: int
    h6: int


class Bme280:
    """Reads temperature, humidity and pressure."""

    sensor = Sensor.AIR

    def __init__(
        self,
        bus: I2cBus,
        settings: AirSettings,
        clock: Clock,
        powered_s: Callable[[], float] = since_boot_s,
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._powered_s = powered_s
        self._calibration: Calibration | None = None
        self._stillness = Stillness(self.sensor)

    async def open(self) -> SensorOpened:
        """Identify and reset the sensor, read its calibration until two dumps agree.

        Raises BusError when the bus fails, SensorError for another sensor, CalibrationError.
        """
        self._calibration = None
        self._expect_bme280((await self._read(IDENTITY))[0])
        await self._send(RESET.store(RESET_CODE))
        await asyncio.sleep(START_UP_S)
        status = (await self._read(STATUS_AND_CONTROL))[0]
        if status & COPYING:
            raise SensorError(f"air: status 0x{status:02X} after a reset: it does not start up")
        calibration = parse_calibration(*await self._dump())
        await self._send(CONFIG.store(0))
        self._calibration = calibration
        return SensorOpened(self._clock.monotonic_ns(), self.sensor, self._powered_s())

    async def read(self) -> AirReading:
        """Measure once (10 ms) and return the reading.

        Raises BusError when the bus fails, NoFrameError when the measurement does not end in its
        time, FrozenError when nothing is measured any more, FrameRejectedError for values that no
        air has, SensorError when the sensor forgot what it was told or was not opened.
        """
        if self._calibration is None:
            raise SensorError("air: not open")
        # Humidity first: the sensor takes it over with the write of the other (section 5.4.3).
        await self._send(CONTROL_HUMIDITY.store(HUMIDITY_CONTROL) + CONTROL.store(FORCED))
        await asyncio.sleep(MEASURING_S + SLACK_S)
        status, control = await self._read(STATUS_AND_CONTROL)
        if status == control == UNDRIVEN:
            raise BusError("air: status reads 0xFF: nothing drives the bus")
        if status & MEASURING:
            raise NoFrameError(
                f"air: measures still after {(MEASURING_S + SLACK_S) * 1e3:.1f} ms, status "
                f"0x{status:02X}"
            )
        if control != SLEEPING:
            raise SensorError(
                f"air: control register is 0x{control:02X} after a measurement, 0x{SLEEPING:02X} "
                "expected: the sensor has restarted"
            )
        data = await self._read(DATA)
        t_ns = self._clock.monotonic_ns()
        self._stillness.expect_change(t_ns, data)
        return decode(self._calibration, data, t_ns)

    async def close(self) -> None:
        """Leave the sensor asleep; it needs no farewell."""

    @staticmethod
    def _expect_bme280(identity: int) -> None:
        if identity == CHIP_ID:
            return
        if identity == UNDRIVEN:
            raise BusError("air: identity reads 0xFF: nothing drives the bus")
        name = RELATIVES.get(identity, "unknown sensor")
        raise SensorError(
            f"air: identity 0x{identity:02X} is a {name}, a BME280 (0x{CHIP_ID:02X}) is expected: "
            "only that one gives humidity as it is computed here"
        )

    async def _dump(self) -> tuple[bytes, bytes]:
        """Return both parts of the calibration; it has no checksum, so two dumps must agree."""
        before = None
        for _ in range(CALIBRATION_READS):
            dump = await self._read(CALIBRATION_LOW), await self._read(CALIBRATION_HIGH)
            if dump == before:
                return dump
            before = dump
        raise CalibrationError(
            f"air: {CALIBRATION_READS} reads of the calibration in a row differ: check cable and "
            "supply"
        )

    async def _read(self, register: Register) -> bytes:
        return await self._bus.transfer_again(
            self._settings.address, register.select, register.count
        )

    async def _send(self, data: bytes) -> None:
        await self._bus.transfer_again(self._settings.address, data)


def parse_calibration(low: bytes, high: bytes) -> Calibration:
    """Return the words of registers 0x88 to 0xA1 (26 bytes) and 0xE1 to 0xE7 (7 bytes).

    Section 4.2.2. Raises CalibrationError for memory that no maker has written.
    """
    # 0xA0 holds no word.
    trimmed = low[:24] + low[25:] + high
    if len(set(trimmed)) == 1:
        raise CalibrationError(
            f"air: the calibration reads 0x{trimmed[0]:02X} everywhere: nothing can be computed"
        )
    t1_to_h1 = struct.unpack("<HhhHhhhhhhhhxB", low)
    h2, h3, h4_high, nibbles, h5_high, h6 = struct.unpack("<hBbBbb", high)
    # Two signed words of 12 bits share the byte between them.
    h4, h5 = h4_high << 4 | nibbles & 0x0F, h5_high << 4 | nibbles >> 4
    in_order = (*t1_to_h1, h2, h3, h4, h5, h6)
    words = Calibration(*in_order)
    if words.t1 == 0 or words.p1 == 0:
        raise CalibrationError(
            f"air: calibration words dig_T1 = {words.t1}, dig_P1 = {words.p1}; neither can be 0"
        )
    return words


def decode(words: Calibration, data: bytes, t_ns: int) -> AirReading:
    """Return the reading of registers 0xF7 to 0xFE (8 bytes).

    Raises FrameRejectedError if a value is missing or none that the sensor can measure.
    """
    adc_p = int.from_bytes(data[0:3], "big") >> 4
    adc_t = int.from_bytes(data[3:6], "big") >> 4
    adc_h = int.from_bytes(data[6:8], "big")
    if SKIPPED_20_BITS in (adc_p, adc_t) or adc_h == SKIPPED_16_BITS:
        raise FrameRejectedError(f"air: 0x{data.hex()}: a value was not measured")
    t_fine, temp_c = compensate_temperature(words, adc_t)
    pressure_hpa = compensate_pressure(words, adc_p, t_fine)
    if not TEMP_MIN_C <= temp_c <= TEMP_MAX_C:
        raise FrameRejectedError(
            f"air: {temp_c:.1f} °C, expected {TEMP_MIN_C:g} to {TEMP_MAX_C:g} (0x{data.hex()})"
        )
    if not PRESSURE_MIN_HPA <= pressure_hpa <= PRESSURE_MAX_HPA:
        raise FrameRejectedError(
            f"air: {pressure_hpa:.1f} hPa, expected {PRESSURE_MIN_HPA:g} to {PRESSURE_MAX_HPA:g} "
            f"(0x{data.hex()})"
        )
    return AirReading(t_ns, temp_c, compensate_humidity(words, adc_h, t_fine), pressure_hpa)


def compensate_temperature(words: Calibration, adc: int) -> tuple[int, float]:
    """Return the fine temperature, which the other two need, and the temperature in °C.

    Section 8.1, double precision.
    """
    linear = (adc / 16384.0 - words.t1 / 1024.0) * words.t2
    square = (adc / 131072.0 - words.t1 / 8192.0) ** 2 * words.t3
    return int(linear + square), (linear + square) / 5120.0


def compensate_pressure(words: Calibration, adc: int, t_fine: int) -> float:
    """Return the pressure in hPa, 0 if it cannot be computed (section 8.1, double precision)."""
    t = t_fine / 2.0 - 64000.0
    scale = (words.p3 * t * t / 524288.0 + words.p2 * t) / 524288.0
    scale = (1.0 + scale / 32768.0) * words.p1
    if scale <= 0.0:
        return 0.0
    offset = (t * t * words.p6 / 32768.0 + t * words.p5 * 2.0) / 4.0 + words.p4 * 65536.0
    p = (1048576.0 - adc - offset / 4096.0) * 6250.0 / scale
    square = words.p9 * p * p / 2147483648.0
    linear = p * words.p8 / 32768.0
    return (p + (square + linear + words.p7) / 16.0) / 100.0


def compensate_humidity(words: Calibration, adc: int, t_fine: int) -> float:
    """Return the relative humidity in %, 0 to 100 (section 8.1, double precision)."""
    t = t_fine - 76800.0
    gain = words.h2 / 65536.0
    gain *= 1.0 + words.h6 / 67108864.0 * t * (1.0 + words.h3 / 67108864.0 * t)
    h = (adc - (words.h4 * 64.0 + words.h5 / 16384.0 * t)) * gain
    h *= 1.0 - words.h1 * h / 524288.0
    return min(max(h, 0.0), RH_MAX_PCT)
