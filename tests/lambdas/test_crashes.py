"""Whichever call to AWS fails, or is the last one of the function: a retry makes all of it good."""

import contextlib
import itertools

import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyPersistenceLayerError,
)

from firedetect.contract.names import INCIDENTS_TABLE
from firedetect.lambdas.incident import closed
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.rows import client
from tests.lambdas.helpers import (
    Down,
    acknowledging,
    escalation,
    executions,
    message,
    rows,
)

pytestmark = pytest.mark.slow


class Ended(BaseException):
    """The environment is gone: no line after this one runs."""


class Trap:
    """Counts the calls of all clients; one of them fails, before or after it has had its effect."""

    def __init__(self, number, error, *, after):
        self.number, self.error, self.after = number, error, after
        self.calls = []

    def around(self, real):
        return Trapped(self, real)

    def go(self, name, call, request):
        self.calls.append(name)
        if len(self.calls) != self.number:
            return call(**request)
        if self.after:
            call(**request)
        raise self.error(f"call {self.number}: {name}")


class Trapped:
    def __init__(self, trap, real):
        self._trap, self._real = trap, real
        self.meta = getattr(real, "meta", None)
        self.exceptions = getattr(real, "exceptions", None)

    def __getattr__(self, name):
        call = getattr(self._real, name)
        return lambda **request: self._trap.go(name, call, request)


class Soon:
    """A context that is nearly over: what it leaves undone may be done at once."""

    def get_remaining_time_in_millis(self):
        return 1


SERVICES = {"states": "stepfunctions", "events": "events", "kms": "kms", "sns": "sns"}


def made(trap, down):
    parts = {name: trap.around(client(service)) for name, service in SERVICES.items()}
    parts |= {name: trap.around(client("dynamodb")) for name in ("dynamodb", "remembers")}
    return escalation(trap.around(down), **parts)


def tried(trap, down, event):
    """Run an event as AWS does: the environment that fails is replaced, twice at most."""
    for _ in range(3):
        try:
            made(trap, down).handle(event, Soon())
        except (Exception, Ended) as error:  # noqa: BLE001 - whatever it raised, it comes again
            said = error
        else:
            return
    raise AssertionError(trap.calls) from said


FAULTS = {
    "refused": (ConnectionError, False),
    "answer lost": (ConnectionError, True),
    "killed before": (Ended, False),
    "killed after": (Ended, True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_alarm_survives_a_crash_at_any_call(people, fault):
    error, after = FAULTS[fault]
    places = []
    for number in itertools.count(1):
        thing = f"thing-{number}"
        trap, down = Trap(number, error, after=after), Down()
        tried(trap, down, message(1, thing=thing))
        told = people.told()
        assert told, f"nobody was told: {trap.calls}"
        assert len(told) <= 2
        assert down.kinds()[-1] == "receipt", trap.calls
        (row,) = (row for row in rows(INCIDENTS_TABLE) if row["thing"] == thing)
        assert (row["level"], row["revision"]) == ("alert", 1)
        assert f"{thing}-1-1-alert" in executions()
        assert len(people.posted()) >= 1
        if number > len(trap.calls):
            break
        places.append(trap.calls[number - 1])
    # Every kind of call was the place of a crash.
    assert {
        "put_item", "get_item", "update_item", "generate_mac", "publish", "start_execution",
        "put_events",
    } <= set(places)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_survives_a_crash_at_any_call(people, fault):
    error, after = FAULTS[fault]
    for number in itertools.count(1):
        thing = f"thing-{number}"
        escalation(Down()).handle(message(1, thing=thing), Soon())
        step = executions()[f"{thing}-1-1-alert"]["climb"] | {"tier": 1}
        people.told()
        trap = Trap(number, error, after=after)
        tried(trap, Down(), {"climb": step})
        assert 1 <= len(people.told()) <= 2, trap.calls
        if number > len(trap.calls):
            break
    assert number > 6


def test_a_reset_survives_a_crash_at_any_call(people):
    clear = {"incident_id": None, "level": "normal", "current": "normal", "alarm": "clear"}
    for number in itertools.count(1):
        thing = f"thing-{number}"
        escalation(Down()).handle(message(1, thing=thing), Soon())
        trap = Trap(number, Ended, after=False)
        tried(trap, Down(), message(2, thing=thing, kind="event", **clear))
        (row,) = (row for row in rows(INCIDENTS_TABLE) if row["thing"] == thing)
        assert row["reset_at"], trap.calls
        if number > len(trap.calls):
            break
    assert people.told()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fire_that_came_back_survives_a_crash_at_any_call(people, fault):
    error, after = FAULTS[fault]
    incidents = Incidents(client("dynamodb"), INCIDENTS_TABLE)
    places = []
    for number in itertools.count(1):
        thing = f"thing-{number}"
        said = {"thing": thing, "kind": "event", "alarm": "acknowledged"}
        escalation(Down()).handle(message(1, thing=thing), Soon())
        escalation(Down()).handle(message(2, **said), Soon())
        incidents.change(f"{thing}-1-1", lambda row: closed(row, "2026-01-01T00:20:00.000+00:00"))
        people.told()
        people.posted()
        trap = Trap(number, error, after=after)
        tried(trap, Down(), message(3, **said))
        kinds = [(said_["kind"], said_["tier"]) for _, _, said_ in people.told()]
        assert kinds in ([("alarm", "0")], [("alarm", "0")] * 2), trap.calls
        assert {one["detail"]["kind"] for one in people.posted()} == {"alarm"}, trap.calls
        (row,) = (row for row in rows(INCIDENTS_TABLE) if row["thing"] == thing)
        assert (row["closed_at"], row["acknowledged"]) == ("", False), trap.calls
        assert (row["back"]["number"], "alert, tier 0, round 0, again 1" in row["told"]) == (
            1,
            True,
        )
        assert f"{thing}-1-1-alert-again-1" in executions()
        if number > len(trap.calls):
            break
        places.append(trap.calls[number - 1])
    assert {
        "put_item", "get_item", "update_item", "generate_mac", "publish", "start_execution",
        "put_events",
    } <= set(places)  # fmt: skip


def stood_down(people, trap, thing):
    """Check that people and other services heard of it, and that the row says so."""
    kinds = [said["kind"] for _, _, said in people.told()]
    assert kinds in (["taken-over"], ["taken-over"] * 2), trap.calls
    posted = [one["detail"]["kind"] for one in people.posted()]
    assert posted in (["taken-over"], ["taken-over"] * 2), trap.calls
    (row,) = (row for row in rows(INCIDENTS_TABLE) if row["thing"] == thing)
    assert row["acknowledged"], trap.calls
    assert "alert, taken over" in row["told"], trap.calls


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("ending", ["acknowledged", "reset"])
def test_word_that_somebody_took_over_survives_a_crash_at_any_call(people, fault, ending):
    error, after = FAULTS[fault]
    clear = {"incident_id": None, "level": "normal", "current": "normal", "alarm": "clear"}
    said = clear if ending == "reset" else {"alarm": "acknowledged"}
    places = []
    for number in itertools.count(1):
        thing = f"thing-{number}"
        escalation(Down()).handle(message(1, thing=thing), Soon())
        people.told()
        people.posted()
        trap = Trap(number, error, after=after)
        tried(trap, Down(), message(2, thing=thing, kind="event", **said))
        stood_down(people, trap, thing)
        if number > len(trap.calls):
            break
        places.append(trap.calls[number - 1])
    assert {"publish", "put_events", "put_item", "get_item", "update_item"} <= set(places)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_button_survives_a_crash_at_any_call_when_it_is_pressed_again(people, fault):
    error, after = FAULTS[fault]
    places = []
    for number in itertools.count(1):
        thing = f"thing-{number}"
        client("iot").create_thing(thingName=thing)
        escalation(Down()).handle(message(1, thing=thing), Soon())
        ((_, text, _),) = people.told()
        people.posted()
        event = {
            "queryStringParameters": {"t": text.rpartition("?t=")[2]},
            "requestContext": {"http": {"method": "POST"}},
            "body": "level=alert",
        }
        trap = Trap(number, error, after=after)
        for _ in range(3):
            parts = {name: trap.around(client(name)) for name in ("dynamodb", "kms", "sns")}
            parts |= {
                "iot": trap.around(client("iot-data")),
                "events": trap.around(client("events")),
            }
            page = acknowledging(**parts, remembers=trap.around(client("dynamodb")))
            with contextlib.suppress(ConnectionError, Ended, IdempotencyPersistenceLayerError):
                assert page.answer(event, Soon())["statusCode"] == 200
                break
        else:
            raise AssertionError(trap.calls)
        stood_down(people, trap, thing)
        if number > len(trap.calls):
            break
        places.append(trap.calls[number - 1])
    assert {"verify_mac", "publish", "put_events", "update_thing_shadow", "put_item"} <= set(places)
