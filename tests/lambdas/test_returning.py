"""A fire that comes back after people were told that it is over calls them as an alarm does."""

import datetime as dt
import json
import re
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from firedetect.contract.names import INCIDENTS_TABLE
from firedetect.lambdas.escalation import Climb, stopped
from firedetect.lambdas.incident import Incident
from firedetect.lambdas.response import GRACE_S
from firedetect.lambdas.response_agent import FollowUpError, ResponseAgent
from firedetect.lambdas.rows import client
from firedetect.lambdas.settings import ResponseSettings
from tests.lambdas.helpers import (
    T0,
    URL,
    Failing,
    acknowledging,
    context,
    environment,
    escalation,
    executions,
    message,
    pressed,
    rows,
)
from tests.lambdas.phone import Phone
from tests.lambdas.test_escalation import World

AGAIN = "thing-1-1-1-alert-again-1"
SUBJECT = "FIRE AGAIN: ALERT: thing-1 at cellar"


class House(World):
    """A detector that is latched and acknowledged, people, a page, and who follows up."""

    def __init__(self, people):
        super().__init__(people)
        boto3.client("iot").create_thing(thingName="thing-1")
        self.seq = 0
        self.alarm = "acknowledged"
        self.level = "alert"

    def word(self, current, **changes):
        self.seq += 1
        event = {
            "kind": "event", "level": self.level, "current": current, "alarm": self.alarm,
            "ts": self.now.isoformat(timespec="milliseconds"),
            "received_ms": round(self.now.timestamp() * 1000),
        }  # fmt: skip
        return message(self.seq, **event | changes)

    def burns(self, **changes):
        word = self.word("alert", **changes)
        self.says(word)
        return word

    def agent(self, **parts):
        given = {name: client(name) for name in ("dynamodb", "sns", "events", "kms")} | parts
        settings = ResponseSettings.read(environment())
        return ResponseAgent(settings, now=lambda: self.now, **given)

    def looks(self, **parts):
        try:
            return self.agent(**parts).look(lambda: 60_000)
        finally:
            self.look()

    def calms_down(self):
        self.says(self.word("normal"))
        self.passes(15 * 60)
        assert self.looks()["closed"] == 1

    def was_over(self):
        """An alert that was acknowledged at the detector, calm and closed."""
        self.burns(kind="alarm", alarm="sounding")
        self.says(self.word("alert"))
        self.calms_down()
        self.passes(60)
        return self.heard()

    def heard(self):
        """Take what people and other services were told since the last time."""
        found = [(subject, said["kind"], said["tier"]) for _, subject, _, said in self.told]
        self.texts = [text for _, _, text, _ in self.told]
        self.kinds_posted = [one["kind"] for one in self.posted]
        self.told, self.posted = [], []
        return found

    def link(self):
        return re.search(rf"{URL}\S+", self.texts[-1]).group(0)

    def page(self, link):
        token = parse_qs(urlsplit(link).query)["t"][0]
        event = {
            "queryStringParameters": {"t": token},
            "requestContext": {"http": {"method": "GET"}},
        }
        return acknowledging(lambda: self.now).answer(event, context())["body"]

    def desired(self):
        answer = client("iot-data").get_thing_shadow(thingName="thing-1", shadowName="alarm")
        return json.loads(answer["payload"].read())["state"]["desired"]


@pytest.fixture
def house(people):
    return House(people)


def row():
    (found,) = rows(INCIDENTS_TABLE)
    return found


def test_people_are_called_as_for_an_alarm_and_at_once(house):
    phone = Phone()
    assert [kind for _, kind, _ in house.was_over()] == ["alarm", "taken-over", "closed"]
    phone.heard()
    house.burns()
    assert house.heard() == [(SUBJECT, "alarm", "0")]
    assert house.kinds_posted == ["alarm"]
    (text,) = house.texts
    head, _, link = text.partition("If you take care of it, say so here: ")
    assert head == (
        "This alarm was over, but the detector measures a fire again.\n"
        "Where: cellar, detector thing-1.\n"
        "How severe: alert (now alert).\n"
        "Why: hot_spot; gas_rise.\n"
        "Since: 2026-01-01T00:16:00.000+00:00.\n"
        "Leave the building, call the fire service, then check.\n"
    )
    assert link.startswith(URL)
    (sms,) = phone.heard()
    assert sms.startswith(f"{SUBJECT}\nLeave the building, call the fire service, then check.\n")
    assert "Take over: " in sms
    climb = executions()[AGAIN]["climb"]
    assert (climb["tier"], climb["wait_s"], climb["again"]) == (1, 60, 1)
    assert row()["told"]["alert, tier 0, round 0, again 1"] == "2026-01-01T00:16:00.000+00:00"


def test_messages_that_come_twice_late_or_in_a_flicker_call_nobody_again(house):
    house.was_over()
    old = house.word("alert", ts="2026-01-01T00:00:00.000+00:00", event_id="thing-1-1-2")
    house.says(old)
    assert house.heard() == []
    words = [house.burns() for _ in range(2)]
    for current in ["normal", "alert"] * 4:
        house.passes(3)
        words.append(house.word(current))
        house.says(words[-1])
    house.says(*reversed(words), old, *words)
    assert house.heard() == [(SUBJECT, "alarm", "0")]
    assert house.kinds_posted == ["alarm"]
    assert sorted(executions()) == ["thing-1-1-1-alert", AGAIN]


def test_the_climb_goes_on_whatever_the_detector_says_until_the_link_is_pressed(house):
    house.was_over()
    house.burns()
    house.heard()
    link, began_s = house.link(), (house.now - T0).total_seconds()
    for after_s in (20, 100, 170):
        house.at(began_s + after_s, house.burns)
    house.at(began_s + 200, lambda: pressed_again(house, link))
    house.climb(AGAIN)
    assert house.heard() == [
        (f"UNANSWERED 1 min: {SUBJECT}", "unanswered", "1"),
        (f"UNANSWERED 3 min: {SUBJECT}", "unanswered", "2"),
        (f"Taken over: {SUBJECT}", "taken-over", '["0", "1", "2"]'),
    ]
    assert house.kinds_posted == ["unanswered", "unanswered", "taken-over"]
    assert "Somebody with the link in a message has taken over" in house.texts[-1]
    # The detector is asked once more: it carries out each request once.
    assert house.desired()["acknowledge"]["by"] == "link, alert, again 1"
    assert [(one["source"], one.get("again", 0)) for one in row()["acknowledgements"]] == [
        ("device", 0), ("link", 1),
    ]  # fmt: skip
    house.burns()
    assert house.heard() == []


def pressed_again(house, link):
    """Press the button of the page as a browser does, with what it holds."""
    body = house.page(link)
    (number,) = re.findall(r'name="again" value="(\d+)"', body)
    answer = pressed(link, f"alert&again={number}", lambda: house.now)
    assert answer["statusCode"] == 200
    assert "Thank you" in answer["body"]
    house.look()


def test_the_page_asks_again_and_one_of_before_does_not_take_over(house):
    house.burns(kind="alarm", alarm="sounding")
    house.heard()
    link = house.link()
    assert pressed(link, "alert", lambda: house.now)["statusCode"] == 200
    house.calms_down()
    assert "This alarm is over" in house.page(link)
    house.burns()
    page = house.page(link)
    assert "Fire again: alert" in page
    assert "Again since" in page
    assert page.count("<button") == 1
    # A browser that loads the page of before anew sends the same once more.
    answer = pressed(link, "alert", lambda: house.now)
    assert answer["statusCode"] == 409
    assert "it came back after it was over" in answer["body"]
    assert row()["acknowledged"] is False
    pressed_again(house, link)
    assert row()["acknowledged"] is True
    assert "Already acknowledged" in house.page(link)


def test_it_comes_back_while_the_button_is_pressed(house):
    house.was_over()
    house.burns()
    house.heard()
    link = house.link()
    house.says(house.word("normal"))
    house.passes(15 * 60)

    class Racing:
        """DynamoDB in which others press, it is over, and back, before the first write."""

        def __init__(self):
            self._real = client("dynamodb")
            self.happens = [house.burns, house.looks, lambda: pressed_again(house, link)]
            self.exceptions, self.get_item = self._real.exceptions, self._real.get_item

        def put_item(self, **request):
            while self.happens:
                self.happens.pop()()
            return self._real.put_item(**request)

    answer = pressed(link, "alert&again=1", lambda: house.now, dynamodb=Racing())
    assert answer["statusCode"] == 409
    assert (row()["back"]["number"], row()["acknowledged"]) == (2, False)
    assert (SUBJECT, "alarm", "0") in house.heard()


def test_the_button_at_a_detector_that_was_not_acknowledged_stops_it(house):
    """It was taken over by the link, and the detector never heard of that."""
    house.alarm = "sounding"
    house.burns(kind="alarm")
    house.heard()
    assert pressed(house.link(), "alert", lambda: house.now)["statusCode"] == 200
    house.calms_down()
    house.burns()
    house.heard()
    house.alarm = "acknowledged"
    house.burns()
    assert house.heard() == [(f"Taken over: {SUBJECT}", "taken-over", "0")]


def test_a_reset_stops_it(house):
    house.was_over()
    house.burns()
    house.heard()
    clear = {"incident_id": None, "level": "normal", "alarm": "clear"}
    house.says(house.word("normal", **clear))
    assert house.heard() == [(f"Taken over: {SUBJECT}", "taken-over", "0")]
    assert house.climb(AGAIN)["climb"]["over"] is True
    assert house.looks()["closed"] == 1
    assert [kind for _, kind, _ in house.heard()] == ["closed"]


def test_a_level_that_rises_after_it_is_back_calls_by_itself_and_ends_the_lower_climb(house):
    house.was_over()
    house.burns()
    house.level, house.alarm = "emergency", "sounding"
    house.says(house.word("emergency", kind="alarm"))
    assert [subject for subject, *_ in house.heard()] == [
        SUBJECT, "FIRE EMERGENCY: thing-1 at cellar",
    ]  # fmt: skip
    assert house.climb(AGAIN)["climb"]["over"] is True
    began_s = (house.now - T0).total_seconds()
    house.alarm = "acknowledged"
    house.at(began_s + 70, house.burns)
    house.climb("thing-1-1-1-emergency")
    assert [(kind, tier) for _, kind, tier in house.heard()] == [
        ("unanswered", "1"), ("taken-over", '["0", "1"]'),
    ]  # fmt: skip
    # And once more: at the level that it had by then.
    house.calms_down()
    house.heard()
    house.burns()
    assert house.heard() == [("FIRE AGAIN: EMERGENCY: thing-1 at cellar", "alarm", "0")]
    assert "How severe: emergency (now alert)." in house.texts[0]
    assert "thing-1-1-1-emergency-again-2" in executions()


def test_an_alarm_of_a_higher_level_is_the_call_itself(house):
    house.was_over()
    house.level, house.alarm = "emergency", "sounding"
    house.says(house.word("emergency", kind="alarm"))
    assert house.heard() == [("FIRE EMERGENCY: thing-1 at cellar", "alarm", "0")]
    assert sorted(executions()) == ["thing-1-1-1-alert", "thing-1-1-1-emergency"]
    assert row()["closed_at"] == ""


def test_each_return_calls_and_is_closed_with_all_that_happened(house):
    house.was_over()
    for number in (1, 2, 3):
        house.burns()
        ((subject, kind, _),) = house.heard()
        assert (subject, kind) == (SUBJECT, "alarm")
        assert f"thing-1-1-1-alert-again-{number}" in executions()
        pressed_again(house, house.link())
        house.calms_down()
        assert [kind for _, kind, _ in house.heard()] == ["taken-over", "closed"]
        house.passes(60)
    what = [line["what"] for line in row()["log"]]
    assert (what.count("closed"), what.count("measured again: alert")) == (4, 3)
    assert what.count("level alert") == 1


def test_after_a_reset_the_next_fire_is_another_incident(house):
    house.burns(kind="alarm", alarm="sounding")
    burnt = house.word("alert")
    house.says(house.word("normal", incident_id=None, level="normal", alarm="clear"))
    assert house.looks()["closed"] == 1
    house.heard()
    # It was on its way for long.
    house.says(burnt)
    assert house.heard() == []
    assert row()["closed_at"]


def test_a_climb_of_before_that_waits_for_long_does_not_go_on(house):
    house.was_over()
    house.burns()
    found = Incident.model_validate(row())
    climb = {"incident_id": "i", "thing": "t", "site": "s", "told_ms": 0}
    of_before = Climb(level="alert", **climb)
    assert stopped(of_before, found) == "people were called anew"
    assert stopped(of_before.model_copy(update={"again": 1}), found) == ""
    # One of a level that nobody had heard of goes on.
    risen = found.model_copy(update={"level": "emergency"})
    assert stopped(Climb(level="emergency", **climb), risen) == ""


class Refusing:
    """A client of which a call fails a number of times, before or after it had its effect."""

    def __init__(self, service, call, *, after=False, times=1):
        self._real, self._call, self._after, self._times = client(service), call, after, times
        self.exceptions, self.meta = self._real.exceptions, self._real.meta

    def __getattr__(self, name):
        call = getattr(self._real, name)

        def use(**request):
            if name != self._call or not self._times:
                return call(**request)
            self._times -= 1
            if self._after:
                call(**request)
            raise ConnectionError(f"no answer to {name}")

        return use


PARTS = {
    "sns": ("sns", "publish"),
    "states": ("stepfunctions", "start_execution"),
    "events": ("events", "put_events"),
    "kms": ("kms", "generate_mac"),
    "dynamodb": ("dynamodb", "put_item"),
    "remembers": ("dynamodb", "put_item"),
}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("part", PARTS)
def test_whatever_fails_the_retry_or_any_later_word_makes_it_good(house, part, later):
    house.was_over()
    burns = house.word("alert")
    broken = escalation(house.down, now=lambda: house.now, **{part: Refusing(*PARTS[part])})
    with pytest.raises(Exception, match=r"no answer|slow down|idempotency"):
        broken.handle(burns, context())
    house.look()
    # What fails beside SNS and the row keeps nobody from being called.
    calls = len([one for one in house.heard() if one[1] == "alarm"])
    assert calls == (part not in {"sns", "dynamodb"})
    house.says(house.word("alert") if later else burns)
    house.says(burns)
    told = house.heard()
    assert told == [(SUBJECT, "alarm", "0")] * (1 - calls)
    assert AGAIN in executions()
    assert "alert, tier 0, round 0, again 1" in row()["told"]


def test_if_nothing_more_is_heard_the_next_look_calls_everybody(house):
    house.was_over()
    broken = escalation(house.down, now=lambda: house.now, sns=Refusing("sns", "publish", times=9))
    with pytest.raises(ConnectionError):
        broken.handle(house.word("alert"), context())
    # Whoever is at it has the time for it.
    assert house.looks()["told"] == 0
    house.passes(GRACE_S)
    assert house.looks()["told"] == 1
    assert house.heard() == [(f"UNANSWERED 2 min: {SUBJECT}", "unanswered", "2")]


def test_while_its_climb_is_at_work_the_looks_tell_nobody(house):
    house.was_over()
    house.burns()
    house.heard()
    for _ in range(8):
        house.passes(15 * 60)
        assert house.looks()["told"] == 0
    house.passes(15 * 60)
    assert house.looks()["told"] == 1


def test_what_flares_up_while_people_are_told_that_it_is_over_is_the_last_word(house):
    house.burns(kind="alarm", alarm="sounding")
    house.says(house.word("alert"), house.word("normal"))
    house.passes(15 * 60)
    house.heard()

    class Meanwhile:
        def publish(self, **request):
            if request["Subject"].startswith("Over"):
                house.burns()
            return client("sns").publish(**request)

    house.looks(sns=Meanwhile())
    assert [subject for subject, *_ in house.heard()] == [
        SUBJECT, "Over: FIRE ALERT: thing-1 at cellar", SUBJECT,
    ]  # fmt: skip
    assert URL in house.texts[-1]
    assert (row()["closed_at"], row()["acknowledged"]) == ("", False)
    assert AGAIN in executions()


def test_what_flares_up_before_it_could_be_closed_calls_too(house):
    house.burns(kind="alarm", alarm="sounding")
    house.says(house.word("alert"), house.word("normal"))
    house.passes(15 * 60)
    house.heard()
    with pytest.raises(FollowUpError):
        house.looks(events=Refusing("events", "put_events"))
    assert row()["closed_at"] == ""
    house.burns()
    assert [subject for subject, *_ in house.heard()] == [
        "Over: FIRE ALERT: thing-1 at cellar", SUBJECT,
    ]  # fmt: skip


def test_the_tables_must_answer_for_it_to_be_known(house):
    """Only the row says that people believe it to be over: the event comes again."""
    house.was_over()
    burns = house.word("alert")
    broken = escalation(house.down, now=lambda: house.now, dynamodb=Failing(get_item=1))
    with pytest.raises(Exception, match="slow down"):
        broken.handle(burns, context())
    house.passes(60)
    house.says(burns)
    assert house.heard() == [(SUBJECT, "alarm", "0")]


def test_times_are_those_of_the_return(house):
    house.was_over()
    house.passes(dt.timedelta(days=1).total_seconds())
    house.burns()
    house.heard()
    pressed_again(house, house.link())
    house.heard()
    for _ in range(16):
        house.passes(15 * 60)
        house.looks()
    assert house.heard() == [("Still not over after 4 h: thing-1 at cellar", "reminder", "0")]
