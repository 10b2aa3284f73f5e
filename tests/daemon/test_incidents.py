"""Every alarm leaves a recording of two minutes that replays; its writing holds up nothing."""

import asyncio
import json
import os
import time

import numpy as np
import pytest

from firedetect.clock import cancel_and_wait
from firedetect.config import DeviceSettings, GasBaseline, Settings
from firedetect.contract.level import Health, Level
from firedetect.contract.settings import DecisionSettings
from firedetect.daemon import incidents
from firedetect.daemon.detect import SCORE_LIMIT_S
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.incident_files import FREE_MIN_BYTES, IncidentFile
from firedetect.daemon.incidents import CLOSE_LIMIT_S, UNDER_WAY_MAX, IncidentRecordings
from firedetect.daemon.models.choose import load_scorer
from firedetect.daemon.remote.flight import FlightRecorder
from firedetect.daemon.replay import Overrides, replay
from firedetect.errors import RecordingError
from firedetect.readings import (
    SUBPAGE_WORDS,
    CommandAction,
    CommandSource,
    GasCalibrated,
    Restored,
    SettingsChanged,
    Started,
    SubPage,
    ThermalImage,
    Tick,
)
from firedetect.sensors.recording import read_events
from tests.daemon.helpers import invoke
from tests.fakes.detector import running, virtual
from tests.fakes.disk import ImmediateDisk
from tests.fakes.outcomes import alarming

NS = 1_000_000_000
CLEAN = GasBaseline(no2=40.0, c2h5oh=70.0, voc=90.0, co=760.0)
LATER = GasBaseline(no2=41.0, c2h5oh=71.0, voc=91.0, co=761.0)


def timeless(test):
    """As `virtual`, for a test that never asks what time it is."""

    def with_clock(tmp_path, _clock):
        return test(tmp_path)

    with_clock.__name__ = test.__name__
    return virtual(with_clock)


def outcome(t_s, incident="d-1-7", level=Level.ALERT, **changes):
    return alarming(t_s, incident, level, **{"event_id": "d-1-7"} | changes)


class Heard:
    """Recordings of a detector that has run for two minutes; readings are ticks."""

    def __init__(self, folder, kept=20, disk=None, **options):
        self.flight, self.disk = FlightRecorder(self.remembered), disk or ImmediateDisk()
        self.troubles, self.told, self.now_s = {}, [], 0
        self.made = IncidentRecordings(folder, kept, self.flight, self.disk, self.report, **options)
        for event in (Started(0, "d", 1, 0, ()), SettingsChanged(0, DecisionSettings())):
            self.flight.heard(event)
        self.flight.heard(Restored(0, Level.ALERT, "d-0-3", "d-0-3", gas_baseline=CLEAN))
        self.pass_time(120)

    def remembered(self, t_ns):
        return Restored(t_ns, Level.ALERT, "d-1-7", "d-1-7", gas_baseline=LATER, gas_tracked=LATER)

    def report(self, name, detail):
        self.told.append(detail)
        if detail is None:
            self.troubles.pop(name, None)
        else:
            self.troubles[name] = detail

    def pass_time(self, seconds, incident=None):
        for _ in range(seconds):
            self.now_s += 1
            self.flight.heard(Tick(self.now_s * NS))
            level = Level.NORMAL if incident is None else Level.ALERT
            self.made.heard(outcome(self.now_s, incident, level))

    async def one(self, incident):
        """Let an alarm begin and its minute pass, and write what is due."""
        self.pass_time(61, incident)
        self.pass_time(1)
        await self.written()

    async def written(self):
        writing = asyncio.create_task(self.made.run())
        await asyncio.wait([writing], timeout=30.0)
        await cancel_and_wait(writing)


def names(folder):
    there = folder / "incidents"
    return sorted(path.name for path in there.iterdir()) if there.exists() else []


def first_alarm(outcomes):
    return next(
        (told.t_s, told.level, told.reasons, told.score, told.incident_id)
        for told in outcomes
        if told.level >= Level.ALERT
    )


def replayed(path):
    outcomes = []
    replay(path, load_scorer(None), Overrides(), outcomes.append)
    return outcomes


def recordings(folder):
    return sorted((folder / "incidents").glob("*.mcap"))


async def alarm(site, limit_s=80):
    await site.until(lambda: site.outcomes and site.last.level >= Level.ALERT, limit_s)
    return site.last.incident_id


# The whole detector


@virtual
async def test_an_alarm_is_recorded_and_its_replay_alarms_at_the_same_time(tmp_path, clock):
    async with running(tmp_path / "var", "waste-bin", clock=clock) as site:
        incident = await alarm(site)
        await asyncio.sleep(59)
        assert names(tmp_path / "var") == []
        await asyncio.sleep(10)
        live, troubles = first_alarm(site.outcomes), site.last.troubles
        assert names(tmp_path / "var") == [f"{incident}.mcap"]
        await asyncio.sleep(120)
        # Emergency by now, but the same incident.
        assert site.last.level is Level.EMERGENCY
        assert names(tmp_path / "var") == [f"{incident}.mcap"]
    (recording,) = recordings(tmp_path / "var")
    assert not any(trouble.startswith("recordings") for trouble in troubles)
    assert first_alarm(replayed(recording)) == live
    events = list(read_events(recording))
    assert (events[-1].t_ns / NS - live[0]) == pytest.approx(60.0, abs=1.0)
    done = invoke("replay", recording, "--summary", cwd=tmp_path)
    summary = json.loads(done.stdout)
    assert summary["first"]["alert"] == live[0]
    assert summary["max_level"] == "emergency"


@virtual
async def test_a_smoulder_that_began_long_before_alarms_in_the_replay_too(tmp_path, clock):
    """Its last minute alone would be learnt as clean air."""
    async with running(tmp_path, "smoulder", clock=clock) as site:
        await alarm(site, 400)
        await asyncio.sleep(65)
        live = site.last
    outcomes = replayed(recordings(tmp_path)[0])
    assert outcomes[-1].level == live.level
    assert outcomes[0].level is Level.NORMAL
    gas = [told.features["g_co_lr"] for told in (outcomes[-1], live)]
    assert gas[0] == pytest.approx(gas[1], rel=0.02)


@virtual
async def test_a_drill_is_not_recorded(tmp_path, clock):
    async with running(tmp_path, clock=clock) as site:
        await asyncio.sleep(5)
        await site.parts.desk.ask(CommandAction.DRILL, CommandSource.LOCAL, 30.0)
        await asyncio.sleep(10)
        assert site.last.drill
        await asyncio.sleep(120)
    assert names(tmp_path) == []


@timeless
async def test_who_wants_none_gets_none(tmp_path):
    settings = Settings(device=DeviceSettings(data_dir=tmp_path, kept_recordings=0))
    made = Heard(tmp_path, settings.device.kept_recordings)
    await made.one("d-1-7")
    assert (names(tmp_path), made.told) == ([], [])
    with pytest.raises(ValueError, match="kept_recordings"):
        DeviceSettings(kept_recordings=-1)


@virtual
async def test_a_stop_in_the_middle_keeps_what_there_is_and_a_restart_does_not_replace_it(
    tmp_path, clock
):
    async with running(tmp_path, "waste-bin", clock=clock) as site:
        incident = await alarm(site)
        await asyncio.sleep(20)
        live = first_alarm(site.outcomes)
    (recording,) = recordings(tmp_path)
    assert recording.stem == incident
    assert first_alarm(replayed(recording)) == live
    before = recording.read_bytes()
    async with running(tmp_path, clock=clock) as site:
        await asyncio.sleep(130)
        assert (site.last.incident_id, site.last.level) == (incident, Level.EMERGENCY)
    assert (recordings(tmp_path), recording.read_bytes()) == ([recording], before)


@virtual
async def test_a_power_cut_in_the_middle_leaves_the_minute_after_the_restart(tmp_path, clock):
    async with running(tmp_path, "waste-bin", clock=clock) as site:
        incident = await alarm(site)
    recordings(tmp_path)[0].rename(tmp_path / "incidents" / f"{incident}.new")
    async with running(tmp_path, clock=clock) as site:
        await asyncio.sleep(70)
        assert site.last.incident_id == incident
    assert names(tmp_path) == [f"{incident}.mcap"]
    events = list(read_events(recordings(tmp_path)[0]))
    assert (events[-1].t_ns - events[0].t_ns) / NS == pytest.approx(60.0, abs=1.5)
    assert replayed(recordings(tmp_path)[0])[0].level >= Level.ALERT


@virtual
async def test_a_folder_that_cannot_be_made_is_a_trouble_and_detection_goes_on(tmp_path, clock):
    (tmp_path / "incidents").write_text("")
    async with running(tmp_path, "waste-bin", clock=clock) as site:
        incident = await alarm(site)
        await asyncio.sleep(70)
        assert any(trouble.startswith(f"recordings:{incident}") for trouble in site.last.troubles)
        assert (site.last.level, site.last.health) == (Level.EMERGENCY, Health.OK)
    assert (tmp_path / "incidents").read_text() == ""


# What a recording holds


@timeless
async def test_it_begins_with_the_clean_air_of_now_and_without_an_alarm_of_before(tmp_path):
    heard = Heard(tmp_path)
    heard.flight.heard(GasCalibrated(heard.now_s * NS, CLEAN))
    heard.pass_time(100)
    await heard.one("d-1-7")
    events = list(read_events(recordings(tmp_path)[0]))
    assert [type(event) for event in events[:3]] == [Started, SettingsChanged, Restored]
    assert events[2] == Restored(0, gas_baseline=LATER, gas_tracked=LATER)
    begun_s = heard.now_s - 62 - 60
    assert {event.t_ns // NS for event in events[3:]} == set(range(begun_s + 1, heard.now_s))
    assert not any(isinstance(event, GasCalibrated) for event in events)


@timeless
async def test_what_was_set_within_the_minute_stays_where_it_was(tmp_path):
    heard = Heard(tmp_path)
    restored, calibrated = Restored(120 * NS, gas_baseline=CLEAN), GasCalibrated(120 * NS, CLEAN)
    heard.flight.heard(restored)
    heard.flight.heard(calibrated)
    await heard.one("d-1-7")
    events = list(read_events(recordings(tmp_path)[0]))
    assert restored in events
    assert calibrated in events


# Limits


@timeless
async def test_the_newest_are_kept(tmp_path):
    heard = Heard(tmp_path, kept=3)
    (tmp_path / "incidents").mkdir()
    (tmp_path / "incidents" / "mine.txt").touch()
    (tmp_path / "incidents" / "folder.mcap").mkdir()
    for number in range(6):
        await heard.one(f"d-1-{number}")
        # As a clock that is set back again and again dates them.
        for age, path in enumerate(reversed(recordings(tmp_path))):
            os.utime(path, (1e9 + age, 1e9 + age))
    kept = [f"d-1-{number}.mcap" for number in (3, 4, 5)]
    assert names(tmp_path) == [*kept, "folder.mcap", "mine.txt"]
    assert heard.troubles == {}


@timeless
async def test_together_they_are_no_larger_than_the_limit(tmp_path):
    await Heard(tmp_path).one("d-1-0")
    size = recordings(tmp_path)[0].stat().st_size
    heard = Heard(tmp_path, bytes_max=3 * size + size // 2)
    for number in range(1, 6):
        await heard.one(f"d-1-{number}")
        # As a clock that is set back again and again dates them.
        for age, path in enumerate(reversed(recordings(tmp_path))):
            os.utime(path, (1e9 + age, 1e9 + age))
    assert names(tmp_path) == [f"d-1-{number}.mcap" for number in (3, 4, 5)]
    heard = Heard(tmp_path, bytes_max=size // 2)
    await heard.one("d-1-9")
    assert "too many" in heard.troubles["recordings"]
    # What cannot be kept pushes nothing out.
    assert names(tmp_path) == [f"d-1-{number}.mcap" for number in (3, 4, 5)]


def test_a_disk_that_is_nearly_full_is_left_to_the_state_of_the_alarm(tmp_path):
    file = IncidentFile(tmp_path / "incidents", "d-1-7", 20, free=lambda _: FREE_MIN_BYTES - 1)
    with pytest.raises(RecordingError, match="MB are free"):
        file.begin()
    with pytest.raises(RecordingError, match="is not open"):
        file.write([])
    file.drop()
    assert names(tmp_path) == []


@timeless
async def test_an_alarm_that_comes_back_again_and_again_fills_no_memory(tmp_path):
    heard = Heard(tmp_path)
    for number in range(10):
        heard.pass_time(1, f"d-1-{number}")
    assert len(heard.flight._following) == UNDER_WAY_MAX
    assert "still under way" in heard.troubles["recordings"]
    heard.pass_time(70)
    await heard.written()
    assert names(tmp_path) == [f"d-1-{number}.mcap" for number in range(UNDER_WAY_MAX)]
    assert heard.flight._following == []
    assert heard.troubles == {}


UNSAFE = ["../d-1-7", "/x/d", "", ".", "a/b", "a\n", "a\0", "a" * 300, "\u00fc"]


@timeless
async def test_an_incident_that_is_no_file_name_is_not_recorded(tmp_path):
    """What was remembered may be anything."""
    for name in UNSAFE:
        heard = Heard(tmp_path)
        await heard.one(name)
        assert "no name for a file" in heard.troubles["recordings"]
        assert list(tmp_path.iterdir()) == []
        await heard.one("d-1-8")
        assert heard.troubles == {}
        (tmp_path / "incidents" / "d-1-8.mcap").unlink()
        (tmp_path / "incidents").rmdir()


def test_no_device_can_be_called_so_that_its_incidents_are_unsafe():
    for name in UNSAFE:
        with pytest.raises(ValueError, match="id"):
            DeviceSettings(id=name)
    assert incidents._SAFE.fullmatch(f"{'a' * 64}-{2**63}-{2**31}")


# A disk that fails


@timeless
async def test_what_fails_is_a_trouble_until_the_next_one_works(tmp_path):
    heard = Heard(tmp_path)
    (tmp_path / "incidents").touch()
    await heard.one("d-1-1")
    assert "d-1-1: " in heard.troubles["recordings"]
    (tmp_path / "incidents").unlink()
    await heard.one("d-1-2")
    assert heard.troubles == {}
    assert names(tmp_path) == ["d-1-2.mcap"]


class FailingDisk(ImmediateDisk):
    """Fails at the call of this number, from one on."""

    def __init__(self, fails_at, error):
        self.fails_at, self.error, self.calls = fails_at, error, 0

    async def run(self, call, _limit_s=0.0):
        self.calls += 1
        if self.calls == self.fails_at:
            raise self.error
        return call()


@pytest.mark.fault("F39", "F40")
async def test_a_disk_that_fails_in_the_middle_leaves_nothing_half_written(tmp_path):
    full = OSError(28, "No space left on device")
    for fails_at in range(1, 8):
        heard = Heard(tmp_path, disk=FailingDisk(fails_at, full))
        heard.made.heard(outcome(heard.now_s, "d-1-1"))
        heard.pass_time(61)
        await heard.made.close()
        if heard.troubles:
            assert heard.troubles == {"recordings": f"d-1-1: {full}"}
            assert names(tmp_path) == []
    assert names(tmp_path) == ["d-1-1.mcap"]


@timeless
async def test_what_a_power_cut_left_half_written_is_removed(tmp_path):
    (tmp_path / "incidents").mkdir()
    (tmp_path / "incidents" / "d-0-9.new").write_bytes(b"half")
    await Heard(tmp_path).one("d-1-1")
    assert names(tmp_path) == ["d-1-1.mcap"]


@pytest.mark.fault("F40")
@timeless
async def test_a_disk_that_hangs_is_a_trouble_and_its_memory_is_given_back(tmp_path):
    heard = Heard(tmp_path)
    heard.disk.hangs = True
    await heard.one("d-1-1")
    assert "does not answer" in heard.troubles["recordings"]
    assert (heard.flight._following, list(heard.made._whole)) == ([], [])
    heard.disk.hangs = False
    await heard.one("d-1-2")
    assert (names(tmp_path), heard.troubles) == (["d-1-2.mcap"], {})


class SilentDisk(ImmediateDisk):
    """Never answers."""

    async def run(self, _call, _limit_s=0.0):
        await asyncio.Event().wait()


@virtual
async def test_a_stop_waits_for_a_disk_that_hangs_three_seconds_only(tmp_path, clock):
    heard = Heard(tmp_path, disk=SilentDisk())
    heard.pass_time(10, "d-1-1")
    begun_ns = clock.monotonic_ns()
    await heard.made.close()
    assert (clock.monotonic_ns() - begun_ns) / NS == pytest.approx(CLOSE_LIMIT_S, abs=0.01)
    assert names(tmp_path) == []


@timeless
async def test_a_stop_while_a_recording_is_written_writes_it_whole(tmp_path):
    heard = Heard(tmp_path)
    heard.pass_time(62, "d-1-1")
    writing = asyncio.create_task(heard.made.run())
    await asyncio.sleep(0.01)
    assert names(tmp_path) == ["d-1-1.new"]
    await cancel_and_wait(writing)
    await heard.made.close()
    assert names(tmp_path) == ["d-1-1.mcap"]
    assert len(list(read_events(recordings(tmp_path)[0]))) == 3 + 61 + 60


# In real time, with the real thread


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["array at 32 Hz", "camera"])
async def test_writing_holds_up_the_loop_for_milliseconds_only(tmp_path, say, kind):
    disk, told, late_s = DiskThread(), [], []
    flight = FlightRecorder()
    made = IncidentRecordings(tmp_path, 20, flight, disk, lambda _name, detail: told.append(detail))
    rng = np.random.default_rng(1)
    flight.heard(Started(0, "d", 1, 0, ()))
    for number, event in enumerate(two_minutes(kind, rng)):
        flight.heard(event)
        if number == event_at_alarm(kind):
            made.heard(outcome(event.t_ns / NS))
    writing = asyncio.create_task(made.run())
    begun = time.perf_counter()
    made.heard(outcome(200.0))
    while not told:
        asked = time.perf_counter()
        await asyncio.sleep(0.001)
        late_s.append(time.perf_counter() - asked - 0.001)
    took_s = time.perf_counter() - begun
    await cancel_and_wait(writing)
    disk.close()
    size = recordings(tmp_path)[0].stat().st_size
    say(
        f"{kind}: {size / 1e6:.1f} MB written in {took_s:.1f} s, the loop was late by "
        f"{1e3 * max(late_s):.0f} ms at most"
    )
    assert told == [None]
    # The limit of a score, with which detection lives.
    assert max(late_s) < SCORE_LIMIT_S


def event_at_alarm(kind):
    return 60 * 32 if kind == "array at 32 Hz" else 60 * 9


def two_minutes(kind, rng):
    """Yield what comes in two minutes; noise is the worst that can be packed."""
    if kind == "array at 32 Hz":
        for number in range(120 * 32):
            words = rng.integers(0, 65536, SUBPAGE_WORDS).astype(np.uint16)
            yield SubPage(number * NS // 32, words)
        return
    for number in range(120 * 9):
        image = rng.normal(21.0, 0.05, (120, 160)).astype(np.float32)
        yield ThermalImage(number * NS // 9, image, 21.0)
