"""Looks at one I2C bus: who answers, does it hold up, how fast is it really; nothing is judged."""

import asyncio
import errno
from dataclasses import dataclass
from functools import partial
from typing import Final

from firedetect.clock import NS_PER_S, Clock
from firedetect.config import Settings
from firedetect.doctor.host import Host
from firedetect.errors import BusError, BusStuckError
from firedetect.readings import Sensor
from firedetect.sensors import bme280
from firedetect.sensors.bus import I2cBus
from firedetect.sensors.catalog import configured
from firedetect.sensors.mlx90640.driver import EEPROM, EEPROM_READS, STATUS
from firedetect.sensors.scd41.wire import READY

SCAN_LIMIT_S: Final = 8.0
SCAN_DEADLINE_S: Final = 1.5
"""A controller that gives up by itself does so after about a second."""
ROUNDS: Final = 20
"""So many short reads show whether transfers fail now and then."""

_NOBODY: Final = (errno.EREMOTEIO, errno.ENXIO)
_HELD: Final = (errno.ETIMEDOUT, errno.EAGAIN)


@dataclass(frozen=True, slots=True)
class Probe:
    """A transfer that does nothing to the sensor at its address; `steady`: may be repeated."""

    write: bytes
    read: int
    steady: bool = False


PROBES: Final = {
    Sensor.THERMAL: Probe(STATUS.select, 2, steady=True),
    # A board that got no command answers with its last counts.
    Sensor.GAS: Probe(b"", 1),
    Sensor.CO2: Probe(READY.send(), 0),
    Sensor.AIR: Probe(bme280.IDENTITY.select, bme280.IDENTITY.count, steady=True),
}


@dataclass(frozen=True, slots=True)
class BusLook:
    """What was seen of a bus.

    `closed` and `held` say why nothing more was seen. `answers` are the addresses that acknowledge,
    `failures` the errors of `transfers` to them. `dumps` are reads of
    the array's EEPROM, the shortest of which took `dump_s`.
    """

    number: int
    set_hz: int | None = None
    closed: str = ""
    held: str = ""
    answers: tuple[int, ...] = ()
    transfers: int = 0
    failures: tuple[str, ...] = ()
    dumps: tuple[bytes, ...] = ()
    dump_s: float | None = None


def look_at(host: Host, settings: Settings, number: int) -> BusLook:
    """Open a bus, ask every known address, read the array's EEPROM; takes at most some seconds."""
    set_hz = _set_hz(host, number)
    try:
        host.open_i2c(number).close()
    except BusError as error:
        return BusLook(number, set_hz, closed=str(error))
    return host.play(_Looking(host, settings, number, set_hz).look())


def known_addresses(settings: Settings) -> dict[int, Sensor]:
    """Return every address at which one of our sensors can be, in order."""
    usual = {0x08: Sensor.GAS, 0x33: Sensor.THERMAL, 0x62: Sensor.CO2}
    usual |= {0x76: Sensor.AIR, 0x77: Sensor.AIR}
    wanted = {
        spec.address: spec.sensor for spec in configured(settings) if spec.address is not None
    }
    return dict(sorted((usual | wanted).items()))


def _set_hz(host: Host, number: int) -> int | None:
    """Return the speed that the device tree states."""
    path = host.at(f"/sys/bus/i2c/devices/i2c-{number}/of_node/clock-frequency")
    try:
        return int.from_bytes(path.read_bytes(), "big") or None
    except OSError:
        return None


class _Looking:
    """One look at one bus."""

    def __init__(self, host: Host, settings: Settings, number: int, set_hz: int | None) -> None:
        self._clock: Clock = host.clock
        self._settings = settings
        self._number = number
        self._set_hz = set_hz
        self._bus = I2cBus(f"i2c-{number}", partial(host.open_i2c, number))
        self._answers: list[int] = []
        self._transfers = 0
        self._failures: list[str] = []
        self._dumps: list[bytes] = []
        self._dump_s: float | None = None

    async def look(self) -> BusLook:
        """Return what is seen before the bus hangs or the time is over."""
        held = ""
        try:
            async with asyncio.timeout(SCAN_LIMIT_S):
                await self._scan()
                await self._repeat()
                await self._read_eeprom()
        except TimeoutError:
            held = f"the scan did not end within {SCAN_LIMIT_S:g} s"
        except BusError as error:
            held = str(error)
        finally:
            await self._bus.close()
        return BusLook(
            self._number,
            self._set_hz,
            held=held,
            answers=tuple(self._answers),
            transfers=self._transfers,
            failures=tuple(self._failures),
            dumps=tuple(self._dumps),
            dump_s=self._dump_s,
        )

    async def _scan(self) -> None:
        for address, sensor in known_addresses(self._settings).items():
            if await self._ask(address, PROBES[sensor]):
                self._answers.append(address)

    async def _repeat(self) -> None:
        """Ask the first steady sensor often."""
        known = known_addresses(self._settings)
        for address in self._answers:
            if PROBES[known[address]].steady:
                for _ in range(ROUNDS):
                    await self._ask(address, PROBES[known[address]], every=True)
                return

    async def _ask(self, address: int, probe: Probe, *, every: bool = False) -> bool:
        """Return whether somebody is there; raises BusError when the bus is held.

        A missing acknowledge is a failure where `every` transfer should have one.
        """
        number = 0
        try:
            await self._bus.transfer(address, probe.write, probe.read, SCAN_DEADLINE_S)
        except BusError as error:
            number = self._number_of(error)
        if number in _NOBODY and not every:
            return False
        self._transfers += 1
        if number:
            self._failures.append(errno.errorcode.get(number, "error"))
        return True

    async def _read_eeprom(self) -> None:
        """Read dumps until two agree, as the driver does, and time them."""
        address = self._settings.thermal.address
        if address not in self._answers:
            return
        for _ in range(EEPROM_READS):
            start_ns = self._clock.monotonic_ns()
            try:
                dump = await self._bus.transfer(
                    address, EEPROM.select, 2 * EEPROM.words, SCAN_DEADLINE_S
                )
            except BusError as error:
                self._transfers += 1
                self._failures.append(errno.errorcode.get(self._number_of(error), "error"))
                continue
            self._transfers += 1
            took_s = (self._clock.monotonic_ns() - start_ns) / NS_PER_S
            self._dump_s = took_s if self._dump_s is None else min(self._dump_s, took_s)
            self._dumps.append(dump)
            if len(self._dumps) > 1 and self._dumps[-2] == dump:
                return

    @staticmethod
    def _number_of(error: BusError) -> int:
        """Return the number of the error; raises it again if the bus is held."""
        cause = error.__cause__
        number = (cause.errno or errno.EIO) if isinstance(cause, OSError) else errno.EIO
        if number in _HELD or isinstance(error, BusStuckError):
            raise error
        return number
