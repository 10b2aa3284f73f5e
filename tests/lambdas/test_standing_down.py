"""Whoever was called hears that somebody has taken over: they, nobody else, and once."""

import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyPersistenceLayerError,
)
from hypothesis import given
from hypothesis import strategies as st

from firedetect.contract.names import INCIDENTS_TABLE
from firedetect.lambdas.escalation import LAST, called, step_of
from firedetect.lambdas.facts import Acknowledgement
from firedetect.lambdas.incident import acknowledged, changed, closed, noted
from firedetect.lambdas.policy import understood
from firedetect.lambdas.rows import client
from firedetect.lambdas.standing_down import is_due
from tests.lambdas.helpers import (
    Down,
    context,
    escalation,
    executions,
    message,
    pressed,
    rows,
)
from tests.lambdas.phone import Phone

ACKNOWLEDGED = message(2, kind="event", alarm="acknowledged")
CLEAR = message(9, kind="event", incident_id=None, level="normal", current="normal", alarm="clear")


def tell(*events, **parts):
    one = escalation(Down(), **parts)
    for event in events:
        one.handle(event, context())


def climb(tier):
    (asked,) = executions().values()
    tell({"climb": asked["climb"] | {"tier": tier, "round": 0}})


@pytest.mark.parametrize("highest", [0, 1, 2])
def test_those_who_were_called_hear_it_once_by_the_documented_filters(people, highest):
    """A message for several tiers is one, and reaches who listens to any of them once."""
    site, deputies, rest, fires = (
        Phone(f"+49151000{number}", policy)
        for number, policy in enumerate(
            [
                {"tier": ["0"]},
                {"tier": ["1", "2"]},
                {"tier": ["2"]},
                {"tier": ["0", "1", "2"], "level": ["alert", "emergency"]},
            ]
        )
    )
    tell(message(1))
    for tier in range(1, highest + 1):
        climb(tier)
    called_ = [len(phone.heard()) for phone in (site, deputies, rest, fires)]
    assert called_ == [1, highest, max(0, highest - 1), 1 + highest]
    tell(ACKNOWLEDGED, ACKNOWLEDGED)
    heard = [phone.heard() for phone in (site, deputies, rest, fires)]
    assert [len(texts) for texts in heard] == [min(1, count) for count in called_]
    assert heard[0][0].startswith("Taken over: FIRE ALERT: thing-1 at cellar\n")
    kinds = [said["kind"] for _, _, said in people.told()]
    assert kinds == ["alarm", *["unanswered"] * highest, "taken-over"]


def test_it_says_who_and_when_and_that_it_is_not_over(people):
    tell(message(1), ACKNOWLEDGED)
    _, (subject, text, said) = people.told()
    assert subject == "Taken over: FIRE ALERT: thing-1 at cellar"
    assert text == (
        "Somebody at the detector has taken over this alarm, at 2026-01-01T00:00:02.000+00:00. "
        "Nobody else is called.\n"
        "It is not over: stay out of the building. Call the fire service if nobody has.\n"
        "Where: cellar, detector thing-1.\n"
        "How severe: alert (now alert).\n"
        "Why: hot_spot; gas_rise.\n"
        "Since: 2026-01-01T00:00:01.000+00:00.\n"
        "Incident: thing-1-1-1."
    )
    assert said["incident_id"] == "thing-1-1-1"
    assert (said["level"], said["site"], said["thing"]) == ("alert", "cellar", "thing-1")
    _, posted = (one["detail"] for one in people.posted())
    assert (posted["kind"], posted["text"], posted["link"]) == ("taken-over", text, "")


def test_a_reset_says_that_and_not_that_it_lasts(people):
    tell(message(1), CLEAR, CLEAR)
    _, (_, text, said) = people.told()
    assert said["kind"] == "taken-over"
    assert text.startswith("Somebody who reset it at the detector has taken over this alarm")
    assert "Go back in only if whoever reset it, or the fire service, says so." in text
    assert "not over" not in text


def test_a_reset_of_what_was_taken_over_is_no_news(people):
    tell(message(1), ACKNOWLEDGED, CLEAR)
    assert [said["kind"] for _, _, said in people.told()] == ["alarm", "taken-over"]


def test_an_alert_that_is_acknowledged_when_it_is_an_emergency_already_spares_nobody(people):
    """Its message was on its way for long: nobody may believe that the emergency is taken over."""
    tell(message(1), message(3, level="emergency", current="emergency"), ACKNOWLEDGED)
    assert [said["kind"] for _, _, said in people.told()] == ["alarm", "alarm"]


def test_a_drill_and_a_suspicion_call_nobody_and_end_without_a_word(people):
    suspicion = {"kind": "event", "level": "warning", "current": "warning"}
    tell(message(1, **suspicion), message(2, **suspicion, alarm="acknowledged"))
    tell(message(3, **suspicion, drill=True), message(4, **suspicion, drill=True))
    tell(CLEAR)
    assert "taken-over" not in [said["kind"] for _, _, said in people.told()]


class Refusing:
    """A client that does not answer when people shall hear that somebody has taken over."""

    def __init__(self, service, times=1):
        self._real, self.times = client(service), times

    def publish(self, **request):
        return self._try(request["Subject"], self._real.publish, request)

    def put_events(self, **request):
        return self._try(request["Entries"][0]["Detail"], self._real.put_events, request)

    def _try(self, words, call, request):
        if "Taken over" in words and self.times:
            self.times -= 1
            raise ConnectionError("no answer")
        return call(**request)


@pytest.mark.parametrize("part", ["sns", "events"])
def test_what_could_not_be_told_is_raised_and_the_retry_tells(people, part):
    tell(message(1))
    refusing = {part: Refusing(part)}
    with pytest.raises(ConnectionError):
        tell(ACKNOWLEDGED, **refusing)
    assert rows(INCIDENTS_TABLE)[0]["acknowledged"] is True
    tell(ACKNOWLEDGED, **refusing)
    tell(ACKNOWLEDGED, **refusing)
    assert [said["kind"] for _, _, said in people.told()] == ["alarm", "taken-over"]
    assert [one["detail"]["kind"] for one in people.posted()] == ["alarm", "taken-over"]


@pytest.mark.parametrize("after", [5, 8])
def test_any_later_word_of_the_detector_makes_it_good(people, after):
    tell(message(1))
    with pytest.raises(ConnectionError):
        tell(ACKNOWLEDGED, sns=Refusing("sns"))
    tell(message(after, kind="event", alarm="acknowledged-silenced"))
    assert [said["kind"] for _, _, said in people.told()] == ["alarm", "taken-over"]


def test_who_forgets_that_people_know_reads_it_in_the_row(people):
    """The memory of what was done holds seven days, a latched alarm as long as nobody resets it."""
    tell(message(1), ACKNOWLEDGED)
    for item in client("dynamodb").scan(TableName="firedetect-idempotency")["Items"]:
        client("dynamodb").delete_item(TableName="firedetect-idempotency", Key={"id": item["id"]})
    tell(message(5, kind="event", alarm="acknowledged"))
    assert [said["kind"] for _, _, said in people.told()] == ["alarm", "taken-over"]


class Forgetful:
    """The memory of what was done: one call refuses once the message itself is done."""

    def __init__(self, name):
        self._real, self._name, self._calls = client("dynamodb"), name, 0
        self.meta, self.exceptions = self._real.meta, self._real.exceptions

    def __getattr__(self, name):
        call = getattr(self._real, name)

        def use(**request):
            self._calls += name == self._name
            if name == self._name and self._calls == 2:
                raise ConnectionError("no answer")
            return call(**request)

        return use


@pytest.mark.parametrize("call", ["put_item", "update_item"])
def test_a_memory_that_refuses_keeps_it_from_nobody(people, call):
    tell(message(1))
    with pytest.raises(IdempotencyPersistenceLayerError):
        tell(ACKNOWLEDGED, remembers=Forgetful(call))
    # The row says that people know.
    tell(ACKNOWLEDGED)
    assert [said["kind"] for _, _, said in people.told()] == ["alarm", "taken-over"]
    assert [one["detail"]["kind"] for one in people.posted()] == ["alarm", "taken-over"]


def test_two_who_find_it_at_the_same_moment_tell_once(people):
    """The button behind the link, and the detector that was asked by it."""
    client("iot").create_thing(thingName="thing-1")
    tell(message(1))
    ((_, text, _),) = people.told()
    found = []

    class Meanwhile:
        def publish(self, **request):
            with pytest.raises(IdempotencyAlreadyInProgressError):
                tell(ACKNOWLEDGED)
            found.append(request)
            return client("sns").publish(**request)

    assert pressed(text.rpartition(" ")[2], "alert", sns=Meanwhile())["statusCode"] == 200
    tell(ACKNOWLEDGED)
    assert len(found) == 1
    assert [said["kind"] for _, _, said in people.told()] == ["taken-over"]


# Without AWS.

ROW = changed(None, understood(message(1)).message)
LINK = Acknowledgement(level="alert", source="link", at="2026")


@given(
    st.sampled_from(["normal", "alert", "emergency"]),
    st.sampled_from(["warning", "alert", "emergency"]),
    st.sets(st.sampled_from(["alert", "emergency"])),
    st.sets(st.sampled_from(["alert", "emergency"])),
    st.booleans(),
)
def test_people_hear_it_of_what_they_were_called_for_and_only_if_all_of_it_is_taken_over(
    seen, level, alarms, heard, over
):
    row = ROW.model_copy(update={"level": level})
    if seen != "normal":
        row = acknowledged(row, LINK.model_copy(update={"level": seen}))
    for one in alarms:
        row = noted(row, step_of(one), "2026")
    for one in heard:
        row = noted(row, f"{one}, taken over", "2026")
    row = closed(row, "2026") if over else row
    order = ["normal", "warning", "alert", "emergency"]
    wanted = level in alarms - heard and order.index(seen) >= order.index(level) and not over
    assert is_due(row) == wanted


@given(st.sets(st.tuples(st.integers(0, LAST), st.integers(0, 12))), st.booleans())
def test_the_tiers_that_were_called_are_the_highest_one_and_those_before_it(steps, again):
    row = ROW
    for tier, turn in steps:
        row = noted(row, step_of("alert", tier, turn), "2026")
    row = noted(row, "alert, taken over", "2026")
    row = row.model_copy(update={"told_again_ms": 7 if again else 0})
    highest = LAST if again else max([tier for tier, _ in steps], default=0)
    assert called(row) == tuple(range(highest + 1))


def test_what_was_told_is_noted_once():
    one = noted(ROW, "alert, taken over", "2026")
    assert noted(one, "alert, taken over", "2027") is one
