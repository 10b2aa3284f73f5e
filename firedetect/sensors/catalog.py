"""The one list of sensors that exist."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from firedetect.clock import Clock
from firedetect.config import AirSettings, Co2Settings, GasSettings, Settings, ThermalSettings
from firedetect.readings import Sensor
from firedetect.sensors.base import Driver, since_boot_s
from firedetect.sensors.bme280 import Bme280
from firedetect.sensors.bus import I2cBus
from firedetect.sensors.grove_gas import GroveGas
from firedetect.sensors.mlx90640.driver import Mlx90640
from firedetect.sensors.scd41 import Scd41


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
    specs = []
    if settings.thermal.enabled:
        specs.append(_thermal(settings.thermal))
    if settings.gas.enabled:
        specs.append(_gas(settings.gas))
    if settings.co2.enabled:
        specs.append(_co2(settings.co2))
    if settings.air.enabled:
        specs.append(_air(settings.air))
    return tuple(specs)


def _thermal(section: ThermalSettings) -> SensorSpec:
    def build(bus: I2cBus, clock: Clock, powered_s: Callable[[], float] = since_boot_s) -> Mlx90640:
        return Mlx90640(bus, section, clock, powered_s)

    return SensorSpec(
        sensor=Sensor.THERMAL,
        section="thermal",
        stale_s=3.0,
        interval_s=0.0,
        bus=section.bus,
        address=section.address,
        factory=build,
    )


def _gas(section: GasSettings) -> SensorSpec:
    def build(bus: I2cBus, clock: Clock, powered_s: Callable[[], float] = since_boot_s) -> GroveGas:
        return GroveGas(bus, section, clock, powered_s)

    return SensorSpec(
        sensor=Sensor.GAS,
        section="gas",
        stale_s=8.0,
        interval_s=section.interval_s,
        bus=section.bus,
        address=section.address,
        factory=build,
    )


def _co2(section: Co2Settings) -> SensorSpec:
    def build(bus: I2cBus, clock: Clock, powered_s: Callable[[], float] = since_boot_s) -> Scd41:
        return Scd41(bus, section, clock, powered_s)

    return SensorSpec(
        sensor=Sensor.CO2,
        section="co2",
        stale_s=20.0,
        interval_s=section.interval_s,
        bus=section.bus,
        address=section.address,
        factory=build,
    )


def _air(section: AirSettings) -> SensorSpec:
    def build(bus: I2cBus, clock: Clock, powered_s: Callable[[], float] = since_boot_s) -> Bme280:
        return Bme280(bus, section, clock, powered_s)

    return SensorSpec(
        sensor=Sensor.AIR,
        section="air",
        stale_s=8.0,
        interval_s=section.interval_s,
        bus=section.bus,
        address=section.address,
        factory=build,
    )
