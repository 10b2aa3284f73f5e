"""The whole daemon in virtual time, without the SDK: cloud services in memory."""

import asyncio
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import DeviceSettings, Settings
from firedetect.daemon.app import _announce, _plan_tasks, _stop
from firedetect.daemon.emulation import emulated_port, find_episode
from firedetect.daemon.parts import Surroundings, assemble
from firedetect.daemon.remember import open_memory
from firedetect.daemon.remote.alarm import RemoteAlarm
from firedetect.daemon.remote.job_handlers import JobHandlers
from firedetect.daemon.remote.jobs import JobRunner
from firedetect.daemon.supervise import supervise
from firedetect.storage.slots import Slots
from firedetect.uplink.shadow_sync import ShadowSync
from tests.fakes.cloud import MemoryJobs, MemoryLink, MemoryShadows


class Detector:
    """A running daemon: `parts`, `outcomes`, and the services it is joined to."""

    def __init__(self, settings, clock, bus):
        self.settings, self.clock, self.bus = settings, clock, bus
        self.outcomes, self.events = [], []
        self.parts = None
        self.link = MemoryLink()
        self.shadows = MemoryShadows(self.link)
        self.jobs = MemoryJobs(self.link)

    @property
    def last(self):
        return self.outcomes[-1]

    def reported(self, name="config"):
        return self.shadows.reported(name)

    async def until(self, condition, limit_s):
        """Let virtual time pass until `condition()`; returns the seconds that it took."""
        begun = self.clock.monotonic_ns()
        while not condition():
            assert (self.clock.monotonic_ns() - begun) / 1e9 < limit_s, "not in time"
            await asyncio.sleep(0.05)
        return (self.clock.monotonic_ns() - begun) / 1e9


@asynccontextmanager
async def running(
    folder, scenario="quiet-room", *, clock, link=True, services=None, button=None, **settings
):
    """Run a daemon; `services` are those of an earlier run (shadows, jobs)."""
    settings = Settings(device=DeviceSettings(data_dir=folder), **settings)
    made = Detector(settings, clock, emulated_port(find_episode(scenario), settings, clock))
    if services is not None:
        made.shadows, made.jobs = services.shadows, services.jobs
        made.shadows.watchers, made.jobs.watchers = {}, []
        made.shadows.link = made.jobs.link = made.link
    if not link:
        made.link.connected.clear()
    around = Surroundings(
        clock=clock,
        open_port=lambda _number: made.bus,
        powered_s=lambda: 1e9,
        listeners=(made.outcomes.append,),
        served=False,
        button=button,
    )
    async with AsyncExitStack() as stack:
        memory = open_memory(settings, clock, stack.enter_context(ExitStack()))
        parts = made.parts = assemble(settings, around, memory, stack)
        _announce(settings, parts, memory, clock)
        _plan_tasks(parts, around)
        _join(made, None if memory.folder is None else memory.folder.path)
        parts.remote.watch()
        parts.models.watch()
        tasks = [
            asyncio.create_task(supervise(name, run, parts.queue, clock), name=name)
            for name, run in parts.tasks.items()
        ]
        try:
            yield made
        finally:
            await _stop(parts, tasks, clock)


def _join(made, folder):
    parts, detector = made.parts, made.parts.detector
    flight = detector.on_event.__self__
    made.handlers = JobHandlers(
        made.settings,
        folder,
        parts.queue,
        made.clock,
        parts.desk,
        flight,
        parts.models,
        parts.disk,
        lambda: parts.detector.pipeline.remembered(made.clock.monotonic_ns()).gas_baseline,
    )
    asked = None if folder is None else Slots(folder, "alarm-asked")
    made.alarm = RemoteAlarm(parts.queue, made.clock, parts.disk, asked)
    detector.listeners += [made.handlers.heard, made.alarm.heard]
    detector.on_reading = (*detector.on_reading, made.handlers.reading, made.events.append)
    config = ShadowSync(
        "config", made.shadows, made.link, parts.remote.reported, parts.remote.consider
    )
    parts.remote.on_change = config.local_changed
    alarm = ShadowSync("alarm", made.shadows, made.link, made.alarm.reported, made.alarm.consider)
    made.alarm.on_change = alarm.local_changed
    parts.tasks["shadow:config"] = config.run
    parts.tasks["shadow:alarm"] = alarm.run
    parts.tasks["ota"] = JobRunner(made.jobs, made.link, folder, made.handlers, parts.disk).run


def virtual(test):
    """Run an async test on a manual clock, which it gets as `clock` beside its fixtures."""

    def run(tmp_path):
        clock = ManualClock(wall_ns=1_800_000_000 * 1_000_000_000)
        run_virtual(test(tmp_path, clock), clock)

    run.__name__ = test.__name__
    return run
