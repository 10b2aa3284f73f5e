"""Acknowledge and silence from afar: for the right incident, once, in whatever order they come."""

import asyncio
import datetime
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.clock import ManualClock
from firedetect.contract.level import Level
from firedetect.contract.limits import refused_state
from firedetect.contract.settings import DecisionSettings
from firedetect.contract.shadow import ReportedAlarm
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.remote.alarm import RemoteAlarm
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    Command,
    CommandAction,
    CommandSource,
    Restored,
    SettingsChanged,
    Started,
    Stream,
    ThermalImage,
    Tick,
)
from firedetect.storage.slots import Slots
from firedetect.uplink.shadow_client import ShadowDocument
from tests.fakes.detector import running, virtual
from tests.fakes.disk import ImmediateDisk

NS = 1_000_000_000
NOW_S = 1_800_000_000
IMAGE = np.full((24, 32), 21.0, np.float32)


class Says:
    """A model with one answer."""

    version = "1"

    def __init__(self):
        self.answer = 0.0

    def score(self, _row):
        return self.answer


class Site:
    """A pipeline with the remote alarm at it; `restart` keeps what a disk would keep."""

    def __init__(self, folder=None, *, wall_s=NOW_S, **decision):
        self.folder = folder
        self.clock = ManualClock(monotonic_ns=NS, wall_ns=wall_s * NS)
        self.decision = DecisionSettings(**decision)
        self.commands = []
        self.desired = {}
        self.version = 0
        self.model = Says()
        self._start(Restored(NS))

    def _start(self, restored):
        self.queue = EventQueue()
        kept = None if self.folder is None else Slots(self.folder, "alarm-asked")
        self.alarm = RemoteAlarm(self.queue, self.clock, ImmediateDisk(), kept)
        self.pipeline = Pipeline(self.model)
        started = Started(
            self.clock.monotonic_ns(), "d", 1, self.clock.wall_ns(), (Stream("thermal", 5.0),)
        )
        for event in (started, SettingsChanged(restored.t_ns, self.decision), restored):
            self.feed(event)

    def feed(self, event):
        for outcome in self.pipeline.run([event]):
            self.outcome = outcome
            self.alarm.heard(outcome)
        while len(self.queue):
            command = asyncio.run(self.queue.get())
            self.commands.append(command)
            self.feed(command)

    def images(self, score, count=6):
        self.model.answer = score
        for _ in range(count):
            self.clock.advance(1)
            self.feed(ThermalImage(self.clock.monotonic_ns(), IMAGE))

    def wait(self, seconds):
        self.clock.advance(seconds)
        self.feed(Tick(self.clock.monotonic_ns()))

    def burn(self):
        self.images(0.65)
        assert self.outcome.level is Level.ALERT

    def restart(self):
        now = self.clock.monotonic_ns()
        self._start(self.pipeline.remembered(now))

    def consider(self, desired=None):
        """Deliver what is desired now, perhaps not for the first time."""
        if desired is not None:
            self.desired = desired
        self.version += 1
        asyncio.run(self.alarm.consider(ShadowDocument(self.version, self.desired, {}, 0)))
        while len(self.queue):
            command = asyncio.run(self.queue.get())
            self.commands.append(command)
            self.feed(command)
        reported = self.alarm.reported()
        assert refused_state(reported) == ""
        assert ReportedAlarm.model_validate(reported)
        return reported

    def until(self, seconds):
        stamp = datetime.datetime.fromtimestamp(self.clock.wall_ns() / NS, tz=datetime.UTC)
        return (stamp + datetime.timedelta(seconds=seconds)).isoformat()

    @property
    def incident(self):
        return self.outcome.incident_id

    def ack(self, by="ann", incident=None):
        return {"acknowledge": {"incident_id": incident or self.incident, "by": by}}

    def silence(self, seconds=300, incident=None):
        until = self.until(seconds) if not isinstance(seconds, str) else seconds
        return {"silence": {"incident_id": incident or self.incident, "until": until}}


def test_the_right_incident_is_acknowledged_once():
    site = Site()
    site.burn()
    asked = site.ack()
    reported = site.consider(asked)
    assert reported["acknowledged"] is True
    assert reported["answers"] == {"acknowledge": "done"}
    for _ in range(5):
        site.consider(asked)
    assert [c.action for c in site.commands] == [CommandAction.ACKNOWLEDGE]
    assert site.commands[0].source is CommandSource.REMOTE


def test_who_saw_an_alert_does_not_take_over_the_emergency_that_it_has_become():
    site = Site()
    site.burn()
    seen = {"acknowledge": {"incident_id": site.incident, "by": "link", "level": "alert"}}
    site.images(0.9)
    assert site.outcome.level is Level.EMERGENCY
    reported = site.consider(seen)
    assert reported["acknowledged"] is False
    assert reported["answers"] == {"acknowledge": "the level is emergency now: look again"}
    assert site.commands == []
    seen["acknowledge"]["level"] = "emergency"
    assert site.consider(seen)["acknowledged"] is True


@pytest.mark.parametrize("incident", ["d-1-99", "", "x" * 128])
def test_another_incident_is_left_alone(incident):
    site = Site()
    site.burn()
    asked = {"acknowledge": {"incident_id": incident}}
    reported = site.consider(asked)
    assert reported["acknowledged"] is False
    assert site.commands == []
    said = reported["answers"].get("acknowledge") or reported["answers"]["document"]
    assert "not the present one" in said or "incident_id" in said


def test_without_an_alarm_nothing_is_carried_out_and_before_an_outcome_nothing_is_said():
    site = Site()
    assert RemoteAlarm(EventQueue(), site.clock, ImmediateDisk()).reported() is None
    reported = site.consider({"acknowledge": {"incident_id": "d-1-1"}})
    assert reported["incident_id"] is None
    assert "not the present one" in reported["answers"]["acknowledge"]
    assert site.commands == []


def test_a_request_that_is_there_before_the_incident_is_carried_out_with_it(tmp_path):
    site = Site(tmp_path)
    site.burn()
    asked = site.ack()
    site.restart()
    site.consider(asked)
    assert site.alarm.reported()["acknowledged"] is True


@pytest.mark.fault("F56")
@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"acknowledge": {"incident_id": 5}}, "acknowledge.incident_id"),
        ({"acknowledge": "d-1-1"}, "acknowledge"),
        ({"acknowledge": {"incident_id": "d", "reset": True}}, "acknowledge.reset"),
        ({"acknowledge": {"incident_id": "d" * 129}}, "acknowledge.incident_id"),
        ({"silence": {"incident_id": "d"}}, "silence.until"),
        ({"silence": {"incident_id": "d", "until": 1e12}}, "silence.until"),
        ({"silence": {"incident_id": "d", "until": "2" * 41}}, "silence.until"),
        ({"reset": {"incident_id": "d"}}, "reset"),
        ({"v": 2}, "v"),
        ({"\ud800": 1}, "half a character"),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, "nested deeper"),
        ([], "is no object"),
        ("ack", "is no object"),
    ],
)
def test_a_bad_document_is_answered_and_changes_nothing(document, path):
    site = Site()
    site.burn()
    reported = site.consider(document)
    assert path in reported["answers"]["document"]
    assert site.commands == []
    # A good one takes the refusal away.
    assert site.consider(site.ack())["answers"] == {"acknowledge": "done"}


@pytest.mark.fault("F59")
def test_a_silence_lasts_until_its_time_and_at_most_ten_minutes():
    site = Site()
    site.burn()
    reported = site.consider(site.silence(120))
    assert (reported["alarm"], reported["answers"]) == ("silenced", {"silence": "done"})
    assert site.commands[0].duration_s == pytest.approx(120, abs=1)
    site.wait(119)
    assert site.outcome.alarm.value == "silenced"
    site.wait(2)
    assert site.outcome.alarm.value == "sounding"
    site.consider(site.silence(86_400))
    site.wait(599)
    assert site.outcome.alarm.value == "silenced"
    site.wait(2)
    assert site.outcome.alarm.value == "sounding"


@pytest.mark.parametrize(
    ("until", "why"),
    [
        ("2027-01-15T08:00:00", "no offset"),
        ("2027-01-15", "no offset"),
        ("tomorrow", "no time"),
        ("", "no time"),
        ("2020-01-01T00:00:00+00:00", "has expired"),
        ("0001-01-01T00:00:00+14:00", "has expired"),
        ("2027-13-01T00:00:00Z", "no time"),
        ("\u0662\u0660\u0662\u0667-01-15T08:00:00Z", "no time"),
    ],
)
def test_a_silence_without_a_good_time_is_refused(until, why):
    site = Site()
    site.burn()
    reported = site.consider(site.silence(until))
    assert why in reported["answers"]["silence"]
    assert site.commands == []
    assert reported["alarm"] == "sounding"


@given(st.text(max_size=40))
def test_no_time_raises(until):
    site = Site()
    site.burn()
    site.consider({"silence": {"incident_id": site.incident, "until": until}})
    assert site.alarm.reported()["answers"]


def test_a_clock_that_was_never_set_can_judge_no_expiry():
    site = Site(wall_s=1000)
    site.burn()
    reported = site.consider(site.silence("2027-01-15T08:00:00Z"))
    assert "clock of this detector is not set" in reported["answers"]["silence"]
    assert site.commands == []
    # It needs no clock to be acknowledged.
    assert site.consider(site.ack())["acknowledged"] is True


@pytest.mark.fault("F59")
@pytest.mark.parametrize("allowed", [False, True])
def test_an_emergency_is_silenced_from_afar_only_where_the_device_says_so(allowed):
    site = Site(remote_emergency_silence=allowed)
    site.images(0.9)
    assert site.outcome.level is Level.EMERGENCY
    reported = site.consider(site.silence())
    assert (reported["alarm"] == "silenced") == allowed
    assert (reported["answers"]["silence"] == "done") == allowed


def test_an_acknowledgement_is_not_repeated_for_a_higher_level_after_a_restart(tmp_path):
    site = Site(tmp_path)
    site.burn()
    site.consider(site.ack())
    site.images(0.9)
    assert site.alarm.reported()["acknowledged"] is False
    site.restart()
    reported = site.consider()
    assert reported["acknowledged"] is False
    assert len(site.commands) == 1
    assert site.consider(site.ack("bob"))["acknowledged"] is True


def test_a_disk_that_cannot_be_written_stops_no_request(tmp_path):
    (tmp_path / "file").touch()
    site = Site(tmp_path / "file")
    site.burn()
    assert site.consider(site.ack())["acknowledged"] is True


def test_what_a_disk_holds_is_not_believed(tmp_path):
    Slots(tmp_path, "alarm-asked").propose({"done": [1], "answers": {"acknowledge": 5}})
    site = Site(tmp_path)
    site.burn()
    assert site.consider(site.ack())["answers"] == {"acknowledge": "done"}


OPERATIONS = {
    "deliver": lambda site: site.consider(),
    "rise": lambda site: site.images(0.9),
    "restart": Site.restart,
    "wait": lambda site: site.wait(90),
}
WISHES = {
    "ack": lambda site, number: site.desired | site.ack(f"person {number}"),
    "silence": lambda site, _: site.desired | site.silence(200),
    "other": lambda site, _: site.desired | site.ack(incident="d-9-9"),
    "withdraw": lambda _site, _: {},
}


def carry_out(site, operation, number):
    if operation in OPERATIONS:
        OPERATIONS[operation](site)
    elif operation in WISHES:
        site.desired = WISHES[operation](site, number)
    else:
        now = site.clock.monotonic_ns()
        site.feed(Command(now, CommandAction.ACKNOWLEDGE, command_id="local"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*OPERATIONS, *WISHES, "local"]), max_size=12))
def test_any_order_of_requests_rises_and_restarts_merges(operations):
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        site.burn()
        incident, seen = site.incident, Level.ALERT
        for number, operation in enumerate(operations):
            carry_out(site, operation, number)
            # One incident, whose level never falls, and each request at most once.
            assert site.incident == incident
            assert site.outcome.level >= seen
            seen = site.outcome.level
            ids = [command.command_id for command in site.commands]
            assert len(ids) == len(set(ids))
            if site.outcome.level is Level.EMERGENCY:
                assert site.outcome.alarm.value in {"sounding", "acknowledged"}
        site.consider(site.ack("the last one"))
        assert site.alarm.reported()["acknowledged"] is True
        assert site.alarm.reported()["answers"]["acknowledge"] == "done"


@pytest.mark.slow
@virtual
async def test_a_fire_is_acknowledged_over_the_shadow_of_a_whole_daemon(tmp_path, clock):
    async with running(tmp_path, "waste-bin", clock=clock) as site:
        await site.until(lambda: site.outcomes and site.last.level is Level.EMERGENCY, 80)
        incident = site.last.incident_id
        await asyncio.sleep(1)
        assert site.reported("alarm")["incident_id"] == incident
        site.shadows.desire("alarm", {"acknowledge": {"incident_id": incident, "by": "ann"}})
        await site.until(lambda: site.reported("alarm")["acknowledged"], 2.0)
        site.shadows.desire(
            "alarm", {"silence": {"incident_id": incident, "until": "2027-12-31T00:00:00Z"}}
        )
        await site.until(lambda: "silence" in site.reported("alarm")["answers"], 2.0)
        assert "emergency" in site.reported("alarm")["answers"]["silence"]
        assert site.last.alarm.value == "acknowledged"
        before = len(site.shadows.requests)
        await asyncio.sleep(60)
        assert len(site.shadows.requests) - before <= 2
