"""Records what the sensors deliver, without a detector."""

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import structlog

from firedetect.clock import SystemClock
from firedetect.config import Settings
from firedetect.daemon.logs import configure_logging
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.sources import listening, wires_of
from firedetect.errors import FiredetectError
from firedetect.readings import (
    AirReading,
    Co2Reading,
    Event,
    GasCounts,
    Sensor,
    SensorFault,
    SubPage,
    ThermalImage,
)
from firedetect.sensors.catalog import configured
from firedetect.sensors.recording import RecordingWriter

BEGIN_LIMIT_S = 60.0
"""A sensor that neither delivers nor fails holds up a recording's time no longer."""

_log = structlog.get_logger()


def record(
    settings: Settings, target: Path, *, simulate: str | None, duration_s: float | None
) -> int:
    """Write what the sensors deliver into a recording; returns the number of events.

    The duration counts from the moment at which every sensor has delivered or failed.
    """
    configure_logging(settings.log, sys.stderr)
    return asyncio.run(_record(settings, target, simulate, duration_s))


async def _record(
    settings: Settings, target: Path, simulate: str | None, duration_s: float | None
) -> int:
    clock = SystemClock()
    limit = asyncio.timeout(None if duration_s is None else BEGIN_LIMIT_S + duration_s)
    with RecordingWriter(target) as writer:
        taken = _Taken(writer, limit, duration_s, {spec.sensor for spec in configured(settings)})
        async with listening(settings, wires_of(settings, simulate, clock), clock) as heard:
            writing = asyncio.create_task(taken.write_all(heard.queue))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, writing.cancel)
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                async with limit:
                    await writing
    if taken.awaited:
        _log.warning("neither delivered nor failed", sensors=sorted(map(str, taken.awaited)))
    if not taken.heard:
        raise FiredetectError(f"{target}: no sensor delivered a reading: {taken.last_fault}")
    return taken.count


_READING_OF: dict[type[Event], Sensor] = {
    SubPage: Sensor.THERMAL,
    ThermalImage: Sensor.THERMAL,
    GasCounts: Sensor.GAS,
    Co2Reading: Sensor.CO2,
    AirReading: Sensor.AIR,
}


@dataclass(slots=True)
class _Taken:
    """Writes what is taken from the queue; the time starts once no sensor is `awaited`."""

    writer: RecordingWriter
    limit: asyncio.Timeout
    duration_s: float | None
    awaited: set[Sensor]
    """Have neither delivered a reading nor said why not."""
    count: int = 0
    heard: bool = False
    last_fault: str = ""

    async def write_all(self, queue: EventQueue) -> None:
        """Write until cancelled."""
        while True:
            event = await queue.get()
            self.writer.write(event)
            self.count += 1
            if isinstance(event, SensorFault):
                self.last_fault = event.detail
                self._begun(event.sensor)
            elif type(event) in _READING_OF:
                self.heard = True
                self._begun(_READING_OF[type(event)])

    def _begun(self, sensor: Sensor) -> None:
        if sensor not in self.awaited:
            return
        self.awaited.remove(sensor)
        if not self.awaited and self.duration_s is not None:
            self.limit.reschedule(asyncio.get_running_loop().time() + self.duration_s)
