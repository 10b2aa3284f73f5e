"""What every sensor driver offers."""

import time
from typing import Protocol, runtime_checkable

from firedetect.readings import Event, Sensor, SensorOpened


class Driver(Protocol):
    """Sets one sensor up and reads it; every wait inside has a deadline.

    Failures are SensorErrors. After any of them but FrameRejectedError the sensor needs `open`
    again.
    """

    @property
    def sensor(self) -> Sensor:
        """Which sensor this is."""

    async def open(self) -> SensorOpened:
        """Set the sensor up, also when it was open before."""

    async def read(self) -> Event:
        """Return the next reading."""

    async def close(self) -> None:
        """Leave the sensor alone; the bus stays open."""


@runtime_checkable
class Hearing(Protocol):
    """A driver whose sensor corrects itself by what another one measures."""

    def heard(self, event: Event) -> None:
        """Note a reading of any sensor; never blocks."""


def since_boot_s() -> float:
    """Seconds since this machine got its power, and with it the sensors."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
