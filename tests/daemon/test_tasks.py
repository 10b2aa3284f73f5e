"""Queue, supervision, acquisition, keeper, outputs: each failure is said and survived."""

import asyncio
import contextlib
import errno
import sqlite3
import threading
from itertools import pairwise

import pytest

from firedetect.clock import ManualClock, run_virtual
from firedetect.config import GasSettings
from firedetect.contract.level import Health, Level
from firedetect.daemon.acquire import acquire, tick
from firedetect.daemon.keep import Keeper
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.siren import Siren
from firedetect.daemon.supervise import supervise
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Outcome
from firedetect.errors import (
    BusError,
    BusStuckError,
    CalibrationError,
    FrameRejectedError,
    NoFrameError,
    SensorError,
    TornFrameError,
)
from firedetect.outputs.local import Pattern, pattern_of
from firedetect.readings import (
    Command,
    CommandAction,
    FaultKind,
    FrameRejected,
    GasCounts,
    Restored,
    Sensor,
    SensorFault,
    SensorOpened,
    SystemTrouble,
    Tick,
)
from firedetect.sensors.catalog import SensorSpec
from firedetect.storage.store import Message

NS = 1_000_000_000


def reading(t_s):
    return GasCounts(round(t_s * NS), 40.0, 70.0, 90.0, 760.0)


async def taken(queue):
    return [await queue.get() for _ in range(len(queue))]


async def test_a_full_queue_drops_the_oldest_reading_and_never_a_command():
    queue = EventQueue(capacity=4)
    queue.put(Command(0, CommandAction.RESET))
    for second in range(6):
        queue.put(reading(second))
    queue.put(SensorFault(7 * NS, Sensor.GAS, FaultKind.NO_ANSWER))
    events = await taken(queue)
    assert isinstance(events[0], Command)
    assert isinstance(events[-1], SensorFault)
    assert [event.t_ns // NS for event in events[1:-1]] == [4, 5]
    assert queue.dropped == 4


async def test_what_may_not_be_dropped_goes_beyond_the_capacity():
    queue = EventQueue(capacity=2)
    for _ in range(5):
        queue.put(Command(0, CommandAction.RESET))
    assert len(queue) == 5
    assert queue.dropped == 0


async def test_time_never_goes_back_in_the_queue():
    queue = EventQueue()
    for t_s in (1.0, 0.9, 1.1):
        queue.put(reading(t_s))
    assert [event.t_ns for event in await taken(queue)] == [NS, NS, round(1.1 * NS)]


def run_for(seconds, main, clock):
    async def limited():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(main(), seconds)

    run_virtual(limited(), clock)


def events_of(queue):
    return list(queue._events)


def test_a_failing_task_is_started_again_with_pauses_and_says_so():
    clock, queue, starts = ManualClock(), EventQueue(), []

    async def broken():
        starts.append(clock.monotonic_ns() / NS)
        await asyncio.sleep(0.01)
        raise RuntimeError("broken on purpose")

    run_for(60.0, lambda: supervise("example", broken, queue, clock), clock)
    assert 6 <= len(starts) <= 40
    gaps = [b - a for a, b in pairwise(starts)]
    assert max(gaps) <= 10.1
    troubles = events_of(queue)
    assert troubles[0] == SystemTrouble(
        troubles[0].t_ns, "task:example", True, "RuntimeError: broken on purpose"
    )
    assert not troubles[1].active


class FakeDriver:
    """Answers with what the script says: a reading, or an error to raise."""

    sensor = Sensor.GAS

    def __init__(self, clock, script):
        self.clock, self.script, self.opened = clock, list(script), []

    async def open(self):
        self.opened.append(self.clock.monotonic_ns() / NS)
        step = self.script.pop(0) if self.script and self.script[0] == "no-open" else None
        if step:
            raise BusError("no answer")
        return SensorOpened(self.clock.monotonic_ns(), Sensor.GAS, 1e9)

    async def read(self):
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        return reading(self.clock.monotonic_ns() / NS)

    async def close(self):
        pass


SPEC = SensorSpec(Sensor.GAS, "gas", 8.0, 1.0, 1, GasSettings().address, None)


def acquired(script, seconds=30.0):
    clock, queue = ManualClock(), EventQueue()
    driver = FakeDriver(clock, script)
    run_for(seconds, lambda: acquire(SPEC, driver, queue, clock), clock)
    return events_of(queue), driver


def test_readings_come_every_interval():
    events, _ = acquired([], seconds=9.5)
    readings = [event for event in events if isinstance(event, GasCounts)]
    assert [round(event.t_ns / NS, 3) for event in readings] == list(range(10))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BusError("gone"), FaultKind.NO_ANSWER),
        (BusStuckError("stuck"), FaultKind.BUS_STUCK),
        (CalibrationError("flipped"), FaultKind.CALIBRATION),
        (NoFrameError("silent"), FaultKind.NO_FRAME),
        (SensorError("restarted"), FaultKind.NO_ANSWER),
    ],
)
def test_a_lost_sensor_is_a_fault_and_is_opened_again(error, kind):
    events, driver = acquired([None, error])
    faults = [event for event in events if isinstance(event, SensorFault)]
    assert [fault.kind for fault in faults] == [kind]
    assert len(driver.opened) == 2
    assert isinstance(events[-1], GasCounts)


def test_a_sensor_that_stays_away_is_tried_again_within_five_seconds():
    _, driver = acquired(["no-open"] * 40, seconds=60.0)
    gaps = [b - a for a, b in pairwise(driver.opened)]
    assert max(gaps) <= 5.0
    assert len(gaps) >= 10


def test_a_rejected_frame_is_no_lost_sensor():
    events, driver = acquired([None, TornFrameError("torn"), FrameRejectedError("odd"), None])
    rejected = [event for event in events if isinstance(event, FrameRejected)]
    assert [event.kind for event in rejected] == [FaultKind.TORN, FaultKind.IMPLAUSIBLE]
    assert [event.detail for event in rejected] == ["torn", "odd"]
    assert len(driver.opened) == 1


def test_ticks_come_every_second():
    clock, queue = ManualClock(), EventQueue()
    run_for(5.5, lambda: tick(queue, clock), clock)
    assert events_of(queue) == [Tick(second * NS) for second in range(6)]


class FakeStore:
    """A store on a disk that can fail, or hang until told otherwise."""

    def __init__(self):
        self.error, self.go, self.kept = None, threading.Event(), []
        self.go.set()
        self.closed = False

    def commit(self, _remembered, messages):
        self.go.wait(10.0)
        if self.error is not None:
            raise self.error
        self.kept.extend(message.event_id for message in messages)

    def waiting_count(self):
        return len(self.kept)

    def close(self):
        self.closed = True


def alarm(number):
    return Message(f"d-1-{number}", 0, "alarm", "{}")


async def test_a_full_disk_is_a_trouble_and_the_alarm_is_kept_in_memory_until_it_works():
    store, queue, clock = FakeStore(), EventQueue(), ManualClock()
    keeper = Keeper(store, queue, clock)
    store.error = sqlite3.OperationalError("database or disk is full")
    await keeper.keep(Restored(0), alarm(1))
    await keeper.keep(Restored(0), alarm(2))
    assert keeper.unsaved == 2
    assert await keeper.waiting() == 2
    troubles = events_of(queue)
    assert [trouble.active for trouble in troubles] == [True]
    assert "disk is full" in troubles[0].detail
    store.error = None
    await keeper.keep(Restored(0))
    await asyncio.sleep(0)
    assert (keeper.unsaved, store.kept) == (0, ["d-1-1", "d-1-2"])
    assert not events_of(queue)[-1].active
    await keeper.close(Restored(0))
    assert store.closed


async def test_a_disk_that_hangs_holds_nobody_and_loses_nothing():
    store, queue, clock = FakeStore(), EventQueue(), ManualClock()
    keeper = Keeper(store, queue, clock)
    store.go.clear()
    await asyncio.wait_for(keeper.keep(Restored(0), alarm(1)), 5.0)
    await asyncio.wait_for(keeper.keep(Restored(0), alarm(2)), 5.0)
    assert keeper.unsaved == 2
    assert events_of(queue)[0].active
    store.go.set()
    await keeper.close(Restored(0))
    assert store.kept == ["d-1-1", "d-1-2"]


async def test_memory_for_unsaved_messages_is_bounded_and_alarms_stay():
    store, queue, clock = FakeStore(), EventQueue(), ManualClock()
    keeper = Keeper(store, queue, clock)
    store.error = sqlite3.OperationalError("read-only")
    await keeper.keep(Restored(0), alarm(0))
    for number in range(1, 1100):
        await keeper.keep(Restored(0), Message(f"d-1-{number}", 2, "event", "{}"))
    assert keeper.unsaved == 1000
    store.error = None
    await keeper.close(Restored(0))
    assert "d-1-0" in store.kept


def outcome(level=Level.NORMAL, alarm=AlarmState.CLEAR, health=Health.OK, *, drill=False):
    return Outcome(
        0, 0.0, 0, level, level, 0.0, (), None, health, (), alarm, None, None, drill=drill
    )


def test_the_outputs_follow_alarm_silence_drill_and_trouble():
    assert pattern_of(outcome()) == Pattern(siren=False, light=False, trouble=False)
    ringing = pattern_of(outcome(Level.ALERT, AlarmState.SOUNDING))
    assert (ringing.siren, ringing.light) == (True, True)
    silent = pattern_of(outcome(Level.ALERT, AlarmState.SILENCED))
    assert (silent.siren, silent.light) == (False, True)
    assert pattern_of(outcome(drill=True)).siren
    assert pattern_of(outcome(health=Health.BLIND)).trouble
    assert Pattern().trouble


class FakeLines:
    def __init__(self):
        self.patterns, self.error, self.go, self.closed = [], None, threading.Event(), False
        self.go.set()

    def set(self, pattern):
        self.go.wait(10.0)
        if self.error is not None:
            raise self.error
        self.patterns.append(pattern)

    def close(self):
        self.closed = True


async def sounded(lines, queue, *, until):
    siren = Siren(lines, queue, ManualClock())
    task = asyncio.create_task(siren.run())
    siren.show(outcome(Level.EMERGENCY, AlarmState.SOUNDING))
    async with asyncio.timeout(10.0):
        while not until():
            await asyncio.sleep(0.01)
    return siren, task


async def test_the_siren_sounds_and_is_set_again_by_itself():
    lines, queue = FakeLines(), EventQueue()
    siren, task = await sounded(lines, queue, until=lambda: len(lines.patterns) >= 2)
    assert lines.patterns[0].siren
    task.cancel()
    await siren.close()
    assert lines.closed


async def test_a_broken_or_blocked_line_is_a_trouble_that_ends():
    for breakage in ("error", "block"):
        lines, queue = FakeLines(), EventQueue()
        if breakage == "error":
            lines.error = OSError(errno.EIO, "no such line")
        else:
            lines.go.clear()
        siren, task = await sounded(lines, queue, until=lambda q=queue: len(q) > 0)
        assert events_of(queue)[0].active
        lines.error = None
        lines.go.set()
        async with asyncio.timeout(10.0):
            while len(queue) < 2:
                await asyncio.sleep(0.01)
        assert not events_of(queue)[-1].active
        assert lines.patterns[-1].siren
        task.cancel()
        await siren.close()
