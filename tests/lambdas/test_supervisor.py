"""firedetect-supervisor with a clock that is passed in."""

import datetime as dt
import json

import boto3
import pytest

from firedetect.contract.names import DEVICES_TABLE
from firedetect.lambdas import supervisor
from firedetect.lambdas.rows import client, packed
from firedetect.lambdas.settings import SupervisorSettings
from firedetect.lambdas.supervisor import Device, SupervisionError, Supervisor, duties
from tests.lambdas.helpers import T0, Down, context, environment, escalation, lost, message, rows

PROOF = {
    "known_answer": True,
    "uptime_s": 1000.0,
    "sensors": {"thermal": {"age_s": 0.2, "fresh": 4000, "noise": 0.1}},
}
NOW_MS = 1_767_225_600_000


class World:
    """Detectors that beat, a supervisor that looks, a clock."""

    def __init__(self, people):
        self.people = people
        self.down = Down()
        self.now = T0
        settings = SupervisorSettings.read(environment())
        self.dynamodb = client("dynamodb")
        self.supervisor = Supervisor(
            settings,
            self.dynamodb,
            client("sns"),
            self.down,
            lambda: self.now,
            events=client("events"),
        )

    def row(self, kind, thing="thing-1", **more):
        row = {"thing": thing, "kind": kind, "received_ms": self.ms(), "site": "cellar"}
        row |= (PROOF if kind == "beat" else {}) | more
        self.dynamodb.put_item(TableName=DEVICES_TABLE, Item=packed(row))

    def ms(self):
        return round(self.now.timestamp() * 1000)

    def passes(self, seconds):
        self.now += dt.timedelta(seconds=seconds)

    def look(self, remaining_ms=lambda: 30_000):
        return self.supervisor.look(remaining_ms)

    def told(self):
        return [subject for subject, _, _ in self.people.told()]


@pytest.fixture
def world(people):
    return World(people)


def test_a_detector_is_silent_after_70_s_and_that_is_told_once(world):
    world.row("beat")
    world.passes(70)
    world.look()
    assert world.told() == []
    world.passes(1)
    for _ in range(3):
        world.look()
        world.passes(60)
    assert world.told() == ["Trouble: thing-1 at cellar is silent"]


def test_it_is_back_when_beats_return_and_that_is_told_once(world):
    world.row("beat")
    world.passes(100)
    world.look()
    world.told()
    world.row("beat")
    for _ in range(3):
        world.look()
        world.passes(20)
    assert world.told() == ["Trouble ended: thing-1 at cellar is back"]
    world.passes(100)
    world.look()
    assert world.told() == ["Trouble: thing-1 at cellar is silent"]


def test_other_services_hear_of_silence_too_and_dashboards_how_many_are_silent(world, capsys):
    world.row("beat")
    world.row("beat", "thing-2")
    world.passes(100)
    world.row("beat", "thing-3")
    capsys.readouterr()
    for _ in range(2):
        world.look()
    world.row("beat")
    world.look()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    silent = [line["SilentDevices"] for line in lines if "SilentDevices" in line]
    assert silent == [[2.0], [2.0], [1.0]]
    posted = [one["detail"]["subject"] for one in world.people.posted()]
    assert sorted(posted) == sorted(world.told())
    assert len(posted) == 3


def test_a_bus_that_takes_nothing_is_said_when_people_know(world):
    class Bus:
        def put_events(self, **_request):
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "Throttled"}]}

    world.row("beat")
    world.passes(100)
    world.supervisor._speaker._events = Bus()
    with pytest.raises(SupervisionError, match="thing-1"):
        world.look()
    world.look()
    assert world.told() == ["Trouble: thing-1 at cellar is silent"]


def test_after_a_lost_link_the_first_newer_beat_says_that_it_is_back(world):
    world.row("beat")
    world.passes(1)
    world.row("link", state="lost")
    world.look()
    assert world.told() == []
    world.passes(1)
    world.row("beat")
    world.look()
    world.look()
    assert world.told() == ["Trouble ended: thing-1 at cellar is back"]


def test_a_loss_that_people_were_spared_is_over_without_a_word(world):
    one = escalation(world.down)
    for _ in range(6):
        world.passes(1)
        one.handle(lost(received_ms=world.ms()), context())
        world.passes(1)
        one.handle(message(2, kind="event", level="normal", received_ms=world.ms()), context())
        world.passes(1)
        world.row("beat")
        world.look()
    assert world.told() == [
        "Trouble: thing-1 at cellar is not connected", "Trouble ended: thing-1 at cellar is back",
    ]  # fmt: skip
    world.passes(300)
    world.row("beat")
    one.handle(lost(received_ms=world.ms()), context())
    assert world.told() == ["Trouble: thing-1 at cellar is not connected"]


def test_a_loss_while_people_hear_that_it_is_back_stays_lost(world):
    world.row("link", state="lost")
    world.passes(1)
    world.row("beat")
    world.passes(1)
    real = world.supervisor._speaker._sns.publish

    class Sns:
        def publish(self, **request):
            escalation(world.down).handle(lost(received_ms=world.ms()), context())
            return real(**request)

    world.supervisor._speaker._sns = Sns()
    world.look()
    (row,) = (row for row in rows(DEVICES_TABLE) if row["kind"] == "link")
    assert (row["state"], row["received_ms"]) == ("lost", world.ms())


def test_a_loss_that_arrives_late_is_newer_than_the_beat_before_it(world):
    world.row("link", state="lost")
    world.passes(1)
    world.row("beat")
    world.passes(10)
    world.look()
    assert world.told() == ["Trouble ended: thing-1 at cellar is back"]
    escalation(world.down).handle(lost(received_ms=world.ms() - 5_000), context())
    assert world.told() == ["Trouble: thing-1 at cellar is not connected"]


def test_silence_goes_before_leases_and_the_oldest_lease_before_the_others(world):
    world.row("beat", "z-silent")
    world.passes(100)
    for number, age_s in enumerate((400, 600, 500)):
        world.row("beat", f"thing-{number}")
        world.row("lease", f"thing-{number}", received_ms=world.ms() - age_s * 1000)
    world.row("beat", "new")
    left_ms = iter([30_000] * 4 + [30_000, 6_000, 4_999])
    assert world.look(lambda: next(left_ms))["leases"] == 2
    assert world.told() == ["Trouble: z-silent at cellar is silent"]
    world.look(lambda: 30_000)
    given = [topic.split("/")[1] for topic, _ in world.down.heard]
    assert given == ["new", "thing-1", "thing-2", "thing-0"]


def test_many_silent_ones_leave_time_for_the_leases_of_the_others(world):
    for number in range(5):
        world.row("beat", f"silent-{number}")
    world.passes(100)
    world.row("beat", "well")
    left_ms = iter([30_000, 12_000, 11_999, 11_000])
    found = world.look(lambda: next(left_ms))
    assert (found["silent"], found["leases"]) == (3, 1)
    assert len(world.told()) == 3
    # Nobody is forgotten: the note is made only when people were told.
    assert world.look()["silent"] == 2


@pytest.mark.fault("F31")
def test_a_beat_that_proves_nothing_is_told_with_the_reason(world):
    world.row("beat", sensors={"thermal": {"age_s": 3600.0}})
    world.look()
    ((subject, text, _),) = world.people.told()
    assert subject == "Trouble: thing-1 at cellar is silent"
    assert "proves nothing: none of its sensors has given a fresh reading" in text
    world.row("beat", known_answer=False)
    world.look()
    assert world.told() == []
    world.row("beat")
    world.look()
    assert world.told() == ["Trouble ended: thing-1 at cellar is back"]


@pytest.mark.parametrize("phase_s", range(0, 60, 5))
def test_a_hung_detector_is_told_of_within_150_s_whatever_the_phase_of_the_looks(world, phase_s):
    world.row("beat")
    world.passes(phase_s)
    waited_s = phase_s
    while not world.look()["silent"]:
        # AWS may begin a scheduled look some seconds late.
        world.passes(60 + 5)
        waited_s += 60 + 5
    assert waited_s <= 150


def test_without_time_for_leases_silence_is_told(world):
    world.row("beat", "a")
    world.passes(100)
    world.row("beat", "b")
    assert world.look(lambda: 0) == {"devices": 2, "silent": 1, "back": 0, "leases": 0}
    assert len(world.told()) == 1


def test_a_lease_is_given_to_the_living_every_five_minutes(world):
    for _ in range(11):
        world.row("beat")
        world.look()
        world.passes(60)
    leases = [body for topic, body in world.down.heard if topic == "firedetect/thing-1/down"]
    assert [lease["kind"] for lease in leases] == ["lease"] * 3
    assert leases[0]["valid_s"] == 900.0
    world.passes(300)
    world.look()
    assert len(world.down.heard) == 3


def test_one_detector_that_fails_does_not_stop_the_others(world):
    for thing in ("thing-1", "thing-2"):
        world.row("beat", thing)
    real = world.down.publish

    def publish(*, topic, **more):
        if "thing-1" in topic:
            raise ConnectionError("no answer")
        real(topic=topic, **more)

    world.down.publish = publish
    with pytest.raises(SupervisionError, match="thing-1"):
        world.look()
    assert [topic for topic, _ in world.down.heard] == ["firedetect/thing-2/down"]
    world.down.publish = real
    world.look()
    assert len(world.down.heard) == 2


def test_if_people_cannot_be_told_they_are_told_at_the_next_look(world):
    world.row("beat")
    world.passes(100)
    sns, world.supervisor._speaker._sns = world.supervisor._speaker._sns, None
    with pytest.raises(SupervisionError):
        world.look()
    world.supervisor._speaker._sns = sns
    world.look()
    assert world.told() == ["Trouble: thing-1 at cellar is silent"]


def test_many_detectors_are_read_page_by_page(world):
    for number in range(60):
        world.row("beat", f"thing-{number}", pad="x" * 30_000)
    assert world.look()["devices"] == 60


def beat(age_ms=0, **more):
    return {"received_ms": NOW_MS - age_ms} | PROOF | more


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        ({}, (False, False, False)),
        ({"link": {"received_ms": NOW_MS, "state": "lost"}}, (False, False, False)),
        ({"beat": beat(70_000)}, (False, False, True)),
        ({"beat": beat(70_001)}, (True, False, False)),
        ({"beat": beat(70_001), "silence": {"state": "silent"}}, (False, False, False)),
        ({"beat": beat(70_001), "silence": {"state": "back"}}, (True, False, False)),
        ({"beat": beat(), "silence": {"state": "silent"}}, (False, True, True)),
        ({"beat": beat(), "silence": {"state": "back"}}, (False, False, True)),
        ({"beat": beat(), "lease": {"received_ms": NOW_MS - 299_999}}, (False, False, False)),
        ({"beat": beat(), "lease": {"received_ms": NOW_MS - 300_000}}, (False, False, True)),
        # The clock was set back: neither a beat nor a lease from later proves anything.
        ({"beat": beat(-60_001)}, (True, False, False)),
        ({"beat": beat(), "lease": {"received_ms": NOW_MS + 3_600_000}}, (False, False, True)),
        # It has never beaten: it is waited for since it first spoke.
        ({"trouble": {"received_ms": NOW_MS - 70_000}}, (False, False, False)),
        ({"trouble": {"received_ms": NOW_MS - 70_001}}, (True, False, False)),
        ({"silence": {"state": "back", "received_ms": 1}}, (False, False, False)),
        # It beats, but nothing in its beats proves that it senses: the lease is of the tier.
        ({"beat": beat(sensors={"thermal": {"age_s": 30.1}})}, (True, False, True)),
        ({"beat": beat(sensors={"thermal": {"age_s": 30.1}}), "silence": {"state": "silent"}},
         (False, False, True)),
        ({"beat": beat(sensors={"thermal": {"age_s": 30.1}, "gas": {"age_s": 30.0}})},
         (False, False, True)),
        ({"beat": beat(sensors={"thermal": {"age_s": None}})}, (True, False, True)),
        ({"beat": beat(sensors={"thermal": {"age_s": None}}, uptime_s=59.0)},
         (False, False, True)),
        ({"beat": beat(known_answer=False)}, (True, False, True)),
        ({"beat": beat(known_answer=None)}, (False, False, True)),
    ],
)  # fmt: skip
def test_duties_at_their_limits(kinds, wanted):
    found = duties(Device("thing-1", kinds), NOW_MS)
    assert (found.silent, found.back, found.lease) == wanted


@pytest.mark.usefixtures("people")
def test_the_handler_itself_reads_its_environment(monkeypatch):
    down = Down()
    real = boto3.client
    monkeypatch.setattr(
        boto3, "client", lambda name, **more: down if name == "iot-data" else real(name, **more)
    )
    supervisor._supervisor.cache_clear()
    try:
        answer = supervisor.handler({}, context())
    finally:
        supervisor._supervisor.cache_clear()
    assert answer == {"devices": 0, "silent": 0, "back": 0, "leases": 0}
    assert rows(DEVICES_TABLE) == []
