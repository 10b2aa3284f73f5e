"""Where events come from: the buses of the Pi, or those of an emulated scenario."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.daemon.acquire import acquire, tick
from firedetect.daemon.emulation import (
    emulated_lepton,
    emulated_port,
    find_episode,
    warm_emulation,
)
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.supervise import supervise
from firedetect.errors import FiredetectError
from firedetect.readings import Restored, Sensor, SettingsChanged, Started, Stream
from firedetect.sensors.base import Driver, since_boot_s
from firedetect.sensors.bus import I2cPort, open_i2c
from firedetect.sensors.catalog import configured
from firedetect.sensors.frames import FrameSource, OpenFrames, frames_of
from firedetect.sensors.wiring import Wiring

ALWAYS_WARM_S = 1e9
"""The emulated gas board has been powered for ever, unless a scenario says otherwise."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What the sensors deliver, and their drivers."""

    queue: EventQueue
    drivers: Mapping[Sensor, Driver]


@dataclass(frozen=True, slots=True)
class Wires:
    """What opens a bus by its number, what a camera, and for how long they have had power (s)."""

    open_port: Callable[[int], I2cPort]
    powered_s: Callable[[], float]
    open_frames: OpenFrames = frames_of


def wires_of(settings: Settings, simulate: str | None, clock: Clock) -> Wires:
    """Return those of the Pi, or of an emulated scenario."""
    if simulate is None:
        return Wires(open_i2c, since_boot_s)
    episode = find_episode(simulate, settings)
    warm_emulation(episode, settings)

    # The chips live on when a bus is opened again; their time begins with the first opening.
    @cache
    def port() -> I2cPort:
        return emulated_port(episode, settings, clock)

    @cache
    def board() -> FrameSource:
        return emulated_lepton(episode, settings, clock)

    return Wires(lambda _number: port(), lambda: ALWAYS_WARM_S, lambda *_device: board())


@contextlib.asynccontextmanager
async def listening(settings: Settings, wires: Wires, clock: Clock) -> AsyncIterator[Listening]:
    """Let every sensor that is configured deliver into a queue, without a detector.

    The queue begins with what a recording begins with. Raises FiredetectError without a sensor.
    """
    queue = EventQueue()
    sensors = configured(settings)
    if not sensors:
        raise FiredetectError("no sensor is enabled")
    wiring = Wiring(wires.open_port, wires.open_frames)
    now = clock.monotonic_ns()
    streams = tuple(Stream(spec.sensor, spec.stale_s) for spec in sensors)
    queue.put(Started(now, settings.device.id, 0, clock.wall_ns(), streams))
    queue.put(SettingsChanged(now, settings.decision))
    queue.put(Restored(now))
    drivers = {spec.sensor: spec.factory(wiring, clock, wires.powered_s) for spec in sensors}
    runs = {
        f"acquire:{spec.sensor}": partial(acquire, spec, drivers[spec.sensor], queue, clock)
        for spec in sensors
    } | {"tick": partial(tick, queue, clock)}
    tasks = [
        asyncio.create_task(supervise(name, task, queue, clock), name=name)
        for name, task in runs.items()
    ]
    try:
        yield Listening(queue, drivers)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await wiring.close()
