"""What every sensor driver offers, and what some of them share."""

import time
from typing import Final, Protocol, runtime_checkable

from firedetect.clock import NS_PER_S
from firedetect.errors import FrozenError
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


FROZEN_S: Final = 600.0
"""As long as with the gas board. Of temperature, humidity and CO2 or pressure each has noise of
some steps: when none of them has moved for so long, nothing was measured."""


class Stillness:
    """Notices that the raw words of a sensor of the air stand still; a new `open` thaws nothing."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._words: object = None
        self._since_ns = 0

    def expect_change(self, t_ns: int, words: object) -> None:
        """Take the words of a reading; raises FrozenError if they have not changed for long."""
        if words != self._words:
            self._words, self._since_ns = words, t_ns
        elif t_ns - self._since_ns > FROZEN_S * NS_PER_S:
            raise FrozenError(f"{self._sensor}: the raw words do not change any more")
