"""The Grove Multichannel Gas Sensor v2: raw counts of four films, never a concentration."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from firedetect.clock import Clock
from firedetect.config import GasSettings
from firedetect.errors import FrameRejectedError
from firedetect.readings import GasCounts, Sensor, SensorOpened
from firedetect.sensors.base import since_boot_s
from firedetect.sensors.bus import I2cBus

COUNTS_MAX = 1023
"""The board's converter has 10 bits; more is a floating bus or a damaged transfer."""


@dataclass(frozen=True, slots=True)
class Command:
    """One byte to send, seconds to wait, bytes to read after it."""

    code: int
    wait_s: float = 0.001
    reply_bytes: int = 4

    @property
    def send(self) -> bytes:
        """The bytes on the wire."""
        return bytes((self.code,))


# 0x55 is not here and must never be sent: it changes the board's address for good.
NO2 = Command(0x01)
C2H5OH = Command(0x03)
VOC = Command(0x05)
CO = Command(0x07)
HEAT = Command(0xFE, reply_bytes=0)
"""Switches the heaters on; without it the films stay cold after a heater-off command."""


class GroveGas:
    """Reads the four films one after the other."""

    sensor = Sensor.GAS

    def __init__(
        self,
        bus: I2cBus,
        settings: GasSettings,
        clock: Clock,
        powered_s: Callable[[], float] = since_boot_s,
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._powered_s = powered_s

    async def open(self) -> SensorOpened:
        """Switch the heaters on and see that the board answers with counts."""
        await self._run(HEAT)
        await self._counts(NO2)
        return SensorOpened(self._clock.monotonic_ns(), self.sensor, self._powered_s())

    async def read(self) -> GasCounts:
        """Return the counts of all four films; raises FrameRejectedError if one is impossible."""
        no2 = await self._counts(NO2)
        c2h5oh = await self._counts(C2H5OH)
        voc = await self._counts(VOC)
        co = await self._counts(CO)
        return GasCounts(self._clock.monotonic_ns(), no2=no2, c2h5oh=c2h5oh, voc=voc, co=co)

    async def close(self) -> None:
        """Leave the heaters on: cold films would need a new warm-up."""

    async def _counts(self, command: Command) -> float:
        return decode_counts(command, await self._run(command))

    async def _run(self, command: Command) -> bytes:
        address = self._settings.address
        await self._bus.transfer_again(address, command.send)
        await asyncio.sleep(command.wait_s)
        if not command.reply_bytes:
            return b""
        # A transfer of its own: the board does not know the repeated start.
        return await self._bus.transfer_again(address, b"", command.reply_bytes)


def decode_counts(command: Command, reply: bytes) -> float:
    """Return the counts in a reply (little-endian, 0 to 1023)."""
    counts = int.from_bytes(reply, "little")
    if counts > COUNTS_MAX:
        raise FrameRejectedError(
            f"gas: command 0x{command.code:02X} answered 0x{reply.hex()}, "
            f"expected at most {COUNTS_MAX}"
        )
    return float(counts)
