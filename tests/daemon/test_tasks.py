"""Queue, supervision, acquisition, keeper, outputs: each failure is said and survived."""

import asyncio
import contextlib
import errno
import sqlite3
import subprocess
import sys
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


@pytest.mark.fault("F35")
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
    assert all(trouble.active for trouble in troubles)


@pytest.mark.fault("F35")
def test_the_trouble_of_a_failed_task_ends_once_it_runs_again():
    clock, queue, starts = ManualClock(), EventQueue(), []

    async def broken_once():
        starts.append(clock.monotonic_ns())
        if len(starts) == 1:
            raise RuntimeError("only once")
        await asyncio.sleep(100.0)

    run_for(20.0, lambda: supervise("example", broken_once, queue, clock), clock)
    assert [trouble.active for trouble in events_of(queue)] == [True, False]
    assert events_of(queue)[1].t_ns >= starts[1] + 5 * NS


def test_a_sensor_that_worked_again_is_opened_at_once_at_its_next_loss():
    lost = [None, *[BusError("gone"), None] * 6, *[None] * 100, BusError("gone again")]
    _, driver = acquired(lost, seconds=300.0)
    gaps = [b - a for a, b in pairwise(driver.opened)]
    assert max(gaps[:-1]) < 3.0


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
    """A store on a disk that can fail, take its time, or hang until told otherwise."""

    def __init__(self, clock=None):
        self.error, self.go, self.kept = None, threading.Event(), []
        self.go.set()
        self.clock, self.takes_s = clock, 0.0
        self.commits, self.closed = 0, False

    def commit(self, _remembered, messages):
        self.commits += 1
        self.go.wait(10.0)
        if self.takes_s:
            self.clock.advance(self.takes_s)
        if self.error is not None:
            raise self.error
        self.kept.extend(message.event_id for message in messages)

    def waiting_count(self):
        self.go.wait(10.0)
        if self.error is not None:
            raise self.error
        return len(self.kept)

    def close(self):
        self.closed = True


FULL = sqlite3.OperationalError("database or disk is full")


def alarm(number):
    return Message(f"d-1-{number}", 0, "alarm", "{}")


def trouble(number):
    return Message(f"d-1-{number}", 1, "trouble", "{}")


def kept_virtually(script):
    """Run `script(keeper, store)` in virtual time; return what was queued."""
    clock, queue = ManualClock(), EventQueue()
    store = FakeStore(clock)
    run_virtual(script(Keeper(store, queue, clock), store), clock)
    return events_of(queue)


async def test_an_alarm_is_committed_on_return_also_behind_a_message_that_is_not_waited_for():
    store = FakeStore()
    keeper = Keeper(store, EventQueue(), ManualClock())
    await keeper.keep(Restored(0), trouble(1))
    await keeper.keep(Restored(0), alarm(2))
    assert (keeper.unsaved, store.kept) == (0, ["d-1-1", "d-1-2"])
    assert await keeper.waiting() == 2
    await keeper.close(Restored(0))
    assert store.closed


@pytest.mark.fault("F39")
def test_a_full_disk_is_one_trouble_and_what_is_unsaved_is_tried_once_a_second():
    async def script(keeper, store):
        store.error = FULL
        await keeper.keep(Restored(0), alarm(1))
        assert store.commits == 1
        for tenth in range(50):
            await keeper.keep(Restored(0), trouble(2) if tenth == 0 else None)
            await asyncio.sleep(0.1)
        assert store.commits in {5, 6}
        assert await keeper.waiting() == keeper.unsaved == 2
        await keeper.keep(Restored(0), alarm(3))
        assert store.commits in {6, 7}
        store.error = None
        await asyncio.sleep(1.1)
        assert (keeper.unsaved, store.kept) == (0, ["d-1-1", "d-1-2", "d-1-3"])

    events = kept_virtually(script)
    assert [event.active for event in events] == [True]
    assert "disk is full" in events[0].detail


def test_the_trouble_of_the_disk_ends_after_a_minute_without_failure_by_itself():
    async def script(keeper, store):
        store.error = FULL
        await keeper.keep(Restored(0), trouble(1))
        await asyncio.sleep(10.5)
        store.error = None
        await asyncio.sleep(300.0)
        assert store.commits < 20

    events = kept_virtually(script)
    assert [event.active for event in events] == [True, False]
    assert 69.0 <= events[1].t_ns / NS <= 73.0


def test_a_slow_disk_keeps_its_trouble_and_does_not_feed_itself():
    async def script(keeper, store):
        store.takes_s = 0.3
        for number in range(5):
            await keeper.keep(Restored(0), trouble(number))
            await asyncio.sleep(20.0)
        assert len(store.kept) == store.commits == 5
        store.takes_s = 0.1
        await asyncio.sleep(200.0)
        assert store.commits <= 8

    events = kept_virtually(script)
    assert [event.active for event in events] == [True, False]
    assert "longer than 0.2 s" in events[0].detail
    assert events[1].t_ns >= 140 * NS


@pytest.mark.fault("F40")
async def test_a_disk_that_hangs_holds_nobody_and_loses_nothing():
    store, queue, clock = FakeStore(), EventQueue(), ManualClock()
    keeper = Keeper(store, queue, clock)
    loop = asyncio.get_running_loop()
    store.go.clear()
    for message, limit_s in ((trouble(0), 0.1), (alarm(1), 1.0), (trouble(2), 0.1), (alarm(3), 1)):
        began = loop.time()
        await keeper.keep(Restored(0), message)
        assert loop.time() - began < limit_s
    assert keeper.unsaved == 4
    assert await keeper.waiting() == 4
    assert [event.active for event in events_of(queue)] == [True]
    store.go.set()
    await keeper.close(Restored(0))
    assert store.kept == ["d-1-0", "d-1-1", "d-1-2", "d-1-3"]


async def test_a_hang_that_nobody_waits_for_is_said_and_its_end_stores_what_came_meanwhile():
    store, queue = FakeStore(), EventQueue()
    keeper = Keeper(store, queue, ManualClock())
    await keeper.keep(Restored(0), alarm(0))
    assert await keeper.waiting() == 1
    store.go.clear()
    await keeper.keep(Restored(0))
    async with asyncio.timeout(5.0):
        while not events_of(queue):
            await asyncio.sleep(0.01)
    await keeper.keep(Restored(0), trouble(1))
    assert await keeper.waiting() == 2
    store.go.set()
    async with asyncio.timeout(5.0):
        while keeper.unsaved:
            await asyncio.sleep(0.01)
    await keeper.close(Restored(0))
    assert store.kept == ["d-1-0", "d-1-1"]


HANGING = """
import asyncio, threading
from firedetect.clock import SystemClock
from firedetect.daemon.keep import Keeper
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.siren import Siren
from firedetect.readings import Restored
from firedetect.storage.store import Message

class Hanging:
    def commit(self, remembered, messages):
        threading.Event().wait()
    set = close = commit

async def main():
    keeper = Keeper(Hanging(), EventQueue(), SystemClock())
    await keeper.keep(Restored(0), Message("d-1-1", 0, "alarm", "{}"))
    lines = Hanging()
    lines.close = threading.Event().wait
    await Siren(lines, EventQueue(), SystemClock()).close()
    await keeper.close(Restored(0))
    print("unsaved", keeper.unsaved)

asyncio.run(main())
"""


@pytest.mark.fault("F66")
def test_a_program_ends_although_its_disk_and_its_outputs_hang():
    done = subprocess.run(
        [sys.executable, "-c", HANGING], check=True, capture_output=True, text=True, timeout=30.0
    )
    assert "unsaved 1" in done.stdout
    assert "a line blocks" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.fault("F40")
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


@pytest.mark.fault("F65", "F66")
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


def chirps_of(*shown, minutes=3.5):
    """How often the siren begins to sound while these are the outcomes, and as it is at the end."""
    lines, clock = FakeLines(), ManualClock()
    siren = Siren(lines, EventQueue(), clock)
    for one in shown:
        siren.show(one)
    run_for(60.0 * minutes, siren.run, clock)
    rises = [b for a, b in pairwise([Pattern(), *lines.patterns]) if b.siren and not a.siren]
    return len(rises), lines.patterns[-1].siren


def test_a_detector_that_sees_nothing_is_heard_once_a_minute():
    blind = outcome(health=Health.BLIND)
    assert chirps_of(blind) == (3, False)
    assert chirps_of(blind, minutes=0.9) == (0, False)
    assert chirps_of(blind, outcome()) == (0, False)
    assert chirps_of(outcome(health=Health.DEGRADED)) == (0, False)
    # A siren that somebody has silenced stays silent, one that sounds goes on.
    assert chirps_of(outcome(Level.ALERT, AlarmState.SILENCED, Health.BLIND)) == (0, False)
    assert chirps_of(outcome(Level.ALERT, AlarmState.SOUNDING, Health.BLIND)) == (1, True)


def test_a_cancelled_error_from_inside_is_a_failure_and_the_task_goes_on():
    clock, queue = ManualClock(), EventQueue()
    runs = []

    async def broken():
        runs.append(clock.monotonic_ns())
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        await inner

    run_for(30.0, lambda: supervise("example", broken, queue, clock), clock)
    assert len(runs) > 3
    first = run_virtual(queue.get(), clock)
    assert (first.name, first.active) == ("task:example", True)


def test_a_task_that_ends_by_itself_has_failed():
    clock, queue = ManualClock(), EventQueue()
    runs = []

    async def ends():
        runs.append(clock.monotonic_ns())

    run_for(30.0, lambda: supervise("example", ends, queue, clock), clock)
    assert len(runs) > 3
    assert run_virtual(queue.get(), clock).detail == "ended"
