"""firedetect-response-agent: what becomes of the incidents that are not over."""

import datetime as dt
import json

import pytest

from firedetect.contract.names import INCIDENTS_TABLE
from firedetect.lambdas import response_agent
from firedetect.lambdas.escalation import LASTS_S
from firedetect.lambdas.incident import closed
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.response_agent import FollowUpError, ResponseAgent
from firedetect.lambdas.rows import client, packed
from firedetect.lambdas.settings import ResponseSettings
from tests.lambdas.helpers import T0, URL, Down, Failing, context, environment, escalation, rows
from tests.lambdas.helpers import message as event

MS0 = 1_767_225_600_000


class World:
    """Incidents, an agent that looks, a clock."""

    def __init__(self, people):
        self.people = people
        self.now = T0
        self.left_ms = lambda: 60_000
        self.one = self.made()

    def made(self, **parts):
        settings = ResponseSettings.read(environment())
        given = {"dynamodb": client("dynamodb"), "sns": client("sns")} | parts
        given = {"events": client("events"), "kms": client("kms")} | given
        return ResponseAgent(settings, now=lambda: self.now, **given)

    def says(self, **changes):
        seq = changes.pop("seq", 1)
        stamp = self.now.isoformat(timespec="milliseconds")
        received_ms = round(self.now.timestamp() * 1000)
        escalation(Down(), now=lambda: self.now).handle(
            event(seq, **{"ts": stamp, "received_ms": received_ms} | changes), context()
        )
        self.people.told()
        self.people.posted()

    def passes(self, **time):
        self.now += dt.timedelta(**time)

    def look(self):
        return self.one.look(self.left_ms)

    def told(self):
        return [(subject, said["kind"], said["tier"]) for subject, _, said in self.people.told()]


@pytest.fixture
def world(people):
    return World(people)


def row(incident="thing-1-1-1"):
    return next(one for one in rows(INCIDENTS_TABLE) if one["incident_id"] == incident)


def test_while_the_escalation_is_at_work_nobody_is_told(world):
    world.says()
    while (world.now - T0).total_seconds() < LASTS_S:
        assert world.look() == {"open": 1, "told": 0, "reminded": 0, "closed": 0}
        world.passes(minutes=15)
    assert world.told() == []


def test_after_its_end_everybody_is_told_every_quarter_of_an_hour_and_how_long(world):
    world.says(level="emergency", current="emergency")
    world.passes(seconds=LASTS_S + 120)
    for _ in range(3):
        world.look()
        # A look that is retried does not tell again.
        world.look()
        world.passes(minutes=15)
    told = [(f"UNANSWERED {words}: FIRE EMERGENCY: thing-1 at cellar", "unanswered", "2")
            for words in ("2 h", "2 h", "2 h")]  # fmt: skip
    assert world.told() == told
    world.passes(hours=3)
    world.look()
    ((subject, text, _),) = world.people.told()
    assert subject.startswith("UNANSWERED 6 h")
    assert URL in text
    assert [one["detail"]["incident_id"] for one in world.people.posted()] == ["thing-1-1-1"] * 4


def test_if_the_machine_said_that_it_is_over_the_next_look_tells(world):
    world.says()
    change("thing-1-1-1", unacknowledged_at="2026-01-01T00:10:00+00:00")
    world.passes(minutes=15)
    assert world.look()["told"] == 1


def change(incident, **changes):
    item = row(incident) | changes
    client("dynamodb").put_item(TableName=INCIDENTS_TABLE, Item=packed(item))


def test_who_took_over_is_reminded_once_after_four_hours(world):
    world.says()
    world.passes(minutes=1)
    world.says(seq=2, kind="event", alarm="acknowledged")
    for _ in range(5 * 4):
        world.look()
        world.passes(minutes=15)
    assert world.told() == [("Still not over after 4 h: thing-1 at cellar", "reminder", "0")]
    assert row()["reminded_ms"]


def test_the_reminder_says_who(world):
    world.says()
    world.says(seq=2, kind="event", alarm="acknowledged")
    world.passes(hours=4)
    world.look()
    ((_, text, _),) = world.people.told()
    assert "taken over 4 h ago by somebody at the detector" in text


def test_what_is_calm_and_acknowledged_is_closed_with_its_log(world):
    world.says()
    world.says(seq=2, kind="event", alarm="acknowledged")
    world.passes(minutes=5)
    world.says(seq=3, kind="event", current="normal", alarm="acknowledged")
    world.passes(minutes=14)
    assert world.look()["closed"] == 0
    world.passes(minutes=1)
    assert world.look() == {"open": 0, "told": 0, "reminded": 0, "closed": 1}
    assert row()["closed_at"] == "2026-01-01T00:20:00.000+00:00"
    assert [line["what"] for line in row()["log"]] == [
        "level alert", "people told: alert, tier 0, round 0",
        "people told: alert, taken over", "alert acknowledged: device", "last word: now normal",
        "people told: over since 2026-01-01T00:05:00.000+00:00", "closed",
    ]  # fmt: skip
    assert world.look() == {"open": 0, "told": 0, "reminded": 0, "closed": 0}
    assert world.told() == [("Over: FIRE ALERT: thing-1 at cellar", "closed", "0")]


def test_what_was_reset_is_closed_at_once(world):
    world.says()
    world.passes(minutes=1)
    world.says(seq=2, kind="event", incident_id=None, level="normal", current="normal",
               alarm="clear")  # fmt: skip
    assert world.look()["closed"] == 1
    assert "reset at the detector" in [line["what"] for line in row()["log"]]
    ((subject, text, said),) = world.people.told()
    assert (subject, said["kind"]) == ("Over: FIRE ALERT: thing-1 at cellar", "closed")
    assert "it was reset at the detector, at 2026-01-01T00:01:00.000+00:00" in text
    (posted,) = world.people.posted()
    assert (posted["detail"]["kind"], posted["detail"]["dedup_key"]) == ("closed", "thing-1-1-1")


FAILS = ("sns", "events", "dynamodb")


class Later(Failing):
    """DynamoDB that takes the first change of a row, not the second."""

    def __init__(self):
        super().__init__()
        self._puts = 0

    def __getattr__(self, name):
        self._puts += name == "put_item"
        self.times = {"put_item": int(self._puts == 2)}
        return super().__getattr__(name)


def test_nobody_hears_that_it_is_over_before_the_row_says_so(world):
    """Else a fire that is measured at that moment would call nobody."""
    world.says()
    world.says(seq=2, kind="event", current="normal", alarm="acknowledged")
    world.passes(minutes=15)
    world.one = world.made(dynamodb=Failing(put_item=1))
    with pytest.raises(FollowUpError):
        world.look()
    assert world.told() == []
    assert world.look()["closed"] == 1


@pytest.mark.parametrize("part", FAILS)
def test_what_could_not_be_said_to_be_over_is_open_until_it_could(world, part):
    world.says()
    world.says(seq=2, kind="event", incident_id=None, level="normal", current="normal",
               alarm="clear")  # fmt: skip
    parts = {"sns": Refusing(), "events": Refusing(), "dynamodb": Later()}
    world.one = world.made(**{part: parts[part]})
    with pytest.raises(FollowUpError):
        world.look()
    assert row()["closed_at"] == ""
    world.one = world.made()
    assert world.look()["closed"] == 1
    kinds = [kind for _, kind, _ in world.told()]
    # It is not known that people know if the row does not say so.
    assert kinds == ["closed"] * (2 if part == "dynamodb" else 1)
    assert [one["detail"]["kind"] for one in world.people.posted()] == ["closed"]
    world.passes(minutes=15)
    assert world.look()["closed"] == 0
    assert world.told() == []


def test_what_flares_up_while_the_agent_looks_is_not_said_to_be_over(world):
    world.says()
    world.says(seq=2, kind="event", alarm="acknowledged")
    world.says(seq=3, kind="event", current="normal", alarm="acknowledged")
    world.passes(minutes=15)

    def flares_up():
        world.says(seq=4, kind="event", current="alert", alarm="acknowledged")
        return 60_000

    world.left_ms = flares_up
    world.look()
    assert row()["closed_at"] == ""
    assert world.told() == []


def test_what_is_calm_but_unacknowledged_stays_open(world):
    world.says()
    world.says(seq=2, kind="event", current="normal")
    world.passes(hours=3)
    assert world.look() == {"open": 1, "told": 1, "reminded": 0, "closed": 0}


def test_a_suspicion_is_closed_when_it_is_calm_and_nobody_is_told(world):
    world.says(kind="event", level="warning", current="normal", alarm="clear")
    world.passes(hours=3)
    assert world.look() == {"open": 0, "told": 0, "reminded": 0, "closed": 1}
    assert (world.told(), world.people.posted()) == ([], [])


@pytest.mark.parametrize("ts", ["1970-01-01T00:00:09.000Z", "no time", "2026-01-01T00:00:00.000"])
def test_a_detector_without_a_clock_is_believed_as_far_as_the_cloud_knows(world, ts):
    world.says(ts=ts)
    world.passes(minutes=15)
    assert world.look()["told"] == 0
    world.passes(hours=2)
    assert world.look()["told"] == 1


def test_one_that_fails_does_not_stop_the_others_and_is_tried_again(world):
    for thing in ("thing-1", "thing-2"):
        world.says(thing=thing)
    world.passes(hours=3)
    world.one = world.made(dynamodb=Failing(put_item=1))
    with pytest.raises(FollowUpError, match="thing-1-1-1"):
        world.look()
    assert len(world.told()) == 2
    assert world.look()["told"] == 1


class Refusing:
    def __getattr__(self, name):
        def use(**_request):
            raise ConnectionError(f"no answer to {name}")

        return use


@pytest.mark.parametrize("part", ["kms", "events"])
def test_neither_links_nor_the_bus_keep_people_from_being_told(world, part):
    world.says()
    world.passes(hours=3)
    world.one = world.made(**{part: Refusing()})
    with pytest.raises(FollowUpError):
        world.look()
    assert len(world.told()) == 1
    world.one = world.made()
    assert world.look()["told"] == 0


def test_if_sns_refuses_the_next_look_tells(world):
    world.says()
    world.passes(hours=3)
    world.one = world.made(sns=Refusing())
    with pytest.raises(FollowUpError):
        world.look()
    world.one = world.made()
    assert world.look()["told"] == 1


def test_calls_come_before_reminders_and_the_longest_wait_first(world):
    for number in range(3):
        world.says(thing=f"thing-{number}")
    world.says(thing="thing-a")
    world.says(thing="thing-a", seq=2, kind="event", alarm="acknowledged")
    world.passes(hours=5)
    for number, ago_min in enumerate((20, 40, 30)):
        told_ms = MS0 + (5 * 60 - ago_min) * 60_000
        change(f"thing-{number}-1-1", told_again_ms=told_ms)
    left_ms = iter([60_000, 60_000, 60_000, 19_999])
    world.left_ms = lambda: next(left_ms)
    assert world.look()["told"] == 2
    assert [said[0].split(": ")[2] for said in world.told()] == [
        "thing-1 at cellar", "thing-2 at cellar",
    ]  # fmt: skip
    world.left_ms = lambda: 60_000
    assert world.look() == {"open": 4, "told": 1, "reminded": 1, "closed": 0}


def test_a_table_that_is_too_long_is_said_and_what_was_read_is_done(world):
    world.says()
    world.passes(hours=3)
    left_ms = iter([39_999, 60_000])
    world.left_ms = lambda: next(left_ms)
    with pytest.raises(FollowUpError, match="the rest of the table"):
        world.look()
    assert len(world.told()) == 1


def test_a_row_that_nobody_understands_does_not_stop_the_others(world):
    broken = {"incident_id": "broken", "revision": 1, "open": "open", "opened_at": "2026-01-01"}
    client("dynamodb").put_item(TableName=INCIDENTS_TABLE, Item=packed(broken))
    world.says()
    world.passes(hours=3)
    with pytest.raises(FollowUpError, match="broken"):
        world.look()
    assert len(world.told()) == 1


def test_what_is_over_is_not_read_again(world):
    incidents = Incidents(client("dynamodb"), INCIDENTS_TABLE)
    for number, thing in enumerate(("thing-1", "thing-2"), start=1):
        world.says(thing=thing)
        assert len(next(incidents.open_rows())) == number
    incidents.change("thing-1-1-1", lambda before: closed(before, "2026-01-02T00:00:00Z"))
    ((row,),) = incidents.open_rows()
    assert row["incident_id"] == "thing-2-1-1"
    # It flares up: it is open again.
    incidents.change("thing-1-1-1", lambda before: before.model_copy(update={"closed_at": ""}))
    assert len(next(incidents.open_rows())) == 2


def test_the_number_of_open_incidents_is_said(world, capsys):
    world.says()
    world.says(thing="thing-2")
    capsys.readouterr()
    world.look()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["OpenIncidents"] for line in lines] == [[2.0]]


@pytest.mark.usefixtures("people")
def test_the_handler_itself_reads_its_environment():
    response_agent._agent.cache_clear()
    try:
        found = response_agent.handler({}, Long())
    finally:
        response_agent._agent.cache_clear()
    assert found == {"open": 0, "told": 0, "reminded": 0, "closed": 0}


class Long:
    """A context with a minute left."""

    def get_remaining_time_in_millis(self):
        return 60_000
