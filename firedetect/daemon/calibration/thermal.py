"""Calibrates the array at the device: listens, and writes what was agreed."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from firedetect.clock import Clock, SystemClock
from firedetect.commissioning.files import keep
from firedetect.commissioning.thermal import ThermalProposal, ThermalReference, ThermalSession
from firedetect.config import Settings, ThermalCalibration, load_thermal_calibration
from firedetect.daemon.calibration.free import take_sensors
from firedetect.daemon.calibration.when import now_text
from firedetect.daemon.sources import Wires, listening, wires_of
from firedetect.errors import FiredetectError
from firedetect.sensors.decode import Decoder


def calibrate_thermal(
    settings: Settings,
    reference: ThermalReference,
    *,
    simulate: str | None,
    steady_s: float,
    show: Callable[[ThermalSession], None],
) -> ThermalProposal:
    """Return what the array shows of itself; `show` is told after every image.

    Raises FiredetectError if there is no array, if the detector holds the buses, or with the
    reason why nothing could be found out.
    """
    if settings.lepton.enabled:
        raise FiredetectError(
            "the array is a Lepton: its calibration and its emissivity are kept in the camera, "
            "there is nothing to calibrate here"
        )
    if not settings.thermal.enabled:
        raise FiredetectError("there is no array: thermal.enabled is false")
    take_sensors(settings, simulate)
    clock = SystemClock()
    found = asyncio.run(
        listen(settings, reference, wires_of(settings, simulate, clock), steady_s, show, clock)
    )
    if isinstance(found, str):
        raise FiredetectError(f"no calibration: {found}")
    return found


def thermal_path(settings: Settings) -> Path:
    """Return the file that a calibration of the array is written to."""
    return settings.thermal.calibration or settings.device.data_dir / "thermal.toml"


def present_thermal(path: Path) -> ThermalCalibration | None:
    """Return the calibration in force, None without a file; a damaged one raises ConfigError."""
    return load_thermal_calibration(path) if path.exists() else None


def write_thermal(path: Path, proposal: ThermalProposal, clock: Clock | None = None) -> None:
    """Write the calibration with when and how it was taken; raises ConfigError."""
    found = proposal.calibration.model_dump()
    keep(path, {"taken": {"at": now_text(clock), **proposal.taken}, "thermal": found})


async def listen(
    settings: Settings,
    reference: ThermalReference,
    wires: Wires,
    steady_s: float,
    show: Callable[[ThermalSession], None],
    clock: Clock,
) -> ThermalProposal | str:
    """Return the calibration, or why there is none; `calibrate_thermal` without its asking."""
    session = ThermalSession(wires.powered_s(), steady_s, settings.thermal.refresh_hz, reference)
    decoder = Decoder()
    # As the maker calibrated it: an offset is not found on top of another one.
    bare = settings.thermal.model_copy(update={"calibration": None})
    bared = settings.model_copy(update={"thermal": bare})
    async with listening(bared, wires, clock) as heard:
        while not session.over:
            for event in decoder.feed(await heard.queue.get()):
                session.feed(event)
            show(session)
    return session.proposal()
