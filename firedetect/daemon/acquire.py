"""One task per sensor: opens it, reads it, turns every failure into an event, opens it again."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from firedetect.clock import NS_PER_S, Clock, sleep_until
from firedetect.daemon.queue import EventQueue
from firedetect.errors import (
    BusSlowError,
    BusStuckError,
    CalibrationError,
    FrameRejectedError,
    FrozenError,
    NoFrameError,
    SensorError,
    TornFrameError,
)
from firedetect.readings import FaultKind, FrameRejected, SensorFault, Tick
from firedetect.sensors.base import Driver
from firedetect.sensors.catalog import SensorSpec

REOPEN_FIRST_S = 0.5
REOPEN_MAX_S = 4.0
"""With what an SCD41 needs from there to its first value, below the 10 s within which a returned
sensor must be in use again."""

_log = structlog.get_logger()


async def acquire(
    spec: SensorSpec,
    driver: Driver,
    queue: EventQueue,
    clock: Clock,
    interval_s: Callable[[], float] | None = None,
) -> None:
    """Read one sensor for ever; `interval_s` may change the specified pause while it runs."""
    pause_s = interval_s or (lambda: spec.interval_s)
    reopen = _Reopen(random.Random(spec.sensor))  # noqa: S311 - spreads retries, guards no secret
    while True:
        try:
            queue.put(await driver.open())
            await _read(spec, driver, queue, clock, reopen, pause_s)
        except SensorError as error:
            log = _log.debug if reopen.failing else _log.warning
            log("sensor lost", sensor=spec.sensor.value, error=str(error))
            queue.put(SensorFault(clock.monotonic_ns(), spec.sensor, _kind(error), str(error)))
        await asyncio.sleep(reopen.next_pause_s())


async def _read(
    spec: SensorSpec,
    driver: Driver,
    queue: EventQueue,
    clock: Clock,
    reopen: "_Reopen",
    pause_s: Callable[[], float],
) -> None:
    next_ns = clock.monotonic_ns()
    while True:
        try:
            queue.put(await driver.read())
        except FrameRejectedError as error:
            kind = _kind(error)
            queue.put(FrameRejected(clock.monotonic_ns(), spec.sensor, kind, str(error)))
        else:
            reopen.works()
        if pause_s() > 0.0:
            next_ns = max(next_ns + round(pause_s() * NS_PER_S), clock.monotonic_ns())
            await sleep_until(clock, next_ns)


@dataclass(slots=True)
class _Reopen:
    """Pauses between attempts: random, bounded, short again once the sensor has worked."""

    rng: random.Random
    failing: bool = False
    _pause_s: float = REOPEN_FIRST_S

    def works(self) -> None:
        """Note a good reading."""
        self.failing = False
        self._pause_s = REOPEN_FIRST_S

    def next_pause_s(self) -> float:
        """Note a failure and return how long to wait."""
        self.failing = True
        pause_s = self._pause_s * self.rng.uniform(0.7, 1.0)
        self._pause_s = min(2.0 * self._pause_s, REOPEN_MAX_S)
        return pause_s


_KINDS: tuple[tuple[type[SensorError], FaultKind], ...] = (
    (BusStuckError, FaultKind.BUS_STUCK),
    (BusSlowError, FaultKind.BUS_SLOW),
    (CalibrationError, FaultKind.CALIBRATION),
    (FrozenError, FaultKind.FROZEN),
    (NoFrameError, FaultKind.NO_FRAME),
    (TornFrameError, FaultKind.TORN),
    (FrameRejectedError, FaultKind.IMPLAUSIBLE),
    (SensorError, FaultKind.NO_ANSWER),
)
"""The first that fits."""


def _kind(error: SensorError) -> FaultKind:
    return next(kind for known, kind in _KINDS if isinstance(error, known))


async def tick(queue: EventQueue, clock: Clock) -> None:
    """Put a tick into the queue every second."""
    next_ns = clock.monotonic_ns()
    while True:
        queue.put(Tick(clock.monotonic_ns()))
        next_ns = max(next_ns + NS_PER_S, clock.monotonic_ns())
        await sleep_until(clock, next_ns)
