"""The daemon: the one place where sensors, pipeline, storage, outputs and pages are joined."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from firedetect.clock import Clock
from firedetect.config import Settings, load_gas_baseline
from firedetect.contract.level import LATCHING_FROM
from firedetect.daemon.acquire import acquire, tick
from firedetect.daemon.control import ControlServer
from firedetect.daemon.detect import Detector
from firedetect.daemon.keep import Keeper
from firedetect.daemon.models import scorer_or_none
from firedetect.daemon.notify import feed_watchdog, notify
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.siren import Siren
from firedetect.daemon.supervise import supervise
from firedetect.daemon.warmup import warm_kernels
from firedetect.decision.outcome import Outcome, number
from firedetect.outputs.local import Lines
from firedetect.pipeline import Pipeline
from firedetect.readings import Restored, SettingsChanged, Started, Stream, SystemTrouble
from firedetect.sensors.base import since_boot_s
from firedetect.sensors.bus import I2cBus, I2cPort
from firedetect.sensors.catalog import SensorSpec, configured
from firedetect.sensors.codec import decode
from firedetect.sensors.recording import RecordingWriter
from firedetect.storage.folder import DataFolder
from firedetect.storage.store import Store
from firedetect.web.server import WebServer
from firedetect.web.view import LiveView

_log = structlog.get_logger()

OpenPort = Callable[[int], I2cPort]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What differs between a Pi, a simulation and a test: buses, outputs, time, listeners."""

    clock: Clock
    open_port: OpenPort
    lines: Lines | None = None
    powered_s: Callable[[], float] = since_boot_s
    listeners: tuple[Callable[[Outcome], None], ...] = ()
    record: Path | None = None
    duration_s: float | None = None
    served: bool = True
    """Whether page and control socket are offered."""


@dataclass(slots=True)
class _Parts:
    """Everything that runs, as `_assemble` put it together."""

    queue: EventQueue
    detector: Detector
    sensors: tuple[SensorSpec, ...]
    buses: Mapping[int, I2cBus]
    keeper: Keeper
    siren: Siren | None
    tasks: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)


async def run_daemon(settings: Settings, around: Surroundings) -> None:
    """Run the detector until it is told to stop; raises FiredetectError if it cannot start."""
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.device.data_dir))
        parts = await _assemble(settings, around, folder, stack)
        if around.served:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        supervised = [
            asyncio.create_task(supervise(name, run, parts.queue, around.clock), name=name)
            for name, run in parts.tasks.items()
        ]
        notify("READY=1")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), around.duration_s)
        notify("STOPPING=1")
        _log.info("stopping")
        await _stop(parts, supervised, around.clock)


async def _stop(parts: _Parts, supervised: list[asyncio.Task[None]], clock: Clock) -> None:
    """End in order: no new events, then what is queued, then state, outputs, buses."""
    for task in supervised:
        task.cancel()
    await asyncio.wait(supervised)
    await parts.detector.drain()
    await parts.keeper.close(parts.detector.pipeline.remembered(clock.monotonic_ns()))
    if parts.siren is not None:
        await parts.siren.close()
    for bus in parts.buses.values():
        await bus.close()


async def _assemble(
    settings: Settings, around: Surroundings, folder: DataFolder, stack: AsyncExitStack
) -> _Parts:
    clock = around.clock
    queue = EventQueue()
    store = Store(folder.database)
    boot = store.next_boot()
    keeper = Keeper(store, queue, clock)
    scorer, refused = scorer_or_none(settings.model.bundle)
    recorder = stack.enter_context(RecordingWriter(around.record)) if around.record else None
    view = LiveView(clock, settings.decision.thresholds)
    warm_kernels(scorer)
    siren = Siren(around.lines, queue, clock) if around.lines else None
    detector = Detector(
        pipeline=Pipeline(scorer, settings.decision),
        queue=queue,
        keeper=keeper,
        clock=clock,
        device=settings.device.id,
        site=settings.device.site,
        first=siren.show if siren else lambda _outcome: None,
        listeners=[view.outcome, log_transitions(), *around.listeners],
        on_image=view.image,
        recorder=recorder,
    )
    sensors = configured(settings)
    buses = {
        number: I2cBus(f"i2c-{number}", partial(around.open_port, number))
        for number in {spec.bus for spec in sensors}
    }
    parts = _Parts(queue, detector, sensors, buses, keeper, siren)
    if around.served:
        await stack.enter_async_context(_served(settings, folder, parts, view, clock))
    _announce(settings, parts, boot, store, clock, refused)
    _plan_tasks(parts, around)
    return parts


def _announce(
    settings: Settings, parts: _Parts, boot: int, store: Store, clock: Clock, refused: str
) -> None:
    """Put what the pipeline must know before the first reading into the queue."""
    now = clock.monotonic_ns()
    streams = tuple(Stream(spec.sensor, spec.stale_s) for spec in parts.sensors)
    queue = parts.queue
    queue.put(Started(now, settings.device.id, boot, clock.wall_ns(), streams))
    queue.put(SettingsChanged(now, settings.decision))
    queue.put(_restored(settings, store, now))
    if store.moved_aside is not None:
        queue.put(SystemTrouble(now, "database", True, f"damaged, now {store.moved_aside.name}"))  # noqa: FBT003
    _log.info(
        "detecting",
        device=settings.device.id,
        boot=boot,
        sensors=[spec.sensor.value for spec in parts.sensors],
        model=refused or "loaded",
    )


def _plan_tasks(parts: _Parts, around: Surroundings) -> None:
    """List every task by name."""
    tasks, clock = parts.tasks, around.clock
    for spec in parts.sensors:
        driver = spec.factory(parts.buses[spec.bus], clock, around.powered_s)
        tasks[f"acquire:{spec.sensor}"] = partial(acquire, spec, driver, parts.queue, clock)
    tasks["tick"] = partial(tick, parts.queue, clock)
    tasks["detect"] = parts.detector.run
    if parts.siren is not None:
        tasks["outputs"] = parts.siren.run
    tasks["watchdog"] = partial(feed_watchdog, lambda: parts.detector.processed)


@asynccontextmanager
async def _served(
    settings: Settings, folder: DataFolder, parts: _Parts, view: LiveView, clock: Clock
) -> AsyncIterator[None]:
    """Offer control socket and page; a port in use ends the start with a clear error."""

    async def status() -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "device": settings.device.id,
            "processed": parts.detector.processed,
            "dropped": parts.queue.dropped,
            "waiting_messages": await parts.keeper.waiting(),
            "outcome": view.record(),
        }

    control = ControlServer(folder.control_socket, parts.queue, clock, status)
    parts.detector.listeners.append(control.heard)
    page = WebServer(view, settings.web.port) if settings.web.enabled else None
    try:
        if page is not None:
            address = await page.start()
            _log.info("page", address=address)
        await control.start()
        yield
    finally:
        await control.close()
        if page is not None:
            await page.close()


def _restored(settings: Settings, store: Store, now_ns: int) -> Restored:
    """Return what the last run left, with the gas calibration that the settings name."""
    restored = Restored(now_ns)
    text = store.remembered()
    if text is not None:
        try:
            known = decode("Restored", json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            _log.error("the remembered state cannot be read", error=str(error))
        else:
            assert isinstance(known, Restored)  # noqa: S101 - decoded by that name
            restored = replace(known, t_ns=now_ns)
    path = settings.gas.calibration
    if path is not None:
        calibrated = load_gas_baseline(path)
        # A new calibration file begins without the drift of the old one.
        if restored.gas_baseline != calibrated:
            restored = replace(restored, gas_baseline=calibrated, gas_tracked=None)
    return restored


def log_transitions() -> Callable[[Outcome], None]:
    """Return a listener that logs each change of level, health or alarm with its reasons."""
    shown: list[Outcome] = []

    def hear(outcome: Outcome) -> None:
        if outcome.event_id is None:
            return
        before = shown[-1] if shown else None
        shown[:] = [outcome]
        facts: dict[str, Any] = {
            "t_s": outcome.t_s,
            "reasons": list(outcome.reasons),
            "score": number(outcome.score),
            "health": outcome.health.value,
            "alarm": outcome.alarm.value,
            "event_id": outcome.event_id,
        }
        if outcome.troubles:
            facts["troubles"] = list(outcome.troubles)
        if before is None or before.level is not outcome.level:
            was = before.level.label if before else "start"
            log = _log.warning if outcome.level >= LATCHING_FROM else _log.info
            log(f"level {was} -> {outcome.level.label}", **facts)
        elif before.current is not outcome.current:
            was, now = before.current.label, outcome.current.label
            _log.info(f"current {was} -> {now}, level stays {outcome.level.label}", **facts)
        elif outcome.answer is not None:
            answer = outcome.answer
            said = "done" if answer.accepted else f"refused: {answer.detail}"
            _log.info(f"command {answer.action.value}: {said}", **facts)
        elif before.troubles != outcome.troubles or before.health is not outcome.health:
            log = _log.warning if outcome.troubles else _log.info
            log("troubles" if outcome.troubles else "no trouble", **facts)
        else:
            _log.info("alarm state", **facts)

    return hear
