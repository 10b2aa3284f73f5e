"""Where events come from: the buses of the Pi, or those of an emulated scenario."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.daemon.acquire import acquire, tick
from firedetect.daemon.emulation import emulated_port, find_episode, warm_emulation
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.supervise import supervise
from firedetect.errors import FiredetectError
from firedetect.readings import Restored, Sensor, SettingsChanged, Started, Stream
from firedetect.sensors.base import Driver, since_boot_s
from firedetect.sensors.bus import I2cBus, I2cPort, open_i2c
from firedetect.sensors.catalog import configured

ALWAYS_WARM_S = 1e9
"""The emulated gas board has been powered for ever, unless a scenario says otherwise."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What the sensors deliver, and their drivers."""

    queue: EventQueue
    drivers: Mapping[Sensor, Driver]


@dataclass(frozen=True, slots=True)
class Wires:
    """What opens a bus by its number, and for how long the sensors have had power (s)."""

    open_port: Callable[[int], I2cPort]
    powered_s: Callable[[], float]


def wires_of(settings: Settings, simulate: str | None, clock: Clock) -> Wires:
    """Return those of the Pi, or of an emulated scenario."""
    return Wires(ports_of(settings, simulate, clock), powered_of(simulate))


@contextlib.asynccontextmanager
async def listening(settings: Settings, wires: Wires, clock: Clock) -> AsyncIterator[Listening]:
    """Let every sensor that is configured deliver into a queue, without a detector.

    The queue begins with what a recording begins with. Raises FiredetectError without a sensor.
    """
    queue = EventQueue()
    sensors = configured(settings)
    if not sensors:
        raise FiredetectError("no sensor is enabled")
    buses = {
        spec.bus: I2cBus(f"i2c-{spec.bus}", partial(wires.open_port, spec.bus)) for spec in sensors
    }
    now = clock.monotonic_ns()
    streams = tuple(Stream(spec.sensor, spec.stale_s) for spec in sensors)
    queue.put(Started(now, settings.device.id, 0, clock.wall_ns(), streams))
    queue.put(SettingsChanged(now, settings.decision))
    queue.put(Restored(now))
    drivers = {
        spec.sensor: spec.factory(buses[spec.bus], clock, wires.powered_s) for spec in sensors
    }
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
        for bus in buses.values():
            await bus.close()


def ports_of(settings: Settings, simulate: str | None, clock: Clock) -> Callable[[int], I2cPort]:
    """Return what opens a bus by its number: the Pi's, or the emulated one of a scenario."""
    if simulate is None:
        return open_i2c
    episode = find_episode(simulate)
    warm_emulation(episode, settings)
    made: list[I2cPort] = []

    def open_emulated(_number: int) -> I2cPort:
        # The chips live on when a bus is opened again; their time begins with the first opening.
        if not made:
            made.append(emulated_port(episode, settings, clock))
        return made[0]

    return open_emulated


def powered_of(simulate: str | None) -> Callable[[], float]:
    """Return what tells for how long the gas board has had power (s)."""
    return since_boot_s if simulate is None else lambda: ALWAYS_WARM_S
