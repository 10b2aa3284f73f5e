"""The flight recorder: the last minute only, as a recording that replays."""

import asyncio

import numpy as np

from firedetect.config import GasBaseline, Settings
from firedetect.contract.settings import DecisionSettings
from firedetect.daemon.models.choose import load_scorer
from firedetect.daemon.remote.flight import _EVENTS_MAX, _FOLLOWED_MAX, FlightRecorder
from firedetect.daemon.replay import Overrides, replay
from firedetect.readings import (
    ClockSet,
    GasCalibrated,
    MaskApproved,
    Restored,
    Sensor,
    SensorOpened,
    SettingsChanged,
    Started,
    SystemTrouble,
    Tick,
)
from firedetect.sensors.recording import RecordingWriter, read_events
from tests.fakes.detector import running, virtual

NS = 1_000_000_000


def beginning():
    return [
        Started(0, "d", 1, 0, ()),
        SettingsChanged(0, DecisionSettings()),
        Restored(0),
        SensorOpened(0, Sensor.GAS, 1e6),
    ]


def told(events):
    """What and when; an opened sensor equals only itself."""
    return [(type(event), event.t_ns) for event in events]


def recorded(flight, path, last_s=60.0):
    events = flight.begin(last_s)
    flight.end(events)
    return written(path, events)


def written(path, events):
    with RecordingWriter(path) as writer:
        for event in events:
            writer.write(event)
    return list(read_events(path))


def test_only_the_last_minute_is_kept_with_what_a_replay_begins_with(tmp_path):
    flight = FlightRecorder()
    for event in beginning():
        flight.heard(event)
    for second in range(600):
        flight.heard(Tick(second * NS))
    events = recorded(flight, tmp_path / "r.mcap")
    assert told(events[:4]) == told(beginning())
    assert [event.t_ns // NS for event in events[4:]] == list(range(539, 600))
    assert len(flight._events) == 61
    assert len(recorded(flight, tmp_path / "short.mcap", 5.0)) == 4 + 6


def test_a_change_within_the_minute_stays_where_it_was(tmp_path):
    flight = FlightRecorder()
    changed = SettingsChanged(580 * NS, DecisionSettings(hold_s=30.0))
    opened = SensorOpened(585 * NS, Sensor.GAS, 1e6)
    events = [*beginning(), *(Tick(second * NS) for second in range(600)), changed, opened]
    for event in sorted(events, key=lambda event: event.t_ns):
        flight.heard(event)
    found = recorded(flight, tmp_path / "r.mcap")
    assert told(found[:4]) == told(beginning())
    assert found.index(changed) > found.index(Tick(579 * NS))
    assert [event.t_ns for event in found] == sorted(event.t_ns for event in found)
    # Of a shorter recording it is the beginning.
    short = recorded(flight, tmp_path / "short.mcap", 5.0)
    assert told(short[:4]) == told([beginning()[0], beginning()[2], changed, opened])
    assert {event.t_ns // NS for event in short[4:]} == set(range(594, 600))


def test_memory_is_bounded_however_fast_events_come():
    flight = FlightRecorder()
    for event in beginning():
        flight.heard(event)
    for number in range(3 * _EVENTS_MAX):
        flight.heard(Tick(number))
    assert len(flight._events) == _EVENTS_MAX
    assert told(flight.begin(0.0)[:4]) == told(beginning())


def test_what_lasts_is_there_however_long_ago_it_was(tmp_path):
    flight = FlightRecorder()
    mask = MaskApproved(NS, np.full((24, 32), 90.0, dtype=np.float32), 5)
    clean = GasCalibrated(2 * NS, GasBaseline(no2=40.0, c2h5oh=70.0, voc=90.0, co=760.0))
    clock = ClockSet(3 * NS, 1_800_000_000 * NS)
    disk = SystemTrouble(4 * NS, "disk", active=True, detail="full")
    late = SystemTrouble(5 * NS, "late", active=True)
    over = SystemTrouble(6 * NS, "late", active=False)
    lasting = [mask, clean, clock, disk, late, over]
    for event in (*beginning(), *lasting, *(Tick(second * NS) for second in range(7, 300))):
        flight.heard(event)
    found = recorded(flight, tmp_path / "r.mcap")
    kept = [event for event in found if event.t_ns and not isinstance(event, Tick)]
    assert told(kept) == told([mask, clean, clock, disk])
    assert kept[1:] == [clean, clock, disk]


def test_it_goes_on_while_it_is_not_ended():
    flight = FlightRecorder()
    flight.heard(Tick(0))
    first, second = flight.begin(60.0), flight.begin(60.0)
    flight.heard(Tick(NS))
    flight.end(first)
    flight.heard(Tick(2 * NS))
    flight.end(second)
    flight.heard(Tick(3 * NS))
    assert [event.t_ns for event in first] == [0, NS]
    assert [event.t_ns for event in second] == [0, NS, 2 * NS]


def test_what_is_followed_is_bounded_too():
    flight = FlightRecorder()
    events = flight.begin(60.0)
    for number in range(_FOLLOWED_MAX + 10):
        flight.heard(Tick(number))
    flight.end(events)
    assert len(events) == _FOLLOWED_MAX


@virtual
async def test_a_recording_of_the_first_minute_replays_with_the_same_outcomes(tmp_path, clock):
    async with running(tmp_path / "var", "waste-bin", clock=clock) as site:
        flight = site.parts.detector.on_event.__self__
        await asyncio.sleep(20)
        events = flight.begin(60.0)
        await asyncio.sleep(35)
        flight.end(events)
        written(tmp_path / "r.mcap", events)
        live = [outcome.as_record() for outcome in site.outcomes]
    again = []
    replay(
        tmp_path / "r.mcap", load_scorer(None), Overrides(), lambda o: again.append(o.as_record())
    )
    assert len(again) > 100
    assert again == live[: len(again)]
    assert again[-1]["level"] == "emergency"


def test_settings_are_the_type_that_recordings_hold():
    assert Settings().decision == DecisionSettings()
