"""The outbox over a disk that fails or hangs: nothing is lost, nothing piles up."""

import asyncio
import sqlite3
import threading

import pytest

from firedetect.clock import ManualClock, SystemClock, run_virtual
from firedetect.daemon.keep import Keeper
from firedetect.daemon.queue import EventQueue
from firedetect.daemon.remote.outbox import StoredOutbox
from firedetect.readings import Restored
from firedetect.storage.store import Message, Store

PRIORITY = {"alarm": 0, "trouble": 1, "event": 2}


def message(number, kind="event"):
    return Message(f"d-1-{number}", PRIORITY[kind], kind, "{}")


class FailingStore(Store):
    """A store whose disk can be full, and that may hang until it is let go."""

    full = False
    gate = None
    calls = 0

    def _pass(self):
        self.calls += 1
        if self.gate is not None:
            self.gate.wait(30)
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")

    def commit(self, *arguments):
        self._pass()
        super().commit(*arguments)

    def waiting(self, *arguments):
        self._pass()
        return super().waiting(*arguments)

    def delivered(self, *arguments):
        self._pass()
        super().delivered(*arguments)

    def add_batch(self, *arguments):
        self._pass()
        return super().add_batch(*arguments)

    def batches(self, *arguments):
        self._pass()
        return super().batches(*arguments)

    def telemetry_sent(self):
        self._pass()
        return super().telemetry_sent()


class Site:
    def __init__(self, folder, clock):
        self.store = FailingStore(folder / "firedetect.db")
        self.keeper = Keeper(self.store, EventQueue(), clock)
        self.outbox = StoredOutbox(self.keeper, lambda *_: None)

    async def keep(self, *messages):
        for found in messages:
            await self.keeper.keep(Restored(0), found)

    async def ids(self, limit=100, skip=()):
        return [int(m.event_id.split("-")[-1]) for m in await self.outbox.waiting(limit, skip)]

    async def close(self):
        await self.keeper.close(Restored(0))


def on_disk(test):
    """Run a test with a site on a manual clock; the store answers at once."""

    def run(tmp_path):
        clock = ManualClock()

        async def go():
            site = Site(tmp_path, clock)
            await test(site)
            await site.close()

        run_virtual(go(), clock)

    run.__name__ = test.__name__
    return run


@on_disk
async def test_messages_wait_by_priority_then_age_until_they_have_arrived(site):
    await site.keep(*(message(n) for n in range(5)), message(9, "alarm"), message(8, "trouble"))
    assert site.outbox.changed.is_set()
    assert await site.ids() == [9, 8, 0, 1, 2, 3, 4]
    assert await site.ids(limit=2) == [9, 8]
    assert await site.ids(skip={"d-1-9"}) == [8, 0, 1, 2, 3, 4]
    await site.outbox.delivered(["d-1-9", "d-1-0"])
    assert await site.ids() == [8, 1, 2, 3, 4]


@pytest.mark.fault("F39")
@on_disk
async def test_a_full_disk_keeps_messages_in_memory_and_offers_them(site):
    await site.keep(message(1))
    site.store.full = True
    await site.keep(message(2), message(3, "alarm"))
    assert await site.ids() == [3, 2]
    await site.outbox.delivered(["d-1-3"])
    assert await site.ids() == [2]
    site.store.full = False
    await asyncio.sleep(5)
    # The first is on the disk and was only unreadable; the delivered one never comes back.
    assert await site.ids() == [1, 2]
    await site.outbox.delivered(["d-1-1", "d-1-2"])
    assert await site.ids() == []
    assert site.outbox._arrived == set()


@on_disk
async def test_what_arrived_while_the_disk_refused_is_not_sent_again(site):
    await site.keep(*(message(n) for n in range(4)))
    site.store.full = True
    await site.outbox.delivered(["d-1-0", "d-1-1"])
    site.store.full = False
    assert await site.ids() == [2, 3]
    await site.outbox.delivered(["d-1-2"])
    assert await site.ids() == [3]
    assert site.store.waiting_count() == 1


@pytest.mark.fault("F39")
@on_disk
async def test_telemetry_that_no_disk_takes_is_sent_and_what_follows_too(site):
    outbox = site.outbox
    after = await outbox.sent_until()
    await outbox.add_batch(b"one")
    site.store.full = True
    for number in range(100):
        await outbox.add_batch(b"memory %d" % number)
    site.store.full = False
    sent = []
    for _ in range(61):
        (batch,) = await outbox.batches(after, 1)
        sent.append(batch.payload)
        after = batch.number
        outbox.note_sent(after)
    assert sent[:2] == [b"one", b"memory 40"]
    assert await outbox.batches(after, 1) == []
    # The disk works again: its numbers are lower than those in memory.
    await outbox.add_batch(b"two")
    (batch,) = await outbox.batches(after, 1)
    assert batch.payload == b"two"
    outbox.note_sent(batch.number)
    assert await outbox.batches(batch.number, 1) == []
    assert outbox._memory == []


@on_disk
async def test_a_start_goes_on_behind_what_was_sent(site):
    for number in range(5):
        await site.outbox.add_batch(b"%d" % number)
    site.outbox.note_sent(3)
    await site.outbox.add_batch(b"5")
    other = StoredOutbox(site.keeper, lambda *_: None)
    assert await other.sent_until() == 3
    assert [b.payload for b in await other.batches(3, 9)] == [b"3", b"4", b"5"]
    site.store.full = True
    assert await other.batches(3, 9) == []


@pytest.mark.fault("F40")
async def test_a_disk_that_hangs_holds_no_message_and_piles_up_no_work(tmp_path):
    site = Site(tmp_path, SystemClock())
    gate = site.store.gate = threading.Event()
    try:
        await site.keep(message(1, "alarm"))
        assert await site.ids() == [1]
        calls = site.store.calls
        began = asyncio.get_running_loop().time()
        for _ in range(200):
            assert await site.ids() == [1]
            await site.outbox.add_batch(b"x")
            await site.outbox.delivered([])
            assert len(await site.outbox.batches(0, 100)) <= 60
        # Only the first of them waited for the store.
        assert asyncio.get_running_loop().time() - began < 5.0
        assert site.store.calls == calls
        assert site.keeper._thread._unfinished <= 4
        await site.outbox.delivered(["d-1-1"])
        assert await site.ids() == []
    finally:
        gate.set()
    deadline = asyncio.get_running_loop().time() + 10.0
    while site.keeper._thread.busy:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    await site.outbox.delivered([])
    assert await site.ids() == []
    assert site.store.waiting_count() == 0
    await site.close()


@pytest.mark.parametrize("kind", ["alarm", "trouble", "event"])
def test_every_kind_wakes_the_publisher_also_without_a_disk(tmp_path, kind):
    clock = ManualClock()

    async def go():
        site = Site(tmp_path, clock)
        site.store.full = True
        await site.keep(message(1, kind))
        assert site.outbox.changed.is_set()
        assert await site.ids() == [1]
        await site.close()

    run_virtual(go(), clock)


class UnreadableStore(FailingStore):
    """Takes everything and gives nothing back."""

    def waiting(self, *_arguments):
        raise sqlite3.DatabaseError("database disk image is malformed")


@pytest.mark.fault("F42")
def test_an_alarm_that_cannot_be_read_back_is_sent_from_memory_and_the_disk_is_said(tmp_path):
    async def go():
        clock, said = ManualClock(), {}
        keeper = Keeper(UnreadableStore(tmp_path / "u.db"), EventQueue(), clock)
        outbox = StoredOutbox(keeper, said.__setitem__)
        alarm = Message("d-1-1", 0, "alarm", "{}")
        await keeper.keep(Restored(0), alarm)
        assert await outbox.waiting(10, ()) == [alarm]
        assert "malformed" in said["outbox"]
        await outbox.delivered(["d-1-1"])
        assert await outbox.waiting(10, ()) == []
        await keeper.close(Restored(0))

    run_virtual(go(), ManualClock())
