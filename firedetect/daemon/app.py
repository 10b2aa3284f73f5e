"""The daemon: runs its parts as supervised tasks and ends them in order."""

import asyncio
import contextlib
import signal
from contextlib import AsyncExitStack, ExitStack
from functools import partial

import structlog

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.daemon.acquire import acquire, tick
from firedetect.daemon.notify import feed_watchdog, notify
from firedetect.daemon.parts import Parts, Surroundings, assemble
from firedetect.daemon.remember import Memory, approved_mask, open_memory, restored
from firedetect.daemon.remote.config import RemoteConfig
from firedetect.daemon.served import served
from firedetect.daemon.start_settings import TROUBLE, StartSettings
from firedetect.daemon.supervise import supervise
from firedetect.errors import FiredetectError
from firedetect.features.jit import compiled_anew
from firedetect.readings import Sensor, SettingsChanged, Started, Stream, SystemTrouble
from firedetect.sensors.base import Hearing
from firedetect.sensors.catalog import SensorSpec

_log = structlog.get_logger()


async def run_daemon(settings: Settings, around: Surroundings) -> None:
    """Run the detector until it is told to stop; raises FiredetectError if it cannot start."""
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        memory = open_memory(settings, around.clock, stack.enter_context(ExitStack()))
        if around.start is not None:
            _keep_settings(around.start, memory)
        parts = assemble(settings, around, memory, stack)
        compiled = compiled_anew()
        if compiled:
            _log.warning("kernels were not in the cache", compiled=compiled)
        _announce(settings, parts, memory, around.clock)
        if around.served:
            await stack.enter_async_context(served(settings, memory, parts, around.clock))
        _plan_tasks(parts, around)
        parts.remote.watch()
        parts.models.watch()
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
            async with asyncio.timeout(around.duration_s):
                await stop.wait()
        notify("STOPPING=1")
        _log.info("stopping")
        failed = [task for task in supervised if _failure(task) is not None]
        await _stop(parts, supervised, around.clock)
        for task in failed:
            raise FiredetectError(f"task {task.get_name()} could not go on: {_failure(task)}")


def _keep_settings(start: StartSettings, memory: Memory) -> None:
    """Keep a copy of a good settings file; a trouble of `memory` is what is wrong with either."""
    problem = start.problem or (start.keep(memory.folder.path) if memory.folder else "")
    if problem:
        _log.error("the settings file is not in order", problem=problem)
        memory.troubles[TROUBLE] = problem


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    """Return what ended a supervised task, None while it runs or if it ended well."""
    return task.exception() if task.done() and not task.cancelled() else None


def _stop_if_failed(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    """End the daemon when supervision itself failed: the service manager starts it again."""
    if _failure(task) is not None:
        stop.set()


async def _stop(parts: Parts, supervised: list[asyncio.Task[None]], clock: Clock) -> None:
    """End in order: no new events, then what is queued, then outputs, state, buses, cameras."""
    for task in supervised:
        task.cancel()
    await asyncio.wait(supervised)
    await parts.detector.drain()
    if parts.siren is not None:
        await parts.siren.close()
    await parts.remote.close()
    parts.models.close()
    parts.trial.close()
    parts.places.save()
    await parts.incidents.close()
    parts.disk.close()
    if parts.cloud is not None:
        await parts.cloud.close()
    await parts.keeper.close(parts.detector.pipeline.remembered(clock.monotonic_ns()))
    await parts.wiring.close()


def _announce(settings: Settings, parts: Parts, memory: Memory, clock: Clock) -> None:
    """Put what the pipeline must know before the first reading into the queue."""
    now = clock.monotonic_ns()
    streams = tuple(Stream(spec.sensor, spec.stale_s) for spec in parts.sensors)
    queue = parts.queue
    queue.put(Started(now, settings.device.id, memory.boot, clock.wall_ns(), streams))
    queue.put(SettingsChanged(now, parts.remote.decision))
    queue.put(restored(settings, memory, now))
    mask = approved_mask(settings, memory, now)
    if mask is not None:
        queue.put(mask)
    for name, why in memory.troubles.items():
        queue.put(SystemTrouble(now, name, active=True, detail=why))
    parts.troubles.release()
    _log.info(
        "detecting",
        device=settings.device.id,
        boot=memory.boot,
        sensors=[spec.sensor.value for spec in parts.sensors],
        model=parts.models.refused or "loaded",
    )


def _plan_tasks(parts: Parts, around: Surroundings) -> None:
    """List every task by name."""
    tasks, clock = parts.tasks, around.clock
    for spec in parts.sensors:
        driver = spec.factory(parts.wiring, clock, around.powered_s)
        if isinstance(driver, Hearing):
            parts.detector.on_reading += (driver.heard,)
        interval_s = partial(_interval_s, spec, parts.remote)
        tasks[f"acquire:{spec.sensor}"] = partial(
            acquire, spec, driver, parts.queue, clock, interval_s
        )
    tasks["tick"] = partial(tick, parts.queue, clock)
    tasks["clock"] = parts.wall_clock.run
    tasks["detect"] = parts.detector.run
    tasks["self-check"] = parts.self_check.run
    tasks["incidents"] = parts.incidents.run
    if parts.siren is not None:
        tasks["outputs"] = parts.siren.run
    if parts.button is not None:
        tasks["button"] = parts.button.run
    tasks["telemetry"] = parts.telemetry.run
    if parts.cloud is not None:
        tasks.update(parts.cloud.tasks())
    if parts.only_path is not None:
        tasks["only-path"] = parts.only_path.run
    if parts.pictures is not None:
        tasks["pictures"] = parts.pictures.run
    tasks["watchdog"] = partial(feed_watchdog, lambda: parts.detector.processed)


def _interval_s(spec: SensorSpec, remote: RemoteConfig) -> float:
    """Return how long to wait between two reads, as it may have been set from afar."""
    return remote.settings.sensors.gas.interval_s if spec.sensor is Sensor.GAS else spec.interval_s
