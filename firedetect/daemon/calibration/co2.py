"""Forces a recalibration of the SCD41 at the device, in reference air, and records it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firedetect.clock import Clock, SystemClock
from firedetect.commissioning.co2 import Co2Session
from firedetect.commissioning.files import keep
from firedetect.config import Settings
from firedetect.daemon.calibration.free import take_sensors
from firedetect.daemon.calibration.when import now_text
from firedetect.daemon.sources import Wires, listening, wires_of
from firedetect.errors import FiredetectError
from firedetect.readings import Sensor
from firedetect.sensors.catalog import configured
from firedetect.sensors.scd41.driver import Scd41


@dataclass(frozen=True, slots=True)
class Corrected:
    """What the sensor of this number read, what it was told (ppm), and by how much it moved."""

    serial: int
    measured_ppm: float
    target_ppm: int
    correction_ppm: int


def calibrate_co2(
    settings: Settings,
    target_ppm: int,
    *,
    simulate: str | None,
    show: Callable[[Co2Session], None],
    agree: Callable[[Co2Session], None],
) -> Corrected:
    """Recalibrate once the air is steady and `agree` raises nothing.

    Raises FiredetectError if there is no sensor, if the detector holds the buses, or with the
    reason why it was not done.
    """
    if not settings.co2.enabled:
        raise FiredetectError("there is no CO2 sensor: co2.enabled is false")
    take_sensors(settings, simulate)
    clock = SystemClock()
    return asyncio.run(
        recalibrate(settings, target_ppm, wires_of(settings, simulate, clock), show, agree, clock)
    )


def record_path(settings: Settings) -> Path:
    """Return the file that says when the sensor was told what: it keeps the correction itself."""
    return settings.device.data_dir / "co2.toml"


def write_record(path: Path, done: Corrected, clock: Clock | None = None) -> None:
    """Write what was done; raises ConfigError."""
    keep(
        path,
        {
            "co2": {
                "at": now_text(clock),
                "serial": f"{done.serial:012x}",
                "measured_ppm": done.measured_ppm,
                "target_ppm": done.target_ppm,
                "correction_ppm": done.correction_ppm,
            }
        },
    )


async def recalibrate(
    settings: Settings,
    target_ppm: int,
    wires: Wires,
    show: Callable[[Co2Session], None],
    agree: Callable[[Co2Session], None],
    clock: Clock,
) -> Corrected:
    """Do what `calibrate_co2` says, without its asking who holds the sensors."""
    session = Co2Session(target_ppm)
    only = {
        spec.section: getattr(settings, spec.section).model_copy(update={"enabled": False})
        for spec in configured(settings)
        if spec.sensor not in (Sensor.CO2, Sensor.AIR)
    }
    async with listening(settings.model_copy(update=only), wires, clock) as heard:
        sensor = heard.drivers[Sensor.CO2]
        assert isinstance(sensor, Scd41)  # noqa: S101 - the catalog says so
        while not session.over:
            event = await heard.queue.get()
            # Its air pressure, for the sensor corrects by it.
            sensor.heard(event)
            session.feed(event)
            show(session)
        if session.problem:
            raise FiredetectError(f"not recalibrated: {session.problem}")
        # In a thread: the sensor is read on while a person thinks.
        await asyncio.to_thread(agree, session)
        correction = await sensor.recalibrate(target_ppm)
    return Corrected(sensor.serial or 0, session.measured_ppm, target_ppm, correction)
