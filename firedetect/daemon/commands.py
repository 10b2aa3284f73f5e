"""What the commands of the command line do with a detector: run, play, record."""

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from firedetect.clock import Clock, ManualClock, SystemClock, run_virtual
from firedetect.config import LogSettings, Settings
from firedetect.daemon.acquire import acquire, tick
from firedetect.daemon.app import run_daemon
from firedetect.daemon.background import BackgroundStream
from firedetect.daemon.box_link import box_settings
from firedetect.daemon.emulation import emulated_port, find_episode, warm_emulation
from firedetect.daemon.logs import configure_logging
from firedetect.daemon.notify import is_service
from firedetect.daemon.parts import Surroundings
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.replay import Summary
from firedetect.daemon.supervise import supervise
from firedetect.decision.outcome import Outcome
from firedetect.errors import FiredetectError, UplinkError
from firedetect.outputs.local import GpioLines
from firedetect.readings import (
    AirReading,
    Co2Reading,
    Event,
    GasCounts,
    Restored,
    Sensor,
    SensorFault,
    SettingsChanged,
    Started,
    Stream,
    SubPage,
)
from firedetect.sensors.base import since_boot_s
from firedetect.sensors.bus import I2cBus, I2cPort, open_i2c
from firedetect.sensors.catalog import configured
from firedetect.sensors.recording import RecordingWriter
from firedetect.simulation.scenarios import find_scenario

BEGIN_LIMIT_S = 60.0
"""A sensor that neither delivers nor fails holds up a recording's time no longer."""
ALWAYS_WARM_S = 1e9
"""The emulated gas board has been powered for ever, unless a scenario says otherwise."""

_log = structlog.get_logger()


def run(
    settings: Settings,
    *,
    simulate: str | None,
    cloud: str | None,
    duration_s: float | None,
    json_lines: bool,
    record: Path | None,
) -> None:
    """Run the detector on the Pi's buses or on an emulated one, until stopped or for a while.

    `cloud` is aws, box, off, or None for what the settings say.
    """
    log_out = BackgroundStream(
        sys.stderr if json_lines else sys.stdout, end_unread=not is_service()
    )
    json_out = BackgroundStream(sys.stdout, end_unread=True) if json_lines else None
    configure_logging(settings.log, log_out)
    clock = SystemClock()
    around = Surroundings(
        clock=clock,
        open_port=_ports(settings, simulate, clock),
        lines=GpioLines(settings.outputs) if settings.outputs.enabled and not simulate else None,
        powered_s=_powered(simulate),
        listeners=(partial(_write_json, json_out),) if json_out is not None else (),
        record=record,
        duration_s=duration_s,
    )
    if simulate is not None:
        _log.info("simulating", scenario=simulate, what=find_scenario(simulate).summary)
    try:
        with _clouded(settings, cloud, clock, quiet=json_lines) as clouded:
            asyncio.run(run_daemon(clouded, around))
    finally:
        log_out.close()
        if json_out is not None:
            json_out.close()


@contextlib.contextmanager
def _clouded(
    settings: Settings, cloud: str | None, clock: Clock, *, quiet: bool
) -> Iterator[Settings]:
    """Yield the settings with the cloud that was asked for; only a box is waited for."""
    if cloud == "box":
        with box_settings(settings, clock, quiet=quiet) as boxed:
            yield boxed
        return
    if cloud == "aws" and not settings.uplink.endpoint:
        raise UplinkError("no cloud is configured: set uplink.endpoint, or run with --cloud box")
    if cloud == "off":
        alone = settings.uplink.model_copy(update={"endpoint": ""})
        yield settings.model_copy(update={"uplink": alone})
        return
    yield settings


def _write_json(out: BackgroundStream, outcome: Outcome) -> None:
    """Print one outcome without waiting; raises OSError once lines were lost.

    The detector then gives this listener up with a trouble: a gap in the lines would be silent.
    """
    out.write(outcome.as_json() + "\n")
    if out.dropped:
        raise OSError(f"the reader of the JSON lines has stopped: {out.dropped} lines are lost")


def play(
    settings: Settings,
    name: str,
    *,
    duration_s: float | None,
    record: Path | None,
    hear: Callable[[Outcome], None],
) -> dict[str, Any]:
    """Play a scenario through the emulated bus, the drivers and the pipeline, faster than time.

    Returns the summary, as `replay --summary` prints it. Nothing of the data folder is touched.
    """
    configure_logging(LogSettings(format="json", level="error"), sys.stderr)
    clock = ManualClock()
    summary = Summary()
    with tempfile.TemporaryDirectory(prefix="firedetect-") as folder:
        device = settings.device.model_copy(update={"data_dir": Path(folder)})
        around = Surroundings(
            clock=clock,
            open_port=_ports(settings, name, clock),
            powered_s=_powered(name),
            listeners=(summary.hear, hear),
            record=record,
            duration_s=duration_s or find_scenario(name).duration_s,
            served=False,
        )
        run_virtual(run_daemon(settings.model_copy(update={"device": device}), around), clock)
    return summary.as_record(Path(name), 0.0)


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
    queue = EventQueue()
    open_port = _ports(settings, simulate, clock)
    sensors = configured(settings)
    if not sensors:
        raise FiredetectError("no sensor is enabled: nothing to record")
    buses = {spec.bus: I2cBus(f"i2c-{spec.bus}", partial(open_port, spec.bus)) for spec in sensors}
    now = clock.monotonic_ns()
    streams = tuple(Stream(spec.sensor, spec.stale_s) for spec in sensors)
    queue.put(Started(now, settings.device.id, 0, clock.wall_ns(), streams))
    queue.put(SettingsChanged(now, settings.decision))
    queue.put(Restored(now))
    runs = {
        f"acquire:{spec.sensor}": partial(
            acquire,
            spec,
            spec.factory(buses[spec.bus], clock, _powered(simulate)),
            queue,
            clock,
        )
        for spec in sensors
    } | {"tick": partial(tick, queue, clock)}
    limit = asyncio.timeout(None if duration_s is None else BEGIN_LIMIT_S + duration_s)
    with RecordingWriter(target) as writer:
        taken = _Taken(writer, limit, duration_s, {spec.sensor for spec in sensors})
        tasks = [
            asyncio.create_task(supervise(name, task, queue, clock), name=name)
            for name, task in runs.items()
        ]
        writing = asyncio.create_task(taken.write_all(queue))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, writing.cancel)
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with limit:
                await writing
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for bus in buses.values():
        await bus.close()
    if taken.awaited:
        _log.warning("neither delivered nor failed", sensors=sorted(map(str, taken.awaited)))
    if not taken.heard:
        raise FiredetectError(f"{target}: no sensor delivered a reading: {taken.last_fault}")
    return taken.count


_READING_OF: dict[type[Event], Sensor] = {
    SubPage: Sensor.THERMAL,
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


def print_json(outcome: Outcome) -> None:
    """Print one outcome as a line of JSON."""
    sys.stdout.write(outcome.as_json() + "\n")


def _ports(settings: Settings, simulate: str | None, clock: Clock) -> Callable[[int], I2cPort]:
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


def _powered(simulate: str | None) -> Callable[[], float]:
    return since_boot_s if simulate is None else lambda: ALWAYS_WARM_S
