"""firedetect-escalate on AWS in this process."""

import boto3
import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyPersistenceLayerError,
)
from botocore.exceptions import ClientError
from pydantic import ValidationError

from firedetect.cloudbox.tier import load_tier
from firedetect.contract.names import DEVICES_TABLE, INCIDENTS_TABLE
from firedetect.errors import MessageRefusedError
from firedetect.lambdas import escalate
from firedetect.lambdas.incidents import BusyError, Incidents
from firedetect.lambdas.keeping import Keeping
from firedetect.lambdas.policy import understood
from firedetect.lambdas.rows import CALL, QUICK, client, packed
from tests.lambdas.helpers import Down, Failing, context, escalation, lost, message, rows


class Refusing:
    """SNS that does not take anything for a while."""

    def __init__(self, times):
        self.times = times
        self._real = client("sns")

    def publish(self, **request):
        if self.times:
            self.times -= 1
            raise ClientError({"Error": {"Code": "Throttled", "Message": "no"}}, "Publish")
        return self._real.publish(**request)


def test_an_alarm_becomes_an_incident_people_are_told_then_the_device(people):
    down = Down()
    escalation(down).handle(message(), context())
    ((subject, text, attributes),) = people.told()
    assert subject == "FIRE ALERT: thing-1 at cellar"
    assert "hot_spot" in text
    assert attributes == {
        "level": "alert", "site": "cellar", "thing": "thing-1", "kind": "alarm", "tier": "0",
        "event_id": "thing-1-1-1", "ts": "2026-01-01T00:00:01.000+00:00",
        "received_ms": "1767225600001", "handled_ms": "1767225600000",
    }  # fmt: skip
    (row,) = rows(INCIDENTS_TABLE)
    assert (row["incident_id"], row["thing"], row["level"]) == ("thing-1-1-1", "thing-1", "alert")
    assert row["event_ids"] == ["thing-1-1-1"]
    assert down.heard == [
        (
            "firedetect/thing-1/down",
            {
                "v": 1, "kind": "receipt", "device": "thing-1", "event_id": "thing-1-1-1",
                "incident_id": "thing-1-1-1", "ts": "2026-01-01T00:00:00.000+00:00",
            },
        )
    ]  # fmt: skip


@pytest.mark.fault("F53", "F71")
def test_the_same_alarm_again_tells_nobody_again_but_sends_the_receipt_again(people):
    down = Down()
    one = escalation(down)
    for _ in range(3):
        one.handle(message(), context())
    assert len(people.told()) == 1
    assert len(rows(INCIDENTS_TABLE)) == 1
    assert rows(INCIDENTS_TABLE)[0]["revision"] == 1
    assert down.kinds() == ["receipt"] * 3


def test_a_fire_with_the_number_of_an_earlier_trouble_is_told_and_recorded(people):
    """A detector whose database was lost may count its events anew."""
    down = Down()
    one = escalation(down)
    for kind in ("trouble", "alarm"):
        one.handle(message(7, kind=kind, incident_id="thing-1-1-7", troubles=["gas:stale"]),
                   context())  # fmt: skip
    later = "2026-01-03T00:00:00.000+00:00"
    for _ in range(2):
        one.handle(message(7, incident_id="thing-1-1-7", level="emergency", ts=later), context())
    subjects = [subject for subject, _, _ in people.told()]
    assert subjects == [
        "Trouble: thing-1 at cellar: gas:stale",
        "FIRE ALERT: thing-1 at cellar",
        "FIRE EMERGENCY: thing-1 at cellar",
    ]
    assert rows(INCIDENTS_TABLE)[0]["level"] == "emergency"
    assert down.kinds() == ["receipt"] * 3


def test_another_execution_environment_remembers_too(people):
    for _ in range(2):
        escalation(Down()).handle(message(), context())
    assert len(people.told()) == 1


def test_the_same_event_id_of_another_device_is_another_event(people):
    one = escalation(Down())
    one.handle(message(), context())
    one.handle(message(thing="thing-2"), context())
    assert len(people.told()) == 2


def test_if_sns_refuses_there_is_no_receipt_and_the_next_try_tells(people):
    down = Down()
    one = escalation(down, sns=Refusing(1))
    with pytest.raises(ClientError):
        one.handle(message(), context())
    assert down.heard == []
    assert people.told() == []
    one.handle(message(), context())
    assert len(people.told()) == 1
    assert down.kinds() == ["receipt"]


def test_if_the_receipt_fails_the_event_fails_and_the_next_try_sends_it_only(people):
    down = Down()
    one = escalation(down)
    down.fails = True
    with pytest.raises(ConnectionError):
        one.handle(message(), context())
    down.fails = False
    one.handle(message(), context())
    assert len(people.told()) == 1
    assert down.kinds() == ["receipt"]


def test_alert_then_emergency_tells_twice_and_raises_the_level(people):
    one = escalation(Down())
    one.handle(message(1), context())
    one.handle(message(2, level="emergency", current="emergency"), context())
    assert [subject.split(":")[0] for subject, _, _ in people.told()] == [
        "FIRE ALERT", "FIRE EMERGENCY",
    ]  # fmt: skip
    assert rows(INCIDENTS_TABLE)[0]["level"] == "emergency"


def test_an_acknowledgement_before_its_alarm_is_kept(people):
    one = escalation(Down())
    one.handle(message(2, kind="event", alarm="acknowledged"), context())
    assert people.told() == []
    one.handle(message(1), context())
    # That somebody has taken over means something only to who was called.
    assert [said["kind"] for _, _, said in people.told()] == ["alarm", "taken-over"]
    row = rows(INCIDENTS_TABLE)[0]
    assert (row["level"], row["acknowledged"]) == ("alert", True)


def test_a_trouble_and_a_lost_link_are_told_and_kept_with_the_device(people):
    down = Down()
    one = escalation(down)
    trouble = message(1, kind="trouble", incident_id=None, troubles=["sensor:gas"])
    one.handle(trouble, context())
    one.handle(lost(), context())
    assert [attributes["level"] for _, _, attributes in people.told()] == ["trouble", "trouble"]
    kept = {row["kind"]: row for row in rows(DEVICES_TABLE)}
    assert kept["trouble"]["troubles"] == ["sensor:gas"]
    assert kept["link"]["state"] == "lost"
    assert down.heard == []
    assert rows(INCIDENTS_TABLE) == []


def link():
    (row,) = (row for row in rows(DEVICES_TABLE) if row["kind"] == "link")
    return row


def test_a_loss_is_told_once_however_many_wills_come(people):
    one = escalation(Down())
    for received_ms in (1_000, 1_000, 8_000, 15_000, 400_000):
        one.handle(lost(received_ms=received_ms), context())
    assert [attributes["received_ms"] for _, _, attributes in people.told()] == ["1000"]
    assert (link()["state"], link()["received_ms"]) == ("lost", 400_000)


def test_a_link_that_flaps_for_an_hour_is_told_every_five_minutes_at_most(people):
    one = escalation(Down())
    for number in range(0, 3600, 60):
        one.handle(lost(received_ms=1 + number * 1000), context())
        event = message(number, kind="event", level="normal", received_ms=2 + number * 1000)
        one.handle(event, context())
        assert link()["state"] == "returned"
    assert len(people.told()) == 12


def test_a_message_from_before_the_loss_is_no_return(people):
    one = escalation(Down())
    one.handle(lost(received_ms=2_000), context())
    one.handle(message(received_ms=1_999), context())
    assert link()["state"] == "lost"
    one.handle(message(2, received_ms=2_001), context())
    assert link()["state"] == "returned"
    one.handle(lost(received_ms=2_000 - 1), context())
    assert link()["state"] == "returned"
    assert len(people.told()) == 3


def test_if_sns_refuses_a_loss_the_next_will_tells(people):
    one = escalation(Down(), sns=Refusing(1))
    with pytest.raises(ClientError):
        one.handle(lost(received_ms=1_000), context())
    one.handle(lost(received_ms=2_000), context())
    assert len(people.told()) == 1


def test_nobody_is_woken_because_a_detector_was_restarted(people):
    one = escalation(Down())
    start = ["gas:starting", "thermal:starting"]
    for seq, troubles in enumerate([start, ["gas:warm-up"], []], start=1):
        one.handle(message(seq, kind="trouble", troubles=troubles), context())
        assert rows(DEVICES_TABLE)[0]["troubles"] == troubles
    assert people.told() == []
    for seq, troubles in enumerate([["gas:stale"], ["gas:warm-up"], []], start=4):
        one.handle(message(seq, kind="trouble", troubles=troubles), context())
    assert [subject for subject, _, _ in people.told()] == [
        "Trouble: thing-1 at cellar: gas:stale", "Trouble ended: thing-1 at cellar",
    ]  # fmt: skip


def test_if_sns_refuses_a_trouble_the_next_try_tells(people):
    one = escalation(Down(), sns=Refusing(1))
    event = message(1, kind="trouble", troubles=["gas:stale"])
    with pytest.raises(ClientError):
        one.handle(event, context())
    one.handle(event, context())
    assert len(people.told()) == 1


def test_an_older_trouble_does_not_replace_a_newer_one(people):
    one = escalation(Down())
    one.handle(message(2, kind="trouble", troubles=["new"]), context())
    one.handle(message(1, kind="trouble", troubles=["old"]), context())
    assert [row["troubles"] for row in rows(DEVICES_TABLE)] == [["new"]]
    assert len(people.told()) == 1


def test_the_order_is_the_detectors_and_not_that_of_the_rule(people):
    one = escalation(Down())
    ended = message(9, kind="trouble", troubles=[], received_ms=1_000)
    one.handle(message(8, kind="trouble", troubles=["gas:stale"], received_ms=900), context())
    one.handle(ended, context())
    # Older by its number, and later at the rule.
    one.handle(message(7, kind="trouble", troubles=["gas:lost"], received_ms=2_000), context())
    (row,) = rows(DEVICES_TABLE)
    assert (row["event_id"], row["troubles"]) == ("thing-1-1-9", [])
    later = {"event_id": "thing-1-2-1", "ts": "2026-01-01T01:00:00.000+00:00"}
    one.handle(message(kind="trouble", troubles=["gas:lost"], received_ms=3) | later, context())
    assert [subject for subject, _, _ in people.told()] == [
        "Trouble: thing-1 at cellar: gas:stale", "Trouble ended: thing-1 at cellar",
        "Trouble: thing-1 at cellar: gas:lost",
    ]  # fmt: skip


class Meanwhile:
    """SNS during which something else happens, once."""

    def __init__(self, happens):
        self._happens = [happens]
        self._real = client("sns")

    def publish(self, **request):
        if self._happens:
            self._happens.pop()()
        return self._real.publish(**request)


def test_a_trouble_that_ends_while_it_is_told_is_told_as_ended(people):
    ended = message(2, kind="trouble", troubles=[])
    one = escalation(Down(), sns=Meanwhile(lambda: escalation(Down()).handle(ended, context())))
    one.handle(message(1, kind="trouble", troubles=["gas:stale"]), context())
    assert [subject for subject, _, _ in people.told()] == [
        "Trouble: thing-1 at cellar: gas:stale", "Trouble ended: thing-1 at cellar",
    ]  # fmt: skip
    assert rows(DEVICES_TABLE)[0]["troubles"] == []


def test_a_foreign_device_and_malformed_input_are_refused_without_effect(people):
    one = escalation(Down())
    for event in (message() | {"thing": "thing-2"}, message(level="hot"), {"thing": "x"}, None):
        with pytest.raises(MessageRefusedError):
            one.handle(event, context())
    assert people.told() == []
    assert rows(INCIDENTS_TABLE) == []


def test_a_device_does_not_reach_into_the_incident_of_another(people):
    one = escalation(Down())
    with pytest.raises(MessageRefusedError, match="thing-2: incident thing-1-1-1 is not its own"):
        one.handle(message(2, thing="thing-2", incident_id="thing-1-1-1"), context())
    assert people.told() == []
    one.handle(message(), context())
    assert len(people.told()) == 1
    assert rows(INCIDENTS_TABLE)[0]["event_ids"] == ["thing-1-1-1"]


@pytest.mark.parametrize("call", ["get_item", "put_item"])
def test_a_table_that_refuses_keeps_no_alarm_from_people(people, call):
    down = Down()
    table = Failing(**{call: 1})
    table.table = INCIDENTS_TABLE
    one = escalation(down, dynamodb=table)
    with pytest.raises(ClientError, match="slow down"):
        one.handle(message(), context())
    assert len(people.told()) == 1
    assert down.kinds() == ["receipt"]
    assert rows(INCIDENTS_TABLE) == []
    one.handle(message(), context())
    assert people.told() == []
    assert len(rows(INCIDENTS_TABLE)) == 1


def test_a_row_that_nobody_understands_keeps_no_alarm_from_people(people):
    broken = {"incident_id": "thing-1-1-1", "revision": 1}
    client("dynamodb").put_item(TableName=INCIDENTS_TABLE, Item=packed(broken))
    down = Down()
    with pytest.raises(ValidationError):
        escalation(down).handle(message(), context())
    assert len(people.told()) == 1
    assert down.kinds() == ["receipt"]


@pytest.mark.parametrize("call", ["put_item", "update_item"])
def test_a_memory_of_what_was_done_that_refuses_keeps_no_alarm_from_people(people, call):
    down = Down()
    one = escalation(down, remembers=Failing(**{call: 1}))
    with pytest.raises(IdempotencyPersistenceLayerError):
        one.handle(message(), context())
    assert len(people.told()) == 1
    assert len(rows(INCIDENTS_TABLE)) == 1
    assert down.kinds() == ["receipt"]


def test_an_alarm_that_another_is_telling_at_this_moment_comes_again(people):
    found = []

    def again():
        with pytest.raises(IdempotencyAlreadyInProgressError) as raised:
            escalation(Down()).handle(message(), context())
        found.append(raised)

    escalation(Down(), sns=Meanwhile(again)).handle(message(), context())
    assert len(found) == len(people.told()) == 1


def test_all_that_stands_before_sns_leaves_time_for_it():
    """Even if the memory of what was done hangs, and SNS at its first try."""
    timeout_s = load_tier().functions["firedetect-escalate"].timeout_s
    before_s, of_sns_s = (
        one.retries["total_max_attempts"] * (one.connect_timeout + one.read_timeout)
        for one in (QUICK, CALL)
    )
    assert before_s + of_sns_s < timeout_s - 5


class Always:
    """Rows that have always changed since they were read."""

    def __init__(self):
        self.kept_ = {"state": "lost", "received_ms": 1}

    def kept(self, _thing, _kind):
        return self.kept_

    def keep(self, _before, _after):
        return False


def test_a_race_for_a_device_is_not_run_for_ever():
    told = []
    keeping = Keeping(Always(), lambda _, notice: told.append(notice) or (notice and "id"))
    arrival = understood(message(kind="trouble", troubles=["gas:stale"]))
    for do in (
        lambda: keeping.trouble(arrival, arrival.message),
        lambda: keeping.returned(arrival),
        lambda: keeping.lost(understood(lost()), understood(lost()).message),
    ):
        with pytest.raises(BusyError, match="thing-1"):
            do()
    assert len(told) == 1


class Racing:
    """DynamoDB in which somebody else always writes first, a number of times."""

    def __init__(self, times):
        self._real = client("dynamodb")
        self.exceptions = self._real.exceptions
        self.times = times

    def get_item(self, **request):
        return self._real.get_item(**request)

    def put_item(self, **request):
        if self.times:
            self.times -= 1
            error = {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}
            raise self.exceptions.ConditionalCheckFailedException(error, "PutItem")
        return self._real.put_item(**request)


@pytest.mark.usefixtures("people")
def test_a_race_for_an_incident_is_run_again_but_not_for_ever():
    arrival = understood(message())
    Incidents(Racing(4), INCIDENTS_TABLE).record(arrival.message)
    assert len(rows(INCIDENTS_TABLE)) == 1
    with pytest.raises(BusyError):
        Incidents(Racing(5), INCIDENTS_TABLE).record(understood(message(2)).message)


@pytest.mark.usefixtures("people")
def test_the_handler_itself_reads_its_environment(monkeypatch):
    down = Down()
    real = boto3.client
    monkeypatch.setattr(
        boto3, "client", lambda name, **more: down if name == "iot-data" else real(name, **more)
    )
    escalate._escalation.cache_clear()
    try:
        answer = escalate.handler(message(), context())
    finally:
        escalate._escalation.cache_clear()
    assert answer["event_id"] == "thing-1-1-1"
    assert down.kinds() == ["receipt"]
    handlers = {name: part.handler for name, part in load_tier().functions.items()}
    assert handlers["firedetect-escalate"] == f"{escalate.__name__}.handler"
