"""Publisher, link and lease on a manual clock: nothing is lost, every failure is said in time."""

import asyncio
import contextlib
import json
import random

import numpy as np
import pytest

from firedetect.clock import ManualClock, cancel_and_wait, run_virtual
from firedetect.contract.messages import Lease, Receipt
from firedetect.storage.store import Batch, Message
from firedetect.uplink.lease import CloudLease, Receipts, take_down_message
from firedetect.uplink.link import Link
from firedetect.uplink.publisher import WINDOW, Publisher
from tests.fakes.transport import MemoryOutbox, MemoryTransport, denied, nobody, silent

THING = "d1"


def message(number, kind="event"):
    priority = {"alarm": 0, "trouble": 1, "event": 2}[kind]
    event_id = f"{THING}-1-{number}"
    return Message(event_id, priority, kind, json.dumps({"event_id": event_id}))


def receipt(event_id, device=THING):
    return Receipt(device=device, event_id=event_id, incident_id=None, ts="").model_dump_json()


class Site:
    """A publisher with everything around it; `said` keeps every report with its time."""

    def __init__(self, second_path=None):
        self.said = []
        self.outbox = MemoryOutbox()
        self.receipts = Receipts(self.report, second_path)
        self.receipts.on_receipt = self.outbox.changed.set
        self.lease = CloudLease(self.report)
        self.link = Link("down", self.report, self.down)
        self.transport = MemoryTransport(self.link)
        self.link.use(self.transport)
        dice = random.Random(53)  # noqa: S311 - a test must fall out the same every time
        self.publisher = Publisher(
            THING, self.outbox, self.transport, self.link, self.receipts, dice
        )

    def report(self, name, detail):
        self.said.append((asyncio.get_running_loop().time(), name, detail))

    def down(self, payload):
        take_down_message(payload, THING, self.receipts, self.lease)

    def troubles(self):
        state = {name: detail for _, name, detail in self.said}
        return {name: detail for name, detail in state.items() if detail is not None}

    def first_said(self, name):
        return next(t for t, said, detail in self.said if said == name and detail is not None)

    def payloads(self):
        return [json.loads(payload)["event_id"] for _, payload in self.transport.arrived]


@contextlib.asynccontextmanager
async def site(**options):
    made = Site(**options)
    tasks = [asyncio.create_task(made.publisher.run()), asyncio.create_task(made.link.run())]
    try:
        yield made
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            await cancel_and_wait(task)
        made.receipts.close()
        made.lease.close()
        made.link.close()


def virtual(test):
    """Run an async test on a manual clock."""

    def run():
        run_virtual(test(), ManualClock())

    run.__name__ = test.__name__
    return run


@virtual
async def test_alarms_overtake_everything_that_waits():
    async with site() as s:
        for number in range(40):
            s.outbox.add(message(number))
        s.outbox.add(message(100, "alarm"))
        s.transport.go(up=True)
        await asyncio.sleep(1)
        assert s.payloads()[0] == "d1-1-100"
        assert len(s.payloads()) == 41
        assert s.transport.most_in_flight <= WINDOW


@virtual
async def test_a_message_goes_only_after_a_real_acknowledge():
    async with site() as s:
        s.transport.fault = lambda topic, _: nobody(topic)
        s.outbox.add(message(1))
        s.transport.go(up=True)
        await asyncio.sleep(60)
        assert "d1-1-1" in s.outbox.messages
        assert "nobody is subscribed" in s.troubles()["uplink"]
        tries = len(s.transport.attempts)
        assert 3 <= tries <= 8
        s.transport.fault = lambda *_: None
        await asyncio.sleep(300)
        assert s.outbox.messages == {}
        assert s.troubles() == {}


@pytest.mark.fault("F55")
@virtual
async def test_a_denied_topic_does_not_hold_up_the_others():
    async with site() as s:
        s.transport.fault = lambda topic, _: denied(topic) if topic.endswith("alert") else None
        s.outbox.add(message(1, "alarm"))
        s.outbox.add(message(2))
        s.transport.go(up=True)
        await asyncio.sleep(5)
        assert s.payloads() == ["d1-1-2"]
        assert "not authorized" in s.troubles()["uplink"]
        assert "d1-1-1" in s.outbox.messages


@pytest.mark.fault("F51")
@virtual
async def test_an_alarm_waits_for_its_receipt_and_is_sent_again():
    async with site() as s:
        s.transport.go(up=True)
        s.outbox.add(message(1, "alarm"))
        await asyncio.sleep(23)
        assert s.payloads() == ["d1-1-1"]
        assert "receipt" not in s.troubles()
        await asyncio.sleep(8)
        assert "no second path is configured" in s.troubles()["receipt"]
        await asyncio.sleep(90)
        assert len(s.payloads()) == 3
        s.down(receipt("d1-1-1"))
        await asyncio.sleep(1)
        assert s.outbox.messages == {}
        assert s.troubles() == {}
        await asyncio.sleep(4000)
        assert len(s.payloads()) == 3


@pytest.mark.fault("F50")
@virtual
async def test_without_a_link_the_second_path_is_taken_within_thirty_seconds():
    taken = []

    async def second_path(late):
        taken.append((asyncio.get_running_loop().time(), late.event_id))
        return len(taken) > 2

    async with site(second_path=second_path) as s:
        began = asyncio.get_running_loop().time()
        s.outbox.add(message(1, "alarm"))
        await asyncio.sleep(120)
        # Until it has worked, with growing pauses.
        assert [event_id for _, event_id in taken] == ["d1-1-1"] * 3
        assert taken[0][0] - began <= 31
        s.transport.go(up=True)
        await asyncio.sleep(1)
        assert s.payloads() == ["d1-1-1"]


@pytest.mark.fault("F74")
@virtual
async def test_a_receipt_for_another_device_or_event_changes_nothing():
    async with site() as s:
        s.transport.go(up=True)
        s.outbox.add(message(1, "alarm"))
        await asyncio.sleep(1)
        for forged in (
            receipt("d1-1-1", device="d2"),
            receipt("d1-1-9"),
            "[]",
            "{",
            "[" * 10_000,
            '{"kind":"receipt"}',
            '{"v":1,"kind":"lease","device":"d1","ts":"","valid_s":NaN}',
            '{"v":1,"kind":"lease","device":"d1","ts":"","valid_s":1e300}',
        ):
            s.down(forged)
        await asyncio.sleep(1)
        assert "d1-1-1" in s.outbox.messages
        assert s.troubles() == {}


@pytest.mark.fault("F48")
@virtual
async def test_lost_link_is_said_and_taken_back():
    async with site() as s:
        s.transport.go(up=True)
        await asyncio.sleep(10)
        lost = asyncio.get_running_loop().time()
        s.transport.go(up=False, detail="the broker no longer answers")
        await asyncio.sleep(60)
        assert s.first_said("link") - lost <= 5
        assert s.troubles() == {"link": "the broker no longer answers"}
        s.transport.go(up=True)
        await asyncio.sleep(10)
        assert s.troubles() == {}


@pytest.mark.fault("F48")
@virtual
async def test_no_link_at_boot_is_said_within_thirty_seconds():
    async with site() as s:
        await asyncio.sleep(30)
        assert "link" in s.troubles()


@pytest.mark.fault("F49")
@virtual
async def test_a_link_that_flaps_is_no_trouble_and_delivers():
    async with site() as s:
        for number in range(200):
            s.transport.go(up=True)
            s.outbox.add(message(number))
            await asyncio.sleep(6)
            s.transport.go(up=False)
            await asyncio.sleep(1)
        s.transport.go(up=True)
        await asyncio.sleep(10)
        assert sorted(s.payloads()) == sorted(f"d1-1-{n}" for n in range(200))
        assert len([1 for _, name, detail in s.said if name == "link" and detail]) <= 1
        assert s.publisher._attempts == {}


@pytest.mark.fault("F51")
@virtual
async def test_a_broker_without_acknowledgements_is_a_lost_link():
    async with site() as s:
        s.transport.go(up=True)
        await asyncio.sleep(10)
        s.transport.fault = lambda topic, _: silent(topic)
        began = asyncio.get_running_loop().time()
        s.outbox.add(message(1))
        await asyncio.sleep(29)
        assert s.first_said("link") - began <= 30
        assert 1 <= s.transport.reconnects <= 2
        s.transport.fault = lambda *_: None
        await asyncio.sleep(20)
        assert s.outbox.messages == {}
        assert s.troubles() == {}


@pytest.mark.fault("F53")
def test_alarms_arrive_over_a_slow_and_lossy_link(say):
    run_virtual(lossy(say), ManualClock())


async def lossy(say):
    """Of ten messages and receipts three are lost, of half of them only the acknowledge."""
    rng = np.random.default_rng(53)
    loop = asyncio.get_running_loop()
    added, arrived = {}, {}
    async with site() as s:

        def reach(payload):
            event_id = json.loads(payload)["event_id"]
            arrived.setdefault(event_id, []).append(loop.time() - added[event_id])
            if rng.random() > 0.3:
                s.down(receipt(event_id))

        def fault(topic, payload):
            lost = rng.random() < 0.3
            if not lost or rng.random() < 0.5:
                loop.call_later(s.transport.latency_s * rng.uniform(0.2, 1.0), reach, payload)
            return silent(topic) if lost else None

        s.transport.latency_s, s.transport.fault = 5.0, fault
        s.transport.go(up=True)
        for number in range(1000):
            alarm = message(number, "alarm")
            added[alarm.event_id] = loop.time()
            s.outbox.add(alarm)
            await asyncio.sleep(rng.uniform(1.0, 40.0))
        # Of a thousand alarms one loses message or receipt eight times, the last at an hour.
        await asyncio.sleep(24 * 3600)
        assert s.outbox.messages == {}
    took_s = sorted(times[0] for times in arrived.values())
    twice = sum(len(times) > 1 for times in arrived.values())
    p95_s = took_s[int(0.95 * len(took_s))]
    say(f"{len(took_s)} alarms over a lossy link: p95 {p95_s:.1f} s (limit 15), {twice} came twice")
    assert arrived.keys() == added.keys()
    assert p95_s <= 15.0


@virtual
async def test_telemetry_goes_last_in_order_and_waits_until_somebody_takes_it():
    async with site() as s:
        s.outbox.telemetry = [Batch(n, json.dumps({"event_id": n}).encode()) for n in range(1, 6)]
        s.outbox.add(message(7))
        s.transport.go(up=True)
        await asyncio.sleep(20)
        assert s.payloads() == ["d1-1-7", 1, 2, 3, 4, 5]
        assert s.outbox.noted == 5
        for number, fault in ((6, nobody), (7, denied)):
            begun = len(s.transport.attempts)
            s.transport.fault = lambda topic, _, fault=fault: (
                fault(topic) if "telemetry" in topic else None
            )
            s.outbox.telemetry.append(Batch(number, json.dumps({"event_id": number}).encode()))
            s.outbox.changed.set()
            await asyncio.sleep(16 * 3600)
            assert s.outbox.noted == number - 1
            assert len(s.transport.attempts) - begun < 260
            s.transport.fault = lambda *_: None
            await asyncio.sleep(300)
            assert s.outbox.noted == number
            assert s.payloads()[-1] == number


@virtual
async def test_the_seventeenth_alarm_of_an_outage_has_its_limit_too():
    taken = []

    async def take(message):
        taken.append(message.event_id)
        return True

    async with site(second_path=take) as s:
        for number in range(3 * WINDOW):
            s.outbox.add(message(number, "alarm"))
        s.outbox.add(message(100))
        await asyncio.sleep(25)
        late = message(99, "alarm")
        s.outbox.add(late)
        await asyncio.sleep(6)
        assert len(taken) == 3 * WINDOW
        await asyncio.sleep(25)
        assert taken[-1] == late.event_id
        assert late.event_id in s.troubles()["receipt"]


@virtual
async def test_an_alarm_does_not_wait_for_acknowledges_of_others_that_do_not_come():
    async with site() as s:
        s.transport.go(up=True)
        s.transport.fault = lambda topic, _: silent(topic) if topic.endswith("event") else None
        for number in range(2 * WINDOW):
            s.outbox.add(message(number))
        await asyncio.sleep(1)
        s.outbox.add(message(99, "alarm"))
        await asyncio.sleep(0.5)
        assert s.payloads() == ["d1-1-99"]


@pytest.mark.fault("F55")
@virtual
async def test_what_was_refused_goes_at_once_when_its_topic_is_taken_again():
    async with site() as s:
        s.transport.fault = lambda topic, _: denied(topic)
        for number in range(30):
            s.outbox.add(message(number))
        s.transport.go(up=True)
        await asyncio.sleep(4 * 3600)
        tries = len(s.transport.attempts)
        await asyncio.sleep(3600)
        assert len(s.transport.attempts) - tries <= 30 * 5
        s.transport.fault = lambda *_: None
        s.outbox.add(message(99))
        await asyncio.sleep(10)
        assert len(s.payloads()) == 31
        assert s.outbox.messages == {}


@virtual
async def test_the_lease_runs_out_and_comes_back():
    async with site() as s:
        lease = Lease(device=THING, ts="", valid_s=900).model_dump_json()
        await asyncio.sleep(0)
        s.transport.go(up=True)
        s.down(lease)
        await asyncio.sleep(800)
        assert s.troubles() == {}
        await asyncio.sleep(200)
        assert "not been heard of for 900 s" in s.troubles()["cloud"]
        s.down(lease)
        assert s.troubles() == {}


@pytest.mark.fault("F58")
@virtual
async def test_a_flood_is_said_until_it_is_over():
    async with site() as s:
        s.transport.go(up=True)
        for _ in range(1000):
            s.link.messages_dropped(1)
        assert list(s.troubles()) == ["flood"]
        await asyncio.sleep(11)
        assert s.troubles() == {}


@pytest.mark.fault("F35")
@pytest.mark.parametrize("fault", [silent, nobody, denied])
def test_a_crash_of_the_publisher_keeps_every_message(fault):
    async def go():
        async with site() as s:
            s.transport.fault = lambda topic, _: fault(topic)
            for number in range(20):
                s.outbox.add(message(number, "alarm" if number % 4 == 0 else "event"))
            s.transport.go(up=True)
            await asyncio.sleep(3)
            assert len(s.outbox.messages) == 20

    run_virtual(go(), ManualClock())


@pytest.mark.fault("F51")
@virtual
async def test_a_new_connection_alone_does_not_end_a_broker_that_is_silent():
    async with site() as s:
        s.transport.go(up=True)
        await asyncio.sleep(10)
        s.transport.fault = lambda topic, _: silent(topic)
        s.outbox.add(message(1))
        await asyncio.sleep(12)
        assert "link" in s.troubles()
        for _ in range(5):
            s.transport.go(up=False)
            s.transport.go(up=True)
            await asyncio.sleep(20)
            assert "link" in s.troubles()
        s.transport.fault = lambda *_: None
        await asyncio.sleep(20)
        assert s.troubles() == {}


@virtual
async def test_a_receipt_that_overtakes_its_acknowledge_and_a_lost_link_break_nothing():
    async with site() as s:
        s.transport.latency_s = 5.0
        s.transport.go(up=True)
        s.outbox.add(message(1, "alarm"))
        await asyncio.sleep(1)
        s.down(receipt("d1-1-1"))
        await asyncio.sleep(1)
        s.transport.go(up=False)
        await asyncio.sleep(10)
        s.transport.go(up=True)
        await asyncio.sleep(10)
        assert s.outbox.messages == {}


@virtual
async def test_a_damaged_batch_holds_up_no_other():
    async with site() as s:
        s.outbox.telemetry = [
            Batch(1, b'{"event_id":1}'),
            Batch(2, b""),
            Batch(3, b'{"event_id":3}'),
        ]
        s.transport.go(up=True)
        await asyncio.sleep(20)
        assert s.payloads() == [1, 3]
        assert s.outbox.noted == 3


@virtual
async def test_requests_without_an_answer_on_a_good_link_are_said():
    async with site() as s:
        s.link.unanswered("jobs", "no answer")
        assert s.troubles() == {}
        s.transport.go(up=True)
        for _ in range(3):
            s.link.unanswered("jobs", "no answer")
        assert s.troubles() == {"uplink": "no answer"}
        s.link.accepted("jobs")
        assert s.troubles() == {}


@virtual
async def test_a_tier_that_never_gave_a_lease_is_said():
    async with site() as s:
        s.lease.begin()
        await asyncio.sleep(890)
        assert "cloud" not in s.troubles()
        await asyncio.sleep(20)
        assert "cloud" in s.troubles()
