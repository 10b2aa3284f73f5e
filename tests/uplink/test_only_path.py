"""A detector without a cloud: every message to one address, alarms first, until it is taken."""

import asyncio
import json

from aiohttp import web

from firedetect.clock import ManualClock, cancel_and_wait, run_virtual
from firedetect.config import UplinkSettings
from firedetect.storage.store import Message
from firedetect.uplink.only_path import OnlyPath
from firedetect.uplink.second_path import SecondPath
from tests.fakes.detector import running, virtual

NS = 1_000_000_000
WALL_NS = 1_800_000_000 * NS
NOW, LAST_WEEK = "2027-01-15T08:00:00Z", "2027-01-08T08:00:00Z"


class Outbox:
    def __init__(self, *messages):
        self.changed, self.messages = asyncio.Event(), list(messages)

    def add(self, message):
        self.messages.append(message)
        self.changed.set()

    async def waiting(self, limit, skip):
        left = [m for m in self.messages if m.event_id not in skip]
        return sorted(left, key=lambda message: message.priority)[:limit]

    async def delivered(self, event_ids):
        self.messages = [m for m in self.messages if m.event_id not in event_ids]


class Receiver:
    """Takes messages while it `works`; `taken` are their ids."""

    def __init__(self):
        self.taken, self.works, self.tried, self.refused = [], True, 0, set()

    async def take(self, message):
        self.tried += 1
        await asyncio.sleep(0.1)
        taken = self.works and message.event_id not in self.refused
        if taken:
            self.taken.append(message.event_id)
        return taken


def message(event_id, kind="event", priority=2, ts=NOW):
    return Message(event_id, priority, kind, json.dumps({"ts": ts}))


def alarm(event_id, **more):
    return message(event_id, "alarm", 0, **more)


def followed(*waiting):
    """Run an async test with a path that is followed; `waiting` lies there at the start."""

    def wrap(test):
        async def follow(clock):
            outbox, receiver = Outbox(*waiting), Receiver()
            task = asyncio.create_task(OnlyPath(outbox, receiver.take, clock).run())
            try:
                await test(outbox, receiver)
            finally:
                await cancel_and_wait(task)

        def run():
            clock = ManualClock(wall_ns=WALL_NS)
            run_virtual(follow(clock), clock)

        run.__name__ = test.__name__
        return run

    return wrap


@followed(message("e-1"), message("e-2"), alarm("a-1"))
async def test_alarms_go_first_and_what_arrived_is_forgotten(outbox, receiver):
    await asyncio.sleep(1.0)
    assert receiver.taken == ["a-1", "e-1", "e-2"]
    assert outbox.messages == []
    outbox.add(alarm("a-2"))
    await asyncio.sleep(0.2)
    assert receiver.taken[-1] == "a-2"


@followed()
async def test_a_receiver_that_was_down_gets_everything_once(outbox, receiver):
    receiver.works = False
    outbox.add(message("e-1"))
    await asyncio.sleep(300.0)
    assert 5 < receiver.tried < 15
    outbox.add(alarm("a-1"))
    receiver.works = True
    await asyncio.sleep(70.0)
    assert receiver.taken == ["a-1", "e-1"]


@followed(alarm("poison"))
async def test_a_message_that_is_refused_for_ever_holds_up_no_other(outbox, receiver):
    receiver.refused = {"poison"}
    await asyncio.sleep(60.0)
    for number in range(3):
        outbox.add(alarm(f"a-{number}"))
        await asyncio.sleep(1.0)
        assert receiver.taken[-1] == f"a-{number}"
    receiver.refused = set()
    await asyncio.sleep(70.0)
    assert receiver.taken[-1] == "poison"


@followed(
    message("old", ts=LAST_WEEK), alarm("old-alarm", ts=LAST_WEEK), alarm("new"),
    Message("odd", 2, "event", "{}"), Message("odder", 2, "event", "no JSON"),
)  # fmt: skip
async def test_what_is_a_day_old_at_the_start_is_left_out_but_no_alarm(outbox, receiver):
    await asyncio.sleep(2.0)
    assert receiver.taken[:2] == ["old-alarm", "new"]
    assert set(receiver.taken[2:]) == {"odd", "odder"}
    assert outbox.messages == []


@virtual
async def test_a_fire_is_posted_at_once_without_a_cloud(tmp_path, clock):
    posted = []

    async def hear(request):
        posted.append((clock.monotonic_ns() / NS, await request.json()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/alarm", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    uplink = UplinkSettings(second_path_url=f"http://127.0.0.1:{port}/alarm")
    async with running(tmp_path, "waste-bin", clock=clock, uplink=uplink) as detector:
        assert detector.parts.cloud is None
        await asyncio.sleep(5.0)
        await detector.until(lambda: detector.last.latched, 60)
        alarmed_s = clock.monotonic_ns() / NS
        await asyncio.sleep(10.0)
    await runner.cleanup()
    first_s, first = next((t_s, body) for t_s, body in posted if body["kind"] == "alarm")
    assert (first["level"], first_s - alarmed_s < 2.0) == ("alert", True)
    ids = [body["event_id"] for _, body in posted]
    assert len(ids) == len(set(ids))


async def test_a_receiver_that_refuses_is_a_trouble_that_names_the_message():
    told = {}

    async def refuse(_request):
        return web.Response(status=503)

    app = web.Application()
    app.router.add_post("/", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    path = SecondPath(f"http://127.0.0.1:{runner.addresses[0][1]}/", told.__setitem__)
    assert not await path.take(message("e-1"))
    assert "event e-1 could not be handed over" in told["second-path"]
    assert "answered 503" in told["second-path"]
    await runner.cleanup()
