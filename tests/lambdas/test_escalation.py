"""Escalation until somebody acknowledges: the states of the template on a manual clock."""

import datetime as dt
import json

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.cloudbox.functions import Context
from firedetect.contract.names import INCIDENTS_TABLE
from firedetect.errors import MessageRefusedError
from firedetect.lambdas import calls
from firedetect.lambdas.escalation import (
    LASTS_S,
    TIERS,
    Climb,
    climb_of,
    execution_name,
    following,
    stopped,
)
from firedetect.lambdas.facts import Acknowledgement
from firedetect.lambdas.incident import acknowledged, changed, closed
from firedetect.lambdas.policy import understood
from firedetect.lambdas.rows import client
from firedetect.lambdas.settings import EscalateSettings
from firedetect.lambdas.tokens import Signer
from tests.lambdas import machine
from tests.lambdas.helpers import (
    T0,
    URL,
    Down,
    Failing,
    context,
    environment,
    escalation,
    executions,
    message,
    pressed,
    rows,
)

STATES = machine.definition()
PLAN_S = [60, 180, *range(180 + 600, 180 + 600 * 13, 600)]
"""When the tiers after the first are told of an alarm that nobody acknowledges."""


class World:
    """A function, people, a clock; things happen at their time."""

    def __init__(self, people, **parts):
        self.people = people
        self.now = T0
        self.plan = []
        self.told = []
        self.posted = []
        self.down = Down()
        self.one = escalation(self.down, now=lambda: self.now, **parts)

    def says(self, *events):
        for event in events:
            self.one.handle(event, context())
        self.look()

    def at(self, seconds, do):
        self.plan.append((seconds, do))

    def passes(self, seconds):
        until = self.now + dt.timedelta(seconds=seconds)
        due = [one for one in self.plan if T0 + dt.timedelta(seconds=one[0]) <= until]
        for one in sorted(due, key=lambda one: one[0]):
            self.plan.remove(one)
            self.now = max(self.now, T0 + dt.timedelta(seconds=one[0]))
            one[1]()
            self.look()
        self.now = until

    def look(self):
        at_s = (self.now - T0).total_seconds()
        self.told += [(at_s, *told) for told in self.people.told()]
        self.posted += [posted["detail"] for posted in self.people.posted()]

    def call(self, event):
        try:
            return self.one.handle(event, context())
        finally:
            self.look()

    def climb(self, name):
        return machine.run(STATES, executions()[name], self.call, self.passes)

    def calls(self):
        return self.kinds("unanswered")

    def kinds(self, kind):
        return [(at_s, said["tier"]) for at_s, _, _, said in self.told if said["kind"] == kind]

    def acknowledged_by_link(self, level="alert"):
        boto3.client("iot").create_thing(thingName="thing-1")
        key = EscalateSettings.read(environment()).sign_key
        signer = Signer(client("kms"), key, URL)
        link = signer.link("thing-1-1-1", "thing-1", int(self.now.timestamp()))
        assert pressed(link, level, lambda: self.now)["statusCode"] == 200


@pytest.fixture
def world(people):
    return World(people)


def test_an_unanswered_emergency_climbs_all_tiers_on_time_and_says_so_at_the_end(world):
    world.says(message(1, level="emergency", current="emergency"))
    ended = world.climb("thing-1-1-1-emergency")
    assert world.calls() == [(at_s, "1" if at_s == 60 else "2") for at_s in PLAN_S]
    assert ended["climb"]["over"] is True
    assert (world.now - T0).total_seconds() == LASTS_S == 7980
    (row,) = rows(INCIDENTS_TABLE)
    assert row["unacknowledged_at"] == "2026-01-01T02:13:00.000+00:00"
    assert len(row["told"]) == 1 + len(PLAN_S)
    assert row["told"]["emergency, tier 0, round 0"] == "2026-01-01T00:00:00.000+00:00"
    assert row["told"]["emergency, tier 1, round 0"] == "2026-01-01T00:01:00.000+00:00"
    _, subject, text, said = world.told[2]
    assert subject == "UNANSWERED 3 min: FIRE EMERGENCY: thing-1 at cellar"
    for words in ("for 3 min", "cellar", "thing-1", "hot_spot", "call the fire service", URL):
        assert words in text
    assert (said["level"], said["site"], said["thing"]) == ("emergency", "cellar", "thing-1")


def test_the_alarm_itself_is_the_first_tier_and_has_the_link(world):
    world.says(message(1))
    ((_, subject, text, said),) = world.told
    assert (subject, said["tier"]) == ("FIRE ALERT: thing-1 at cellar", "0")
    assert f"{URL}?t=" in text
    started = executions()["thing-1-1-1-alert"]["climb"]
    assert started == {
        "incident_id": "thing-1-1-1", "thing": "thing-1", "site": "cellar", "level": "alert",
        "reasons": ["hot_spot", "gas_rise"], "since": "2026-01-01T00:00:01.000+00:00",
        "told_ms": 1767225600000, "tier": 1, "round": 0, "wait_s": 60, "over": False,
    }  # fmt: skip
    # The machine waits before it asks at all; whoever asks for the first step again tells nobody.
    assert STATES["StartAt"] == "WaitForSomebody"
    assert world.call({"climb": started | {"tier": 0, "wait_s": 0}}) == {"climb": started}
    assert len(world.told) == 1


def device_says(world, seq=2, **changes):
    event = message(seq, kind="event", alarm="acknowledged", **changes)
    return lambda: world.one.handle(event, context())


def resets(world):
    clear = {"incident_id": None, "level": "normal", "current": "normal", "alarm": "clear"}
    return lambda: world.one.handle(message(9, kind="event", **clear), context())


WAYS = {
    "device": device_says,
    "link": lambda world: world.acknowledged_by_link,
    "reset": resets,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at_s", [0, 30, 60, 100, 180, 3000, 7900])
def test_it_stops_when_somebody_acknowledges_from_anywhere_at_any_time(world, way, at_s):
    world.says(message(1))
    world.at(at_s, WAYS[way](world))
    world.climb("thing-1-1-1-alert")
    assert world.calls() == [
        (said_s, "1" if said_s == 60 else "2") for said_s in PLAN_S if said_s < at_s
    ]
    (row,) = rows(INCIDENTS_TABLE)
    assert row["acknowledged"] is True
    assert row["acknowledgements"][0]["source"] == way
    assert row["unacknowledged_at"] == ""
    # Whoever was called hears of it once, at that moment, and so do other services.
    tiers = sorted({"0"} | {tier for _, tier in world.calls()})
    wanted = tiers[0] if len(tiers) == 1 else json.dumps(tiers)
    assert world.kinds("taken-over") == [(at_s, wanted)]
    assert [one["kind"] for one in world.posted].count("taken-over") == 1


def test_a_detector_that_was_acknowledged_while_offline_is_believed_when_it_is_back(world):
    world.says(message(1))
    # Acknowledged at 00:00:02 by its clock; the message arrives much later.
    world.at(400, device_says(world))
    world.climb("thing-1-1-1-alert")
    assert [at_s for at_s, _ in world.calls()] == [60, 180]
    taken = rows(INCIDENTS_TABLE)[0]["acknowledgements"]
    assert taken == [
        {"level": "alert", "source": "device", "by": "", "at": "2026-01-01T00:00:02.000+00:00",
         "event_id": "thing-1-1-2"}
    ]  # fmt: skip


def test_a_level_that_rises_begins_with_the_first_people_and_ends_the_lower_one(world):
    world.says(message(1))
    rise = message(3, level="emergency", current="emergency")
    world.at(100, lambda: world.one.handle(rise, context()))
    world.climb("thing-1-1-1-alert")
    assert [(at_s, said["level"], said["tier"]) for at_s, _, _, said in world.told] == [
        (0, "alert", "0"), (60, "alert", "1"), (100, "emergency", "0"),
    ]  # fmt: skip
    world.at(400, device_says(world, 4, level="emergency"))
    world.told.clear()
    began_s = (world.now - T0).total_seconds()
    world.climb("thing-1-1-1-emergency")
    assert [at_s - began_s for at_s, _ in world.calls()] == [60, 180]
    # One message for all who were called, at whatever level.
    assert [tier for _, tier in world.kinds("taken-over")] == ['["0", "1", "2"]']


def test_an_alert_that_was_acknowledged_does_not_spare_the_emergency(world):
    world.says(message(1), message(2, kind="event", alarm="acknowledged"))
    world.says(message(3, level="emergency", current="emergency"))
    world.at(90, device_says(world, 4, level="emergency"))
    world.climb("thing-1-1-1-emergency")
    assert world.calls() == [(60, "1")]
    # On this one clock the other comes later; nothing comes of it.
    world.climb("thing-1-1-1-alert")
    assert len(world.calls()) == 1
    assert world.kinds("taken-over") == [(0, "0"), (90, '["0", "1"]')]


def test_the_same_step_invoked_twice_tells_once(world):
    world.says(message(1))
    step = {"climb": executions()["thing-1-1-1-alert"]["climb"] | {"tier": 1}}
    answers = [world.call(step) for _ in range(3)]
    assert answers[0] == answers[2]
    assert len(world.calls()) == 1
    assert len([one for one in world.posted if one["tier"] == 1]) == 1


ALARMS = [message(1), message(2, level="emergency", current="emergency")]


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [0, 0, 1, 1, 0], [1, 0, 1, 0]])
def test_duplicate_and_reordered_alarms_are_one_incident_and_one_message_a_step(world, order):
    world.says(*(ALARMS[number] for number in order))
    assert len(rows(INCIDENTS_TABLE)) == 1
    assert sorted(executions()) == ["thing-1-1-1-alert", "thing-1-1-1-emergency"]
    for name in executions():
        world.climb(name)
    steps = [(said["level"], said["tier"], at_s) for at_s, _, _, said in world.told]
    assert len(steps) == len(set(steps)) == 2 + len(PLAN_S)
    assert {level for level, tier, _ in steps if tier != "0"} == {"emergency"}


def test_without_a_row_the_alarm_is_called_all_the_same(people):
    table = Failing(get_item=10**6, put_item=10**6)
    table.table = INCIDENTS_TABLE
    world = World(people, dynamodb=table)
    with pytest.raises(Exception, match="slow down"):
        world.says(message(1))
    world.look()
    world.climb("thing-1-1-1-alert")
    assert [at_s for at_s, _ in world.calls()] == PLAN_S
    assert "cellar" in world.told[1][2]


class Refusing:
    """A client whose every call fails."""

    class exceptions:  # noqa: N801 - boto3's name
        class ExecutionAlreadyExists(Exception): ...  # noqa: N818

    def __getattr__(self, name):
        def use(**_request):
            raise ConnectionError(f"no answer to {name}")

        return use


def test_neither_links_nor_the_bus_nor_a_memory_keep_people_from_being_called(people):
    world = World(people, kms=Refusing(), events=Refusing())
    with pytest.raises(ConnectionError, match="generate_mac"):
        world.says(message(1))
    world.look()
    assert world.down.kinds() == ["receipt"]
    world.climb("thing-1-1-1-alert")
    assert [at_s for at_s, _ in world.calls()] == PLAN_S
    assert URL not in world.told[0][2]


def test_a_machine_that_does_not_start_is_said_after_people_and_detector_know(people):
    world = World(people, states=Refusing())
    with pytest.raises(ConnectionError, match="start_execution"):
        world.says(message(1))
    world.look()
    assert len(world.told) == 1
    assert world.down.kinds() == ["receipt"]
    World(people).says(message(1))
    assert list(executions()) == ["thing-1-1-1-alert"]


class RefusingFor:
    """SNS that takes nothing until a time."""

    def __init__(self, times):
        self.times = times
        self._real = client("sns")

    def publish(self, **request):
        if request["MessageAttributes"]["tier"]["StringValue"] != "0" and self.times:
            self.times -= 1
            raise ConnectionError("no answer")
        return self._real.publish(**request)


def test_a_step_that_sns_refuses_is_asked_for_again_until_it_takes_it(people):
    world = World(people, sns=RefusingFor(4))
    world.says(message(1))
    world.climb("thing-1-1-1-alert")
    assert world.calls()[0] == (60 + 1 + 2 + 4 + 8, "1")
    assert len(world.calls()) == len(PLAN_S)


def test_an_outage_of_sns_of_hours_delays_the_calls_and_ends_none(people):
    # Nine attempts a round, then a minute: the eight of a round alone would give up after minutes.
    world = World(people, sns=RefusingFor(300))
    world.says(message(level="emergency", current="emergency"))
    world.climb("thing-1-1-1-emergency")
    assert world.calls()[0][0] > 2 * 3600
    assert [tier for _, tier in world.calls()][:3] == ["1", "2", "2"]
    assert len(world.calls()) == len(PLAN_S)


@pytest.mark.parametrize("level", ["normal", "informational", "warning"])
def test_what_is_no_alarm_and_what_is_a_drill_starts_nothing(world, level):
    world.says(message(1, kind="event", level=level, current=level, drill=True))
    world.says(message(2, kind="event", level=level, current=level))
    world.says(message(3, kind="trouble", troubles=["gas:stale"]))
    assert executions() == {}


def test_a_detector_cannot_ask_for_a_step(world):
    """The rule adds who sent it."""
    step = {"climb": {"incident_id": "thing-1-1-1"}, "thing": "thing-1", "received_ms": 1}
    with pytest.raises(MessageRefusedError):
        world.one.handle(step, context())
    for asked in ({}, None, {"incident_id": ""}, {"incident_id": "a", "tier": 99}):
        with pytest.raises(MessageRefusedError, match="no step of an escalation"):
            world.one.handle({"climb": asked}, context())
    assert world.people.told() == []


def test_what_comes_over_the_bus_is_the_notice_and_one_key_for_the_incident(world):
    world.says(message(1))
    world.says(message(2, kind="trouble", incident_id=None, troubles=["gas:stale"]))
    alarm, trouble = world.posted
    assert alarm.pop("text").startswith("Where: cellar, detector thing-1.")
    assert alarm.pop("link").startswith(URL)
    assert alarm == {
        "subject": "FIRE ALERT: thing-1 at cellar", "level": "alert", "site": "cellar",
        "thing": "thing-1", "kind": "alarm", "incident_id": "thing-1-1-1", "tier": 0,
        "drill": False, "dedup_key": "thing-1-1-1", "picture": "",
    }  # fmt: skip
    assert (trouble["incident_id"], trouble["dedup_key"]) == ("", "thing-1:trouble")


def test_numbers_are_said_for_dashboards(world, capsys):
    world.now = T0 + dt.timedelta(seconds=3)
    world.says(message(1))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = {
        name: line[name] for line in lines for name in ("Told", "AlarmLatencyMs") if name in line
    }
    assert said == {"Told": [1.0], "AlarmLatencyMs": [2000.0]}
    assert {line["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in lines} == {"firedetect"}
    assert {line["service"] for line in lines} == {"firedetect"}


def test_without_a_namespace_and_without_a_clock_alarms_are_told_all_the_same(
    world, capsys, monkeypatch
):
    monkeypatch.delenv("POWERTOOLS_METRICS_NAMESPACE")
    world.says(message(1), message(2, incident_id="thing-1-1-2", ts="no time"))
    assert len(world.told) == 2
    assert capsys.readouterr().out == ""


# Without AWS.

CLIMB = Climb(incident_id="i", thing="t", site="s", level="alert", told_ms=0)


def test_the_plan_ends():
    steps, step = [], CLIMB
    while not step.exhausted:
        steps.append((step.tier, step.round))
        step = following(step)
    assert steps == [(0, 0), (1, 0), *((2, number) for number in range(13))]
    assert [tier.who for tier in TIERS] == ["the people of the site", "their deputies", "everybody"]


@given(st.text(max_size=300), st.sampled_from(["alert", "emergency"]))
def test_every_name_is_one_that_the_service_takes_and_another_level_is_another(incident, level):
    name = execution_name(incident, level)
    assert 0 < len(name) <= 80
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert name != execution_name(incident, "alert" if level == "emergency" else "emergency")
    assert name != execution_name(f"{incident}:", level)
    names = {execution_name(incident, level, again) for again in range(12)}
    assert (len(names), max(map(len, names)) <= 80, name in names) == (12, True, True)


@given(
    st.sampled_from(["alert", "emergency"]),
    st.sampled_from(["normal", "alert", "emergency"]),
    st.sampled_from(["alert", "emergency"]),
    st.booleans(),
)
def test_people_are_called_as_long_as_the_level_is_open_and_no_longer(level, seen, asked, over):
    row = changed(None, understood(message(1, level=level, current=level)).message)
    if seen != "normal":
        row = acknowledged(row, Acknowledgement(level=seen, source="link", at="2026"))
    row = closed(row, "2026") if over else row
    order = ["normal", "alert", "emergency"]
    step = CLIMB.model_copy(update={"level": asked})
    wanted = over or order.index(seen) >= order.index(asked) or level > asked
    assert bool(stopped(step, row)) == wanted
    assert stopped(step, None) == ""


@given(
    st.integers(0, LASTS_S + 100),
    st.sampled_from(["device", "link", "reset"]),
    st.lists(st.integers(0, LASTS_S), max_size=5),
)
def test_whoever_acknowledges_whenever_nobody_is_called_after_it(at_s, source, twice):
    """Steps are asked for on time, some of them twice; each is told once."""
    row = changed(None, understood(message(1)).message)
    taken = acknowledged(row, Acknowledgement(level="alert", source=source, at="2026"))
    told, time_s, step = {}, 0, CLIMB
    while not step.exhausted and not stopped(step, taken if time_s >= at_s else row):
        for _ in range(2 if time_s in twice else 1):
            told.setdefault(step.step, time_s)
        step = following(step)
        time_s += step.wait_s
    assert list(told.values()) == [said_s for said_s in (0, *PLAN_S) if said_s < at_s]


@pytest.mark.parametrize(
    ("ms", "words"),
    [(-5, "0 s"), (29_000, "29 s"), (60_000, "1 min"), (7_100_000, "118 min"),
     (7_200_000, "2 h"), (259_200_000, "3 days")],
)  # fmt: skip
def test_times_are_said_in_words(ms, words):
    assert calls.duration(ms) == words


def test_a_drill_is_marked():
    row = changed(None, understood(message(1)).message)
    plain = calls.unanswered(row, "alert", 1, 60_000)
    assert "DRILL" not in plain.subject + plain.text
    drill = row.model_copy(update={"drill": True})
    marked = calls.unanswered(drill, "alert", 1, 60_000)
    assert marked.subject.startswith("[DRILL] ")
    assert marked.text.startswith("THIS IS A DRILL.")


def test_an_answer_of_ours_is_a_question_of_ours():
    assert climb_of(following(CLIMB).model_dump(mode="json")) == following(CLIMB)
    assert isinstance(context(), Context)
