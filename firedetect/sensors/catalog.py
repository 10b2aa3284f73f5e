"""The one list of sensors that exist."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from firedetect.clock import Clock
from firedetect.config import AirSettings, Co2Settings, GasSettings, Settings, ThermalSettings
from firedetect.readings import Sensor
from firedetect.sensors.base import Driver, since_boot_s
from firedetect.sensors.bme280 import Bme280
from firedetect.sensors.bus import I2cBus
from firedetect.sensors.grove_gas import GroveGas
from firedetect.sensors.mlx90640.driver import Mlx90640
from firedetect.sensors.scd41 import Scd41

_Section = TypeVar("_Section", ThermalSettings, GasSettings, Co2Settings, AirSettings)


class Factory(Protocol):
    """Makes the driver of a sensor; `powered_s` says for how long the sensor has had power."""

    def __call__(
        self, bus: I2cBus, clock: Clock, powered_s: Callable[[], float] = since_boot_s
    ) -> Driver:
        """Return a driver that is not open yet."""


@dataclass(frozen=True, slots=True)
class SensorSpec:
    """A sensor as the settings want it.

    `section` names its settings, `bus` and `address` its place. A reading older than `stale_s` is
    none. The caller waits `interval_s` between reads; 0 where `read` itself waits for data.
    """

    sensor: Sensor
    section: str
    stale_s: float
    interval_s: float
    bus: int
    address: int
    factory: Factory


def configured(settings: Settings) -> tuple[SensorSpec, ...]:
    """Return the sensors that the settings enable, fire inputs with an image first."""
    thermal, gas, co2, air = settings.thermal, settings.gas, settings.co2, settings.air
    rows = (
        (thermal, _spec(Sensor.THERMAL, "thermal", thermal, Mlx90640, 3.0, 0.0)),
        (gas, _spec(Sensor.GAS, "gas", gas, GroveGas, 8.0, gas.interval_s)),
        (co2, _spec(Sensor.CO2, "co2", co2, Scd41, 20.0, co2.interval_s)),
        (air, _spec(Sensor.AIR, "air", air, Bme280, 8.0, air.interval_s)),
    )
    return tuple(spec for section, spec in rows if section.enabled)


def _spec(
    sensor: Sensor,
    name: str,
    section: _Section,
    driver: Callable[[I2cBus, _Section, Clock, Callable[[], float]], Driver],
    stale_s: float,
    interval_s: float,
) -> SensorSpec:
    def build(bus: I2cBus, clock: Clock, powered_s: Callable[[], float] = since_boot_s) -> Driver:
        return driver(bus, section, clock, powered_s)

    return SensorSpec(sensor, name, stale_s, interval_s, section.bus, section.address, build)
