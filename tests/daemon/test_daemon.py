"""The whole daemon in virtual time, with things failing around it."""

import asyncio
import errno
import os
import shutil
from itertools import pairwise

import numpy as np
import pytest

from firedetect.clock import CLOCK_SET_S, ManualClock, run_virtual
from firedetect.config import (
    AirSettings,
    Co2Settings,
    DeviceSettings,
    ModelSettings,
    Settings,
)
from firedetect.contract.level import Health, Level
from firedetect.daemon.app import run_daemon
from firedetect.daemon.detect import Detector
from firedetect.daemon.emulation import emulated_port, find_episode
from firedetect.daemon.parts import Surroundings
from firedetect.daemon.queue import EventQueue
from firedetect.errors import RecordingError
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    Restored,
    Sensor,
    Started,
    Stream,
    SystemTrouble,
    ThermalImage,
    Tick,
)
from firedetect.storage.store import Store

NS = 1_000_000_000


class Site:
    """A daemon on an emulated bus; `at` maps seconds to what happens to the bus then."""

    def __init__(self, folder, scenario, *, clock=None, **settings):
        self.clock = clock or ManualClock()
        self.settings = Settings(device=DeviceSettings(data_dir=folder), **settings)
        self.bus = emulated_port(find_episode(scenario), self.settings, self.clock)
        self.outcomes = []
        self.lines = FakeLines()

    def run(self, seconds, at=None, record=None):
        due = sorted((at or {}).items())

        def hear(outcome):
            self.outcomes.append(outcome)
            while due and outcome.t_s >= due[0][0]:
                due.pop(0)[1](self.bus)

        around = Surroundings(
            clock=self.clock,
            open_port=lambda _number: self.bus,
            lines=self.lines,
            powered_s=lambda: 1e9,
            listeners=(hear,),
            duration_s=seconds,
            record=record,
            served=False,
        )
        run_virtual(run_daemon(self.settings, around), self.clock)
        return self.outcomes

    def after(self, t_s):
        return [outcome for outcome in self.outcomes if outcome.t_s >= t_s]


class FakeLines:
    def __init__(self):
        self.patterns, self.closed = [], False

    def set(self, pattern):
        self.patterns.append(pattern)

    def close(self):
        self.closed = True


def test_a_fire_sounds_the_siren_and_the_end_is_clean(tmp_path):
    site = Site(tmp_path, "waste-bin")
    site.run(60.0)
    assert site.outcomes[-1].level is Level.EMERGENCY
    assert site.lines.patterns[-1].siren
    before = site.lines.patterns[:20]
    assert len(before) == 20
    assert not any(pattern.siren for pattern in before)
    assert site.lines.closed


@pytest.mark.parametrize(("baud", "refresh_hz"), [(100_000, 4), (60_000, 2)])
def test_a_fire_on_a_slow_bus_is_an_emergency_beside_the_trouble(tmp_path, say, baud, refresh_hz):
    begin_s = {}
    for speed in (400_000, baud):
        site = Site(tmp_path / str(speed), "waste-bin")
        site.bus.baud = speed
        site.run(60.0)
        last = site.outcomes[-1]
        assert (last.level, last.health) == (Level.EMERGENCY, Health.OK)
        told = [trouble for trouble in last.troubles if trouble.startswith("thermal-rate:")]
        assert len(told) == (speed == baud)
        assert all(f"{refresh_hz} Hz instead of 8 Hz" in trouble for trouble in told)
        begin_s[speed] = next(o.t_s for o in site.outcomes if o.level is Level.EMERGENCY)
    say(f"emergency after {begin_s[400_000]:.1f} s at 400 kHz, {begin_s[baud]:.1f} s at {baud} Hz")
    assert begin_s[baud] - begin_s[400_000] < (1.0 if refresh_hz == 4 else 8.0)


def test_a_bus_too_slow_for_any_rate_is_told_and_the_gas_goes_on(tmp_path):
    site = Site(tmp_path, "quiet-room")
    site.bus.baud = 30_000
    site.run(20.0)
    last = site.outcomes[-1]
    assert (last.health, last.troubles) == (Health.DEGRADED, ("thermal:bus-too-slow",))


@pytest.mark.fault("F15", "F24")
def test_dead_devices_that_hold_the_bus_for_a_second_each_leave_the_array_its_fire(tmp_path, say):
    def time_out(bus):
        for address in (0x08, 0x62, 0x76):
            bus.faults(address).block(1.0)
            bus.faults(address).fail(errno.ETIMEDOUT)

    begin_s = {}
    for name, at in (("whole", {}), ("dead", {3.0: time_out})):
        site = Site(
            tmp_path / name,
            "waste-bin",
            co2=Co2Settings(enabled=True),
            air=AirSettings(enabled=True),
        )
        site.run(75.0, at)
        begin_s[name] = next(o.t_s for o in site.outcomes if o.level >= Level.ALERT)
        assert site.outcomes[-1].level is Level.EMERGENCY
    say(f"alert after {begin_s['whole']:.1f} s, with three dead devices {begin_s['dead']:.1f} s")
    assert begin_s["dead"] - begin_s["whole"] < 10.0


def test_a_data_folder_that_is_deleted_beneath_the_detector_is_a_trouble(tmp_path):
    site = Site(tmp_path / "var", "waste-bin")
    site.run(60.0, {10.0: lambda _bus: shutil.rmtree(tmp_path / "var")})
    assert site.outcomes[-1].level is Level.EMERGENCY
    told = [trouble for trouble in site.outcomes[-1].troubles if trouble.startswith("disk:")]
    assert "deleted or replaced" in told[0]


@pytest.mark.fault("F40")
def test_a_data_folder_that_cannot_be_used_stops_no_alarm(tmp_path):
    (tmp_path / "file").write_text("")
    site = Site(tmp_path / "file" / "var", "waste-bin")
    site.run(60.0)
    assert site.outcomes[-1].level is Level.EMERGENCY
    assert any(trouble.startswith("storage:") for trouble in site.outcomes[-1].troubles)
    ids = {outcome.event_id for outcome in site.outcomes if outcome.event_id}
    assert all(int(event_id.split("-")[1]) > 1_700_000_000 for event_id in ids)


@pytest.mark.fault("F26")
def test_a_missing_model_leaves_the_hard_rules_and_a_trouble(tmp_path):
    site = Site(tmp_path, "waste-bin", model=ModelSettings(bundle=tmp_path / "none"))
    site.run(80.0)
    last = site.outcomes[-1]
    assert last.level >= Level.ALERT
    assert "score" not in last.reasons
    assert last.model is None
    assert "model:none" in last.troubles
    assert any(trouble.startswith("bundle:") for trouble in last.troubles)
    assert last.health is Health.OK


@pytest.mark.fault("F63")
def test_an_alarm_comes_back_after_a_restart_with_its_incident_and_its_baseline(tmp_path):
    first = Site(tmp_path, "waste-bin")
    first.run(60.0)
    second = Site(tmp_path, "quiet-room")
    second.run(5.0)
    restored = second.outcomes[0]
    assert restored.level is Level.EMERGENCY
    assert restored.incident_id == first.outcomes[-1].incident_id
    assert restored.event_id == [o.event_id for o in first.outcomes if o.event_id][-1]
    assert all(outcome.level is Level.EMERGENCY for outcome in second.outcomes)
    # The clean-air baseline was still being learnt when the first run ended.
    store = Store(tmp_path / "firedetect.db")
    assert store.next_boot(1) == CLOCK_SET_S + 2
    store.close()


@pytest.mark.fault("F63")
@pytest.mark.slow
def test_a_detector_whose_supply_is_cut_again_and_again_goes_on_as_it_was(tmp_path, say):
    """Each cut is a copy of the folder as it is at that moment, on which the next life begins."""
    folder, cuts, latest_s = tmp_path / "0", 200, 0.0
    rng = np.random.default_rng(63)
    incidents = set()
    for number in range(1, cuts + 1):
        # The third life has the fire.
        site = Site(folder, "waste-bin" if number == 3 else "quiet-room")
        folder = tmp_path / str(number)
        kept = []

        def cut(_bus, old=site.settings.device.data_dir, new=folder, site=site, kept=kept):
            shutil.copytree(old, new, ignore=lambda *_: {"lock"})
            kept.append(site.outcomes[-1])

        life_s = 60.0 if number == 3 else 4.0
        site.run(life_s, {life_s - rng.uniform(0.5, 2.0): cut})
        latest_s = max(latest_s, next(o.t_s for o in site.outcomes if seen(o)))
        assert site.outcomes[-1].level is (Level.EMERGENCY if number >= 3 else Level.NORMAL)
        assert "database" not in str(site.outcomes[-1].troubles)
        incidents |= {o.incident_id for o in site.outcomes if o.incident_id}
        assert kept
    say(f"{cuts} cuts of the supply: the first image is judged after {latest_s:.2f} s of a life")
    assert len(incidents) == 1
    assert latest_s < 5.0


def seen(outcome):
    """Whether an image was judged."""
    return bool(outcome.features) and outcome.features["t_max"] == outcome.features["t_max"]


class JumpingClock(ManualClock):
    """A clock whose wall time is `off_s` from the one that it should show."""

    def __init__(self, off_s=0.0):
        super().__init__()
        self.off_s = off_s

    def wall_ns(self):
        return super().wall_ns() + round(self.off_s * NS)


def course(site):
    """What happened and under which names; the wall clock has no part in it."""
    return [
        (o.t_s, o.level, o.current, o.event_id, o.incident_id, o.troubles) for o in site.outcomes
    ]


@pytest.mark.fault("F45")
@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 10 * 365.0 * 86400.0])
def test_a_wall_clock_that_jumps_in_a_fire_changes_nothing(tmp_path, jump_s):
    steady, jumping = (
        Site(tmp_path / name, "waste-bin", clock=JumpingClock(7200.0))
        for name in ("steady", "jumping")
    )

    def jump(_bus):
        jumping.clock.off_s += jump_s

    steady.run(60.0)
    jumping.run(60.0, {20.0: jump, 50.0: jump})
    assert course(jumping) == course(steady)
    assert steady.outcomes[-1].level is Level.EMERGENCY
    waiting = []
    for site in (steady, jumping):
        store = Store(site.settings.device.data_dir / "firedetect.db")
        waiting.append([(m.event_id, m.kind) for m in store.waiting()])
        store.close()
    assert waiting[0] == waiting[1]


@pytest.mark.fault("F45")
def test_a_wall_clock_that_loses_its_time_in_a_fire_is_a_trouble_and_changes_nothing(tmp_path):
    steady, losing = (
        Site(tmp_path / name, "waste-bin", clock=JumpingClock()) for name in ("steady", "losing")
    )

    def jump(_bus):
        losing.clock.off_s -= CLOCK_SET_S

    steady.run(60.0)
    losing.run(60.0, {20.0: jump})
    rises = [
        [(o.t_s, o.level) for before, o in pairwise(site.outcomes) if o.level > before.level]
        for site in (steady, losing)
    ]
    assert rises[0] == rises[1]
    assert losing.outcomes[-1].level is Level.EMERGENCY
    assert losing.outcomes[-1].troubles == ("clock:never set",)


def test_a_clock_that_is_set_after_the_start_dates_what_is_told_from_then_on(tmp_path):
    site = Site(tmp_path, "waste-bin", clock=JumpingClock(-CLOCK_SET_S))

    def set_clock(_bus):
        site.clock.off_s = 0.0

    site.run(60.0, {15.0: set_clock})
    troubles = [(o.t_s, o.troubles) for o in site.outcomes]
    assert ("clock:never set",) in [names for t_s, names in troubles if 5.0 < t_s < 15.0]
    assert {names for t_s, names in troubles if t_s > 17.0} == {()}
    fire = next(o for o in site.outcomes if o.level is Level.EMERGENCY)
    assert fire.wall_ns == site.clock.wall_ns() - site.clock.monotonic_ns() + fire.t_ns


@pytest.mark.fault("F46")
def test_a_clock_that_was_never_set_delays_nothing(tmp_path):
    fires = []
    for name, off_s in (("set", 0.0), ("never-set", -CLOCK_SET_S)):
        site = Site(tmp_path / name, "waste-bin", clock=JumpingClock(off_s))
        site.run(60.0)
        assert next(o.t_s for o in site.outcomes if seen(o)) < 5.0
        fires.append(next(o.t_s for o in site.outcomes if o.level is Level.EMERGENCY))
    assert fires[0] == fires[1]


def test_the_gas_baseline_is_kept_over_a_restart(tmp_path):
    Site(tmp_path, "quiet-room").run(75.0)
    site = Site(tmp_path, "quiet-room")
    site.run(4.0)
    assert site.outcomes[-1].health is Health.OK
    assert site.outcomes[-1].features["gas_val"] == pytest.approx(400.0, abs=3.0)


@pytest.mark.fault("F69")
def test_an_array_that_dies_in_a_fire_keeps_the_alarm_and_adds_a_trouble(tmp_path):
    site = Site(tmp_path, "waste-bin")
    site.run(75.0, at={55.0: lambda bus: bus.faults(0x33).fail(errno.EREMOTEIO)})
    last = site.outcomes[-1]
    assert last.level is Level.EMERGENCY
    assert last.health is Health.DEGRADED
    assert last.troubles == ("thermal:no-answer",)
    assert len({outcome.incident_id for outcome in site.after(55.0)}) == 1


@pytest.mark.fault("F02")
def test_a_lost_array_is_a_trouble_within_five_seconds_and_comes_back_within_ten(tmp_path):
    site = Site(tmp_path, "quiet-room")
    site.run(
        40.0,
        at={
            15.0: lambda bus: bus.faults(0x33).fail(errno.EREMOTEIO),
            25.0: lambda bus: bus.faults(0x33).clear(),
        },
    )
    lost = next(o.t_s for o in site.after(15.0) if o.health is not Health.OK)
    back = next(o.t_s for o in site.after(25.0) if o.health is Health.OK)
    assert lost <= 20.0
    assert back <= 35.0
    dead = [o for o in site.outcomes if lost < o.t_s < 25.0 and o.features]
    assert len(dead) >= 5
    assert all(o.features["t_mean"] != o.features["t_mean"] for o in dead)


def test_both_sensors_lost_is_blind_with_no_score(tmp_path):
    def cut(bus):
        bus.faults(0x33).fail(errno.EREMOTEIO)
        bus.faults(0x08).fail(errno.EREMOTEIO)

    site = Site(tmp_path, "quiet-room")
    site.run(30.0, at={12.0: cut})
    last = site.outcomes[-1]
    assert last.health is Health.BLIND
    assert last.score != last.score
    assert last.troubles == ("gas:no-answer", "thermal:no-answer")


@pytest.mark.fault("F01")
def test_one_failed_transfer_is_retried_and_nobody_hears_of_it(tmp_path):
    site = Site(tmp_path, "quiet-room")
    once = {t: lambda bus: bus.faults(0x33).fail(errno.EIO, times=1) for t in (12.0, 13.0, 14.0)}
    site.run(20.0, at=once)
    assert {outcome.health for outcome in site.after(11.0)} == {Health.OK}


def test_a_recording_that_exists_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "r.mcap").write_text("")
    with pytest.raises(RecordingError, match="exists already"):
        Site(tmp_path / "var", "quiet-room").run(5.0, record=tmp_path / "r.mcap")


class BrokenRecorder:
    def write(self, _event):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_recorder_or_listener_that_fails_is_given_up_and_said():
    queue, heard = EventQueue(), []

    def broken(_outcome):
        raise ValueError("no ears")

    detector = Detector(
        pipeline=Pipeline(None),
        queue=queue,
        keeper=None,
        clock=ManualClock(),
        device="d",
        site="",
        first=lambda _outcome: None,
        listeners=[broken, heard.append],
        recorder=BrokenRecorder(),
    )
    for second in range(3):
        await detector.process(Tick(second * NS))
    troubles = [await queue.get() for _ in range(len(queue))]
    assert [(t.name, t.active) for t in troubles if isinstance(t, SystemTrouble)] == [
        ("recording", True),
        ("listener", True),
    ]
    assert len(heard) == 3
    await asyncio.sleep(0)


class ClosedRecorder:
    def write(self, _event):
        raise ValueError("write to closed file")


async def test_no_failure_of_a_recorder_keeps_a_fire_from_being_judged():
    clock, queue, heard = ManualClock(), EventQueue(), []
    judging = detector(clock, queue, heard, recorder=ClosedRecorder())
    queue.put(Started(0, "d", 1, 0, (Stream(Sensor.THERMAL, 3.0),)))
    for step in range(3):
        queue.put(ThermalImage(step * NS // 4, np.full((24, 32), 250.0, dtype=np.float32)))
    await judging.drain()
    assert heard[-1].level is Level.EMERGENCY
    assert any(trouble.startswith("recording:ValueError") for trouble in heard[-1].troubles)


def detector(clock, queue, heard, *, scorer=None, recorder=None):
    return Detector(
        pipeline=Pipeline(scorer),
        queue=queue,
        keeper=None,
        clock=clock,
        device="d",
        site="",
        first=lambda _outcome: None,
        listeners=[heard.append],
        recorder=recorder,
    )


async def run_until(runs, done):
    task = asyncio.create_task(runs.run())
    async with asyncio.timeout(10.0):
        while not done():
            await asyncio.sleep(0.01)
    task.cancel()


@pytest.mark.fault("F37")
async def test_detection_that_falls_behind_is_a_trouble_until_it_has_kept_up():
    clock, queue, heard = ManualClock(monotonic_ns=10 * NS), EventQueue(), []
    late = detector(clock, queue, heard)
    queue.put(Tick(7 * NS))
    await run_until(late, lambda: any("late:" in str(o.troubles) for o in heard))
    clock.advance(11.0)
    queue.put(Tick(21 * NS))
    await run_until(late, lambda: "late:" not in str(heard[-1].troubles))


class SlowScorer:
    version = "slow"

    def __init__(self, clock):
        self.clock = clock

    def score(self, _row):
        self.clock.advance(0.3)
        return 0.0


class Tape:
    def __init__(self):
        self.names = []

    def write(self, event):
        self.names.append(type(event).__name__)

    def write_outcome(self, _t_ns, _line):
        pass


@pytest.mark.fault("F30")
async def test_late_scores_are_folded_right_behind_their_image_and_set_the_model_aside():
    clock, queue, heard, tape = ManualClock(), EventQueue(), [], Tape()
    slow = detector(clock, queue, heard, scorer=SlowScorer(clock), recorder=tape)
    image = np.full((24, 32), 21.0, dtype=np.float32)
    for number in range(5):
        await slow.process(ThermalImage(number * NS, image))
    assert tape.names == ["ThermalImage", "ScoreOverrun"] * 3 + ["ThermalImage"] * 2
    assert heard[-1].model is None
    assert "model:set aside, too slow" in heard[-1].troubles


def test_who_hears_of_readings_cannot_keep_a_fire_from_being_judged():
    def fails(_event):
        raise ValueError("a bug in who listens")

    heard = []
    queue = EventQueue()
    detector = Detector(
        pipeline=Pipeline(None),
        queue=queue,
        keeper=None,
        clock=ManualClock(),
        device="d",
        site="",
        first=heard.append,
        on_event=fails,
        on_reading=(fails,),
    )
    fire = np.full((24, 32), 21.0, np.float32)
    fire[:10, :10] = 250.0

    async def go():
        await detector.process(Started(0, "d", 1, 0, (Stream(Sensor.THERMAL, 3.0),)))
        await detector.process(Restored(0))
        for number in range(40):
            await detector.process(ThermalImage(number * NS // 4, fire))

    asyncio.run(go())
    assert heard[-1].level is Level.EMERGENCY
    told = [queue._events[index] for index in range(len(queue))]
    assert [(event.name, event.active) for event in told] == [("hearing", True)]
