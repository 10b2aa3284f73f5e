"""Calibrates the gas board at the device: listens, tells how far it is, writes what was agreed."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from firedetect.clock import Clock, SystemClock
from firedetect.commissioning.gas import moved_too_far
from firedetect.commissioning.session import GasSession, Proposal
from firedetect.config import GasBaseline, LogSettings, Settings, load_gas_baseline
from firedetect.daemon.control import ask
from firedetect.daemon.gas_file import keep_baseline
from firedetect.daemon.logs import configure_logging
from firedetect.daemon.models.install import model_store
from firedetect.daemon.sources import listening, powered_of
from firedetect.errors import ConfigError, ControlError, FiredetectError
from firedetect.model.bundle import load_bundle
from firedetect.model.scorer import Scorer
from firedetect.pipeline import Pipeline
from firedetect.sensors.decode import Decoder

NS_PER_S = 1_000_000_000


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
    if simulate is None and _is_running(settings):
        raise FiredetectError(
            "the detector is running and holds the sensors: stop it first (systemctl stop "
            "firedetect), or send it a `calibrate` job"
        )
    # What a sensor does is told once, by the guide.
    configure_logging(LogSettings(level="error"), sys.stderr)
    found = asyncio.run(listen(settings, simulate, steady_s, show, SystemClock()))
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
    when = datetime.fromtimestamp((clock or SystemClock()).wall_ns() / NS_PER_S, UTC)
    sure = {f"{film}_uncertainty": round(off, 3) for film, off in proposal.uncertainty.items()}
    taken: dict[str, float | str] = {"at": f"{when:%Y-%m-%dT%H:%M:%SZ}", **sure, **proposal.taken}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return keep_baseline(path, proposal.baseline, taken)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be kept: {error.strerror or error}") from error


async def listen(
    settings: Settings,
    simulate: str | None,
    steady_s: float,
    show: Callable[[GasSession], None],
    clock: Clock,
) -> Proposal | str:
    """Return the baseline, or why there is none; `calibrate_gas` without its asking."""
    session = GasSession(powered_of(simulate)(), steady_s, settings.gas.interval_s)
    decoder = Decoder()
    # A detector of its own looks on: what it suspects is no clean air.
    pipeline = Pipeline(Scorer(load_bundle(model_store(settings).active_bundle_path())))
    async with listening(settings, simulate, clock) as queue:
        while not session.over:
            for event in decoder.feed(await queue.get()):
                session.feed(event)
                for outcome in pipeline.run([event]):
                    session.level(outcome.level)
            show(session)
    return session.proposal()


def _is_running(settings: Settings) -> bool:
    try:
        ask(settings.device.data_dir / "control.sock", {"do": "status"})
    except ControlError as error:
        # One that is there and does not answer holds the sensors all the same.
        return not isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError)
    return True
