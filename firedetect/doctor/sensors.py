"""Checks of the sensors: each is opened by its own driver and read, and its failure explained."""

import asyncio
import math
from collections.abc import Iterator
from functools import partial
from typing import Final

from firedetect.config import Settings
from firedetect.doctor.array import examine_eeprom, examine_image
from firedetect.doctor.finding import Finding, guarded
from firedetect.doctor.host import Host
from firedetect.doctor.scan import BusLook, known_addresses
from firedetect.errors import (
    BusError,
    CalibrationError,
    FiredetectError,
    FrameRejectedError,
    NoFrameError,
    TornFrameError,
)
from firedetect.readings import AirReading, Sensor, SensorFault, SensorOpened, SubPage, ThermalImage
from firedetect.sensors.base import Driver
from firedetect.sensors.catalog import SensorSpec, configured
from firedetect.sensors.mlx90640.images import ImageAssembler
from firedetect.sensors.wiring import Wiring

READ_LIMIT_S: Final = 8.0
"""An SCD41 has its first value after six."""
SUBPAGES: Final = 6
"""So many are read for an image; fewer at the slowest rates would do."""
REJECTED_MAX: Final = 1
REJECTED_IMAGES_MAX: Final = 20
"""The shutter of a camera may be closed for a second or two."""

_CABLE: Final = (
    "check its plug and cable, that the user is in the group video, and lepton.device "
    "(v4l2-ctl --list-devices)"
)
_PINS: Final = "check 3.3 V, ground, SDA (pin 3 on bus 1), SCL (pin 5), pull-ups"


def examine_sensors(
    host: Host, settings: Settings, looks: tuple[BusLook, ...], *, images: bool
) -> Iterator[Finding]:
    """Yield what each sensor has to say, the air first: the array's image is compared with it.

    Without `images` no kernel is called: one that is not compiled yet takes its time.
    """
    usable = {look.number: look for look in looks if not look.closed and not look.held}
    air_c = math.nan
    for spec in sorted(configured(settings), key=lambda spec: spec.sensor is not Sensor.AIR):
        if spec.bus is None:
            yield from guarded(_name(spec), _Reading(host, spec, None).examine)
            continue
        look = usable.get(spec.bus)
        if look is None:
            # The finding of its bus says what to do first.
            continue
        # A sensor that did not answer is tried, too: an SCD41 may be asleep.
        silent = None
        if spec.address not in look.answers:
            silent = _silent(spec, settings, look, tuple(usable.values()))
        reading = _Reading(host, spec, silent)
        yield from guarded(_name(spec), reading.examine)
        if isinstance(reading.last, AirReading):
            air_c = reading.last.temp_c
        if spec.sensor is Sensor.THERMAL and silent is None:
            yield from guarded("thermal eeprom", partial(_eeprom, host, settings, look))
            yield from guarded("thermal image", partial(_image, reading, air_c, looked=images))


class _Reading:
    """One sensor read by its driver; what it gave stays for other checks.

    `silent` is what to say if the bus fails again at an address that did not answer.
    """

    def __init__(self, host: Host, spec: SensorSpec, silent: Finding | None) -> None:
        self.opened: SensorOpened | None = None
        self.pages: list[SubPage] = []
        self.last: object = None
        self._host = host
        self._spec = spec
        self._silent = silent
        self._rejected = 0

    def examine(self) -> Iterator[Finding]:
        """Open the sensor, take some readings, yield the finding."""
        yield self._host.play(self._examine())

    async def _examine(self) -> Finding:
        spec = self._spec
        name, pins = _name(spec), _pins(spec)
        wiring = Wiring(self._host.open_i2c, self._host.open_frames)
        driver = spec.factory(wiring, self._host.clock)
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                self.opened = await driver.open()
                await self._take(driver)
        except TimeoutError:
            return Finding(name, "fail", f"no reading within {READ_LIMIT_S:.0f} s", pins)
        except FiredetectError as error:
            if self._silent is not None and isinstance(error, BusError):
                return self._silent
            return Finding(name, "fail", str(error), _advice(spec, error))
        finally:
            await wiring.close()
        return self._judged(wiring.retries)

    def _judged(self, retries: int) -> Finding:
        """Return the finding of a sensor that was opened and read to the end."""
        name, pins = _name(self._spec), _pins(self._spec)
        if self.opened is None or self.last is None:
            return Finding(name, "fail", "no reading is whole", _advice(self._spec, BusError()))
        if self.opened.images and self.opened.problem:
            advice = "set the camera as docs/wiring.md says"
            return Finding(name, "warn", self.opened.problem, advice)
        if retries:
            return Finding(
                name, "warn", f"delivers, but transfers had to be repeated: {retries}", pins
            )
        return Finding(name, "ok", "answers and delivers a reading")

    async def _take(self, driver: Driver) -> None:
        if self._spec.bus is None:
            while self.last is None:
                await self._read(driver, REJECTED_IMAGES_MAX)
            return
        for _ in range(SUBPAGES if self._spec.sensor is Sensor.THERMAL else 1):
            await self._read(driver, REJECTED_MAX)

    async def _read(self, driver: Driver, rejected_max: int) -> None:
        try:
            self.last = await driver.read()
        except FrameRejectedError:
            self._rejected += 1
            if self._rejected > rejected_max:
                raise
            return
        if isinstance(self.last, SubPage):
            self.pages.append(self.last)


def _eeprom(host: Host, settings: Settings, look: BusLook) -> Iterator[Finding]:
    yield examine_eeprom(host, settings, look)


def _image(reading: _Reading, air_c: float, *, looked: bool) -> Iterator[Finding]:
    """Yield what the image shows; nothing if the sensor or its EEPROM gives none."""
    if reading.opened is None or not reading.pages:
        return
    if not looked:
        yield Finding("thermal image", "ok", "not looked at: the kernels are not compiled yet")
        return
    assembler = ImageAssembler()
    if isinstance(assembler.feed(reading.opened), SensorFault):
        return
    results = [assembler.feed(page) for page in reading.pages]
    images = [result for result in results if isinstance(result, ThermalImage)]
    numbers = {int(page.words[-1]) & 1 for page in reading.pages}
    yield examine_image(images[-1] if images else None, numbers, air_c)


def _silent(
    spec: SensorSpec, settings: Settings, look: BusLook, looks: tuple[BusLook, ...]
) -> Finding:
    """Return the finding of an address that nobody acknowledges, and where the sensor may be."""
    taken = {(other.bus, other.address) for other in configured(settings)}
    known = known_addresses(settings)
    elsewhere = [
        (other.number, address)
        for other in looks
        for address in other.answers
        if known[address] is spec.sensor and (other.number, address) not in taken
    ]
    advice = f"{_PINS}, the address"
    if elsewhere:
        number, address = elsewhere[0]
        key = "bus" if number != look.number else "address"
        value = str(number) if key == "bus" else f"0x{address:02x}"
        advice = (
            f"one answers at 0x{address:02x} on i2c-{number}: set {spec.section}.{key} = {value}"
        )
    return Finding(_name(spec), "fail", f"nobody acknowledges (NACK) on i2c-{spec.bus}", advice)


def _name(spec: SensorSpec) -> str:
    return f"sensor {spec.sensor} at {spec.place}"


def _pins(spec: SensorSpec) -> str:
    return _CABLE if spec.bus is None else _PINS


def _advice(spec: SensorSpec, error: FiredetectError) -> str:
    if spec.bus is not None:
        return _advice_on_bus(error)
    gone = isinstance(error, BusError | NoFrameError)
    return _CABLE if gone else "set the camera as docs/wiring.md says"


def _advice_on_bus(error: FiredetectError) -> str:
    if isinstance(error, CalibrationError):
        return "its calibration memory is read with errors: cable, supply, then another sensor"
    if isinstance(error, BusError):
        return f"{_PINS}; a detector that runs opens it again by itself"
    if isinstance(error, TornFrameError):
        return "see the finding on its rate; else cable, 10 uF + 100 nF at the sensor, supply"
    if isinstance(error, FrameRejectedError):
        return f"{_PINS}; is it the right sensor at this address?"
    if isinstance(error, NoFrameError):
        return "switch its supply off and on; a restart does not do it"
    return "another or a damaged sensor is at this address: see what is fitted there"
