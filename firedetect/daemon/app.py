"""The daemon: the one place where sensors, pipeline, storage, outputs and pages are joined."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.daemon.acquire import acquire, tick
from firedetect.daemon.control import ControlServer
from firedetect.daemon.detect import Detector
from firedetect.daemon.keep import Keeper
from firedetect.daemon.models import scorer_or_none
from firedetect.daemon.notify import feed_watchdog, is_service, notify
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.remember import Memory, open_memory, restored
from firedetect.daemon.siren import Siren
from firedetect.daemon.supervise import supervise
from firedetect.daemon.transitions import log_transitions
from firedetect.daemon.warmup import warm_kernels
from firedetect.decision.outcome import Outcome
from firedetect.errors import FiredetectError, WebError
from firedetect.outputs.local import Lines
from firedetect.pipeline import Pipeline
from firedetect.readings import SettingsChanged, Started, Stream, SystemTrouble
from firedetect.sensors.base import since_boot_s
from firedetect.sensors.bus import I2cBus, I2cPort
from firedetect.sensors.catalog import SensorSpec, configured
from firedetect.sensors.recording import RecordingWriter
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
        memory = open_memory(settings, around.clock, stack.enter_context(ExitStack()))
        parts = await _assemble(settings, around, memory, stack)
        if around.served:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        supervised = [
            asyncio.create_task(supervise(name, run, parts.queue, around.clock), name=name)
            for name, run in parts.tasks.items()
        ]
        for task in supervised:
            task.add_done_callback(lambda ended: _stop_if_failed(ended, stop))
        notify("READY=1")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), around.duration_s)
        notify("STOPPING=1")
        _log.info("stopping")
        failed = [task for task in supervised if _failure(task) is not None]
        await _stop(parts, supervised, around.clock)
        for task in failed:
            raise FiredetectError(f"task {task.get_name()} could not go on: {_failure(task)}")


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    """Return what ended a supervised task, None while it runs or if it ended well."""
    return task.exception() if task.done() and not task.cancelled() else None


def _stop_if_failed(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    """End the daemon when supervision itself failed: the service manager starts it again."""
    if _failure(task) is not None:
        stop.set()


async def _stop(parts: _Parts, supervised: list[asyncio.Task[None]], clock: Clock) -> None:
    """End in order: no new events, then what is queued, then outputs, state, buses."""
    for task in supervised:
        task.cancel()
    await asyncio.wait(supervised)
    await parts.detector.drain()
    if parts.siren is not None:
        await parts.siren.close()
    await parts.keeper.close(parts.detector.pipeline.remembered(clock.monotonic_ns()))
    for bus in parts.buses.values():
        await bus.close()


async def _assemble(
    settings: Settings, around: Surroundings, memory: Memory, stack: AsyncExitStack
) -> _Parts:
    clock = around.clock
    queue = EventQueue()
    keeper = Keeper(memory.store, queue, clock)
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
    _announce(settings, parts, memory, clock, refused)
    if around.served:
        await stack.enter_async_context(_served(settings, memory, parts, view, clock))
    _plan_tasks(parts, around)
    return parts


def _announce(
    settings: Settings, parts: _Parts, memory: Memory, clock: Clock, refused: str
) -> None:
    """Put what the pipeline must know before the first reading into the queue."""
    now = clock.monotonic_ns()
    streams = tuple(Stream(spec.sensor, spec.stale_s) for spec in parts.sensors)
    queue = parts.queue
    queue.put(Started(now, settings.device.id, memory.boot, clock.wall_ns(), streams))
    queue.put(SettingsChanged(now, settings.decision))
    queue.put(restored(settings, memory, now))
    for name, why in memory.troubles.items():
        queue.put(SystemTrouble(now, name, active=True, detail=why))
    _log.info(
        "detecting",
        device=settings.device.id,
        boot=memory.boot,
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
    settings: Settings, memory: Memory, parts: _Parts, view: LiveView, clock: Clock
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

    page = WebServer(view, settings.web.port) if settings.web.enabled else None
    control = None
    if memory.folder is not None:
        control = ControlServer(memory.folder.control_socket, parts.queue, clock, status)
        parts.detector.listeners.append(control.heard)
    try:
        if page is not None:
            await _start_page(page, parts.queue, clock)
        if control is not None:
            try:
                await control.start()
            except (FiredetectError, OSError) as error:
                _give_up("control", error, parts.queue, clock)
        yield
    finally:
        if control is not None:
            await control.close()
        if page is not None:
            await page.close()


async def _start_page(page: WebServer, queue: EventQueue, clock: Clock) -> None:
    """Start the page; only a person's start may end because of it, a service detects without."""
    try:
        _log.info("page", address=await page.start())
    except WebError as error:
        if not is_service():
            raise
        _give_up("page", error, queue, clock)


def _give_up(what: str, error: Exception, queue: EventQueue, clock: Clock) -> None:
    _log.error("goes on without", what=what, error=str(error))
    queue.put(SystemTrouble(clock.monotonic_ns(), what, active=True, detail=str(error)))
