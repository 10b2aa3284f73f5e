"""Calibrates the gas board at the device: listens, tells how far it is, writes what was agreed."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from firedetect.clock import Clock, SystemClock
from firedetect.commissioning.files import Value, keep_baseline
from firedetect.commissioning.gas import moved_too_far
from firedetect.commissioning.session import GasSession, Proposal
from firedetect.config import GasBaseline, Settings, load_gas_baseline
from firedetect.daemon.calibration.free import take_sensors
from firedetect.daemon.calibration.when import now_text
from firedetect.daemon.models.install import model_store
from firedetect.daemon.sources import Wires, listening, wires_of
from firedetect.errors import FiredetectError
from firedetect.model.bundle import load_bundle
from firedetect.model.scorer import Scorer
from firedetect.pipeline import Pipeline
from firedetect.sensors.decode import Decoder


def calibrate_gas(
    settings: Settings,
    *,
    simulate: str | None,
    steady_s: float,
    show: Callable[[GasSession], None],
) -> Proposal:
    """Return the baseline of clean air; `show` is told after every reading.

    Raises FiredetectError if there is no gas board, if the detector holds the buses, or with the
    reason why the air told nothing.
    """
    if not settings.gas.enabled:
        raise FiredetectError("there is no gas board: gas.enabled is false")
    take_sensors(settings, simulate)
    clock = SystemClock()
    found = asyncio.run(
        listen(settings, wires_of(settings, simulate, clock), steady_s, show, clock)
    )
    if isinstance(found, str):
        raise FiredetectError(f"no baseline: {found}")
    return found


def calibration_path(settings: Settings) -> Path:
    """Return the file that a gas calibration is written to."""
    return settings.gas.calibration or settings.device.data_dir / "gas.toml"


def present_baseline(path: Path) -> GasBaseline | None:
    """Return the baseline in force, None without a file; a damaged one raises ConfigError."""
    return load_gas_baseline(path) if path.exists() else None


def too_far(proposal: Proposal, present: GasBaseline | None) -> str:
    """Return which films are further from the present baseline than drift takes them, or none."""
    return "" if present is None else moved_too_far(present, proposal.baseline)


def write(path: Path, proposal: Proposal, clock: Clock | None = None) -> GasBaseline:
    """Write the baseline with when and how it was taken; the file before is kept beside it."""
    sure = {f"{film}_uncertainty": round(off, 3) for film, off in proposal.uncertainty.items()}
    taken: dict[str, Value] = {"at": now_text(clock), **sure, **proposal.taken}
    return keep_baseline(path, proposal.baseline, taken)


async def listen(
    settings: Settings,
    wires: Wires,
    steady_s: float,
    show: Callable[[GasSession], None],
    clock: Clock,
) -> Proposal | str:
    """Return the baseline, or why there is none; `calibrate_gas` without its asking."""
    session = GasSession(wires.powered_s(), steady_s, settings.gas.interval_s)
    decoder = Decoder()
    # A detector of its own looks on: what it suspects is no clean air.
    pipeline = Pipeline(Scorer(load_bundle(model_store(settings).active_bundle_path())))
    async with listening(settings, wires, clock) as heard:
        while not session.over:
            for event in decoder.feed(await heard.queue.get()):
                session.feed(event)
                for outcome in pipeline.run([event]):
                    session.level(outcome.level)
            show(session)
    return session.proposal()
