"""The escalation in the box: the state machine climbs until somebody presses the link."""

import asyncio
import re
import threading
import urllib.parse
import urllib.request

import pytest

from deploy.names import FUNCTIONS
from firedetect.cloudbox.box import HOOK
from firedetect.contract.names import INCIDENTS_TABLE, alert_topic, event_topic
from tests.cloudbox.test_box import THING, alarm, scan
from tests.fakes.box import running_box, thing_of, until
from tests.lambdas.phone import Phone

pytestmark = pytest.mark.slow
FASTER = 1 / 30
"""Two seconds for the first minute."""


def tiers(box):
    return [told.attributes["tier"] for told in box.told if told.attributes["thing"] == THING]


async def opened(address, data=None):
    def work():
        with urllib.request.urlopen(address, data=data, timeout=20) as answer:  # noqa: S310 - ours
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(work)


def link_of(told):
    return re.search(r"http://\S+", told.text).group(0)


def executions(box, status):
    states = box.aws.client("stepfunctions")
    (machine,) = states.list_state_machines()["stateMachines"]
    found = states.list_executions(stateMachineArn=machine["stateMachineArn"], statusFilter=status)
    return found["executions"]


async def test_people_are_called_tier_by_tier_until_the_link_is_pressed(tmp_path):
    async with (
        running_box(tmp_path / "box", schedule_scale=FASTER) as box,
        thing_of(box, THING) as (thing, _),
    ):
        site, deputies = (
            Phone(number, {"tier": who}, box.aws.client("sns"))
            for number, who in (("+4915100000", ["0"]), ("+4915100001", ["1", "2"]))
        )
        await thing.publish(alert_topic(THING), alarm())
        await until(lambda: "0" in tiers(box), "the people of the site")
        await until(lambda: "1" in tiers(box), "their deputies", limit_s=20.0)
        assert len(executions(box, "RUNNING")) == 1
        address = link_of(box.told[-1])
        # To look at it changes nothing: programs look at links, too.
        status, page = await opened(address)
        assert status == 200
        assert "<form" in page
        await until(lambda: "2" in tiers(box), "everybody", limit_s=20.0)
        query = urllib.parse.urlencode({"level": "alert"}).encode()
        status, page = await opened(address, query)
        assert status == 200
        row = scan(box, INCIDENTS_TABLE)[0]
        assert row["acknowledged"]["BOOL"]
        taken = await until(
            lambda: [one for one in box.told if one.attributes["kind"] == "taken-over"],
            "word that somebody has taken over",
        )
        assert [one.attributes["tier"] for one in taken] == ['["0", "1", "2"]']
        # Each phone hears of what its people were called for, in the words of an SMS.
        firsts = [[text.partition(":")[0] for text in phone.heard()] for phone in (site, deputies)]
        assert firsts[0] == ["FIRE ALERT", "Taken over"]
        assert [first.partition(" ")[0] for first in firsts[1]] == [
            "UNANSWERED", "UNANSWERED", "Taken",
        ]  # fmt: skip
        told = len(box.told)
        await until(lambda: executions(box, "SUCCEEDED"), "the end of the climb", limit_s=40.0)
        assert len(box.told) == told
        # Each function has run by its own trigger but the hook, which registrations ask.
        others = {f"firedetect-{name}" for name in FUNCTIONS} - {HOOK}
        assert set(box._functions._handlers) >= others
        # The detector hears of it by its shadow.
        wanted = box.shadows.carry_out(THING, "alarm", "get", b"")[0].body["state"]["desired"]
        assert wanted


async def test_a_fire_that_comes_back_after_it_was_over_is_called_tier_by_tier_again(tmp_path):
    said = {"kind": "event", "alarm": "acknowledged"}
    async with (
        running_box(tmp_path / "box", schedule_scale=FASTER) as box,
        thing_of(box, THING) as (thing, _),
    ):
        await thing.publish(alert_topic(THING), alarm())
        calm = alarm(2, current="normal", ts="2026-01-01T00:00:02.000+00:00", **said)
        await thing.publish(event_topic(THING), calm)
        await until(
            lambda: "closed" in [one.attributes["kind"] for one in box.told],
            "word that it is over",
            limit_s=60.0,
        )
        await until(
            lambda: scan(box, INCIDENTS_TABLE)[0]["closed_at"]["S"], "the end of the incident"
        )
        before = len(box.told)
        for number in (3, 3, 4):
            ts = f"2026-01-01T00:20:0{number}.000+00:00"
            await thing.publish(event_topic(THING), alarm(number, ts=ts, **said))
        await until(lambda: "1" in tiers(box)[before:], "their deputies", limit_s=20.0)
        found = [(one.attributes["kind"], one.attributes["tier"]) for one in box.told[before:]]
        assert found == [("alarm", "0"), ("unanswered", "1")]
        _, page = await opened(link_of(box.told[-1]))
        (again,) = re.findall(r'name="again" value="(\d+)"', page)
        query = urllib.parse.urlencode({"level": "alert", "again": again}).encode()
        assert (await opened(link_of(box.told[-1]), query))[0] == 200
        taken = await until(
            lambda: [one for one in box.told[before:] if one.attributes["kind"] == "taken-over"],
            "word that somebody has taken over",
        )
        assert [one.attributes["tier"] for one in taken] == ['["0", "1"]']
        await until(
            lambda: len(executions(box, "SUCCEEDED")) == 2, "the end of both climbs", limit_s=60.0
        )


async def test_nothing_of_an_escalation_outlives_its_box(tmp_path):
    async with running_box(tmp_path / "box") as box, thing_of(box, THING) as (thing, _):
        await thing.publish(alert_topic(THING), alarm())
        await until(lambda: executions(box, "RUNNING"), "the escalation")
        asked = [one for one in threading.enumerate() if "_execution_logic" in one.name]
        assert asked
    await until(lambda: not any(one.is_alive() for one in asked), "the end of its threads")
