"""The disk's own thread: a disk that hangs holds up nobody and piles up nothing."""

import asyncio
import threading

import pytest

from firedetect.config import Settings
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.remote.config import RemoteConfig
from firedetect.errors import StorageError
from firedetect.uplink.shadow_client import ShadowDocument
from tests.fakes.box import until


class Hang:
    """A call that does not return before it is let."""

    def __init__(self):
        self.free = threading.Event()
        self.calls = 0

    def __call__(self):
        self.calls += 1
        self.free.wait(30.0)
        return "done"


async def test_a_call_that_hangs_is_given_up_and_the_loop_goes_on():
    disk, hang = DiskThread(), Hang()
    with pytest.raises(StorageError, match="does not answer"):
        await disk.run(hang, 0.05)
    hang.free.set()
    assert await disk.run(lambda: 7) == 7
    disk.close()


async def test_calls_keep_their_order_and_failures_are_told():
    disk, done, failed = DiskThread(), [], []
    for number in range(10):
        disk.later(lambda number=number: done.append(number), failed.append)
    disk.later(lambda: 1 / 0, failed.append)
    await until(lambda: failed, "the failure")
    assert done == list(range(10))
    assert failed == ["division by zero"]
    with pytest.raises(ZeroDivisionError):
        await disk.run(lambda: 1 / 0)
    disk.close()


async def test_a_disk_that_hangs_collects_a_bounded_number_of_calls():
    disk, hang, failed = DiskThread(), Hang(), []
    for _ in range(100):
        disk.later(hang, failed.append)
    assert len(failed) == 100 - 32
    with pytest.raises(StorageError):
        await disk.run(hang, 0.01)
    hang.free.set()
    await until(lambda: hang.calls == 32, "the rest")
    disk.close()


class Agrees:
    """A trial that finds nothing wrong."""

    async def verdicts(self, _candidate, _present):
        yield None, ""


async def test_settings_that_cannot_be_stored_are_refused_and_undone_behind(tmp_path):
    disk, hang = DiskThread(), Hang()
    disk.later(hang, lambda _why: None)
    applied = []
    config = RemoteConfig(
        Settings(),
        tmp_path,
        Agrees(),
        lambda *_: None,
        applied.append,
        ShortDisk(disk),
        asyncio.Lock(),
    )
    await config.consider(ShadowDocument(2, {"hold_s": 30.0}, {}, 1_800_000_000))
    assert "does not answer" in config.reported()["refused"]["reason"]
    assert applied == []
    hang.free.set()
    await until(lambda: not disk._pending, "the disk")
    again = RemoteConfig(
        Settings(), tmp_path, Agrees(), lambda *_: None, applied.append, disk, asyncio.Lock()
    )
    again.restore()
    assert again.settings.hold_s == 60.0
    disk.close()


class ShortDisk:
    """Waits a moment instead of ten seconds."""

    def __init__(self, disk):
        self._disk = disk

    async def run(self, call, _limit_s=0.0):
        return await self._disk.run(call, 0.05)

    def later(self, call, failed):
        self._disk.later(call, failed)


async def test_a_cancelled_wait_leaves_the_call_to_its_end():
    disk, hang = DiskThread(), Hang()
    waiting = asyncio.create_task(disk.run(hang))
    await until(lambda: hang.calls, "the call")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hang.free.set()
    assert await disk.run(lambda: 1) == 1
    disk.close()
