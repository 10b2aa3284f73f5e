"""From a simulated fire to people and back, with the time of every hop."""

import asyncio
import json
import time
from datetime import datetime

import pytest
from aiohttp import web

from firedetect.contract.messages import DetectorMessage
from firedetect.contract.names import INCIDENTS_TABLE
from firedetect.uplink.sdk import Endpoint
from tests.daemon.helpers import Daemon
from tests.endtoend.world import Detector, link_of, link_to, quantiles, until
from tests.fakes.box import client, running_broker
from tests.fakes.box import until as seen
from tests.uplink.sender import Sender, message_of, sending

pytestmark = pytest.mark.slow
LEVELS = ["informational", "warning", "alert", "emergency"]
ALARMS = 60


def test_a_simulated_fire_reaches_people_in_order_and_comes_back_as_a_receipt(box, tmp_path, say):
    thing = "fire-1"
    with Detector(tmp_path, thing, link_of(box, thing), "waste-bin") as detector:
        until(lambda: levels(box, thing)[-1:] == ["emergency"], detector.text, 90.0)
        told = [one for one in box.told(thing) if one["attributes"]["level"] in LEVELS]
        assert levels(box, thing) == sorted(levels(box, thing), key=LEVELS.index)
        assert told[-1]["subject"] == f"FIRE EMERGENCY: {thing} at cellar"
        outcome = detector.outcome()
        reasons = told[-1]["text"].split("Why: ")[1].splitlines()[0]
        assert reasons not in {"", "not stated."}

        def rows():
            return [row for row in box.rows(INCIDENTS_TABLE) if row["thing"]["S"] == thing]

        # People first: the row is written right behind.
        until(lambda: [row["level"]["S"] for row in rows()] == ["emergency"], rows, 15.0)
        assert [row["incident_id"]["S"] for row in rows()] == [outcome["incident_id"]]
        # Alarms leave the outbox with their receipt only.
        detector.wait(lambda: detector.now()["waiting_messages"] == 0, "an empty outbox", 20.0)
        assert detector.trouble("receipt") is None
    say(f"levels told: {levels(box, thing)}; emergency because of: {reasons}")
    say(f"hops of the emergency, detector to people: {told[-1]['hops']}")
    # A start is nobody's business, a detector that ended without a goodbye is.
    until(lambda: levels(box, thing)[-1] == "trouble", "the last will", 60.0)
    assert levels(box, thing).count("trouble") == 1


def levels(box, thing):
    return [one["attributes"]["level"] for one in box.told(thing)]


async def test_the_hops_of_many_alarms(box, tmp_path, say):
    """From the moment at which the detector has decided: commit, outbox, publisher, tier."""
    thing = "fire-2"
    decided, committed, acknowledged, receipts = {}, {}, {}, {}

    def note(times):
        return lambda payload: times.setdefault(json.loads(payload).get("event_id"), wall_ms())

    sender = Sender(thing, tmp_path, note(acknowledged), note(receipts))
    issued, said = box.authority.kept(thing), box.said
    place = Endpoint(
        said["endpoint"], said["port"], thing, issued.certificate, issued.key, issued.ca
    )
    async with sending(sender, place):
        await seen(sender.link.connected.is_set, "the link", 30.0)
        for number in range(ALARMS):
            alarm = message_of(thing, number)
            decided[alarm.event_id] = wall_ms()
            # Where the disk is busy for longer than 0.2 s the alarm is sent from memory.
            await sender.keep(alarm)
            committed[alarm.event_id] = wall_ms()
            # The box has one environment of each function, which AWS has as many of as it needs.
            await asyncio.sleep(1.0)
        await seen(lambda: len(receipts) == ALARMS, "all receipts", 60.0)
        await seen(lambda: len(first_calls(box, thing)) >= ALARMS, "people are told of all", 60.0)
    told = {one["attributes"]["event_id"]: one for one in first_calls(box, thing)}
    assert set(told) == set(decided)
    assert len(first_calls(box, thing)) == ALARMS
    hops = {
        "decided to committed": [committed[key] - decided[key] for key in decided],
        "decided to acknowledged": [acknowledged[key] - decided[key] for key in decided],
    }
    for one in told.values():
        for name, took_ms in one["hops"].items():
            hops.setdefault(name, []).append(took_ms)
    passed = {event_id: one["passed_ms"] for event_id, one in told.items()}
    hops["decided to sns"] = [at["sns"] - decided[key] for key, at in passed.items()]
    hops["sns to receipt"] = [receipts[key] - at["sns"] for key, at in passed.items()]
    hops["decided to receipt"] = [receipts[key] - decided[key] for key in decided]
    for name, values in hops.items():
        p50, p99 = quantiles(values)
        say(f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms of {len(values)}")
    assert quantiles(hops["decided to acknowledged"])[1] <= 1000.0
    assert quantiles(hops["decided to sns"])[1] <= 5000.0


def first_calls(box, thing):
    """Nobody takes these alarms over and no beat comes: after a minute others are called, too."""
    return [one for one in box.told(thing) if one["attributes"]["kind"] == "alarm"]


def wall_ms():
    return time.time() * 1000


@pytest.mark.fault("F51")
async def test_without_a_receipt_the_alarm_takes_the_second_path(tmp_path, say):
    got = []

    async def take(request):
        body = DetectorMessage.model_validate_json(await request.read())
        got.append((body, time.time() - datetime.fromisoformat(body.ts).timestamp()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/alarm", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/alarm"
    second = {"FIREDETECT_UPLINK__SECOND_PATH_URL": address}
    try:
        async with (
            running_broker(tmp_path) as broker,
            # It acknowledges and does nothing: a function that has stopped.
            client(broker, "cloud") as (cloud, _),
        ):
            await cloud.subscribe(["firedetect/#", "$aws/#"])
            silent = link_to(broker.host, broker.port, broker.authority.issue("mute"))
            dead = link_to(broker.host, 9, broker.authority.issue("cut"))
            with (
                Detector(tmp_path / "mute", "mute", silent, "waste-bin", **second) as mute,
                Detector(tmp_path / "cut", "cut", dead, "waste-bin", **second) as cut,
            ):
                await both(got, {"mute", "cut"})
                for detector in (mute, cut):
                    await seen(lambda d=detector: d.trouble("receipt"), detector.text, 10.0)
                    assert detector.outcome()["level"] in {"alert", "emergency"}
                assert cut.trouble("link")
                assert mute.trouble("link") is None
    finally:
        await runner.cleanup()
    first = {body.device: took_s for body, took_s in reversed(got)}
    say(f"second path taken after the alarm: {first}")
    assert all(body.kind == "alarm" for body, _ in got)
    assert all(took_s <= 35.0 for took_s in first.values())


async def both(got, wanted):
    await seen(lambda: {body.device for body, _ in got} >= wanted, "the second path", 120.0)


def test_what_a_person_starts_by_hand_comes_with_its_own_box(tmp_path):
    env = {"FIREDETECT_DEVICE__ID": "hand-made"}
    with Daemon(tmp_path, "--simulate", "waste-bin", "--cloud", "box", env=env) as daemon:
        text = daemon.wait_for("people were told: FIRE ALERT: hand-made")
        assert daemon.stop() == 0
    assert "provisioned by claim" in text
    assert "not connected" not in text.split("FIRE ALERT")[0]
