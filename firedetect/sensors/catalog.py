"""The one list of sensors that exist."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from firedetect.clock import Clock
from firedetect.config import (
    AirSettings,
    Co2Settings,
    GasSettings,
    LeptonSettings,
    Settings,
    ThermalSettings,
)
from firedetect.readings import Sensor
from firedetect.sensors.base import Driver, since_boot_s
from firedetect.sensors.bme280 import Bme280
from firedetect.sensors.bus import I2cBus
from firedetect.sensors.grove_gas import GroveGas
from firedetect.sensors.lepton.driver import Lepton, frame_rows
from firedetect.sensors.mlx90640.driver import Mlx90640
from firedetect.sensors.scd41.driver import Scd41
from firedetect.sensors.wiring import Wiring

_Section = TypeVar("_Section", ThermalSettings, GasSettings, Co2Settings, AirSettings)


class Factory(Protocol):
    """Makes the driver of a sensor, which takes its bus or camera from the wiring.

    `powered_s` says for how long the sensor has had power.
    """

    def __call__(
        self, wiring: Wiring, clock: Clock, powered_s: Callable[[], float] = since_boot_s
    ) -> Driver:
        """Return a driver that is not open yet."""


@dataclass(frozen=True, slots=True)
class SensorSpec:
    """A sensor as the settings want it.

    `section` names its settings. A reading older than `stale_s` is none. The caller waits
    `interval_s` between reads; 0 where `read` itself waits for data. `bus` and `address` are its
    place on I2C; they are None for a sensor at a `device`.
    """

    sensor: Sensor
    section: str
    stale_s: float
    interval_s: float
    bus: int | None
    address: int | None
    factory: Factory
    device: str = ""

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return self.device if self.address is None else f"0x{self.address:02x}"


def configured(settings: Settings) -> tuple[SensorSpec, ...]:
    """Return the sensors that the settings enable, fire inputs with an image first."""
    thermal, gas, co2, air = settings.thermal, settings.gas, settings.co2, settings.air
    rows = (
        (thermal, _on_i2c(Sensor.THERMAL, "thermal", thermal, Mlx90640, 3.0, 0.0)),
        (settings.lepton, _lepton(settings.lepton)),
        (gas, _on_i2c(Sensor.GAS, "gas", gas, GroveGas, 8.0, gas.interval_s)),
        (co2, _on_i2c(Sensor.CO2, "co2", co2, Scd41, 20.0, co2.interval_s)),
        (air, _on_i2c(Sensor.AIR, "air", air, Bme280, 8.0, air.interval_s)),
    )
    return tuple(spec for section, spec in rows if section.enabled)


def _on_i2c(
    sensor: Sensor,
    name: str,
    section: _Section,
    driver: Callable[[I2cBus, _Section, Clock, Callable[[], float]], Driver],
    stale_s: float,
    interval_s: float,
) -> SensorSpec:
    def build(
        wiring: Wiring, clock: Clock, powered_s: Callable[[], float] = since_boot_s
    ) -> Driver:
        return driver(wiring.bus(section.bus), section, clock, powered_s)

    return SensorSpec(sensor, name, stale_s, interval_s, section.bus, section.address, build)


def _lepton(section: LeptonSettings) -> SensorSpec:
    def build(
        wiring: Wiring, clock: Clock, powered_s: Callable[[], float] = since_boot_s
    ) -> Driver:
        camera = wiring.camera(section.device, frame_rows(section), clock)
        return Lepton(camera, section, clock, powered_s)

    # The driver tells a stall after three seconds, by its cause; stale comes after that.
    return SensorSpec(
        Sensor.THERMAL, "lepton", 4.0, 0.0, None, None, build, device=str(section.device)
    )
