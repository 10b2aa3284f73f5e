"""Jobs are carried out once and reported once, whatever link, service and restarts do."""

import asyncio

import pytest

from firedetect.clock import ManualClock, cancel_and_wait, run_virtual
from firedetect.contract.jobs import Drill
from firedetect.daemon.remote.jobs import LINK_TRIES, JobRunner
from firedetect.errors import (
    JobFailedError,
    JobRefusedError,
    JobRejectedError,
    LinkDownError,
    TransferError,
)
from firedetect.storage.slots import Slots
from tests.fakes.cloud import MemoryJobs, MemoryLink
from tests.fakes.disk import ImmediateDisk

DRILL = {"op": "drill", "duration_s": 30}


class Site:
    """A runner with a handler that does what `act` says."""

    def __init__(self, folder, services=None):
        self.folder = folder
        self.link = MemoryLink()
        self.jobs = services or MemoryJobs()
        self.jobs.link, self.jobs.watchers = self.link, []
        self.done = []
        self.act = lambda: "done"

    async def handle(self, document, step, interrupted):
        self.done.append((document, interrupted))
        await step("working")
        result = self.act()
        return await result if asyncio.iscoroutine(result) else result

    def start(self):
        runner = JobRunner(self.jobs, self.link, self.folder, self.handle, ImmediateDisk())
        self.task = asyncio.create_task(runner.run())

    async def stop(self):
        assert not self.task.done(), self.task.exception()
        await cancel_and_wait(self.task)

    async def again(self):
        await self.stop()
        other = Site(self.folder, self.jobs)
        other.start()
        return other


def started(test):
    """Run a test with a started site on a manual clock."""

    def run(tmp_path):
        async def go():
            site = Site(tmp_path)
            site.start()
            await asyncio.sleep(1)
            await test(site)

        run_virtual(go(), ManualClock())

    run.__name__ = test.__name__
    return run


@started
async def test_jobs_are_done_in_order_and_reported_once(site):
    for number in range(3):
        site.jobs.add(f"j{number}", DRILL)
    await asyncio.sleep(5)
    assert [site.jobs.ended(f"j{n}") for n in range(3)] == [[("SUCCEEDED", "done")]] * 3
    assert site.jobs.steps("j0") == ["working"]
    assert [found for found, _ in site.done] == [Drill(duration_s=30)] * 3
    before = site.jobs.requests
    await asyncio.sleep(3000)
    assert site.jobs.requests == before
    await site.stop()


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "op"),
        ({"op": "reboot"}, "reboot"),
        ({"op": "drill", "duration_s": "30"}, "drill.duration_s"),
        ({"op": "drill", "duration_s": True}, "drill.duration_s"),
        ({"op": "drill", "duration_s": 0}, "drill.duration_s"),
        ({"op": "drill", "shell": "rm"}, "drill.shell: unknown key"),
        ({"op": "drill", "v": 2}, "drill.v"),
        ({"op": ["drill"]}, "op"),
        ({"op": "calibrate", "what": "co"}, "calibrate.what"),
        ({"op": "collect-recording", "upload_url": "file:///etc/passwd"}, "upload_url"),
        ({"op": "install-model", "url": "http://x", "version": "1"}, "install-model.sha256"),
    ],
)
def test_what_is_no_job_is_rejected_with_the_path(tmp_path, document, why):
    async def go():
        site = Site(tmp_path)
        site.start()
        site.jobs.add("j", document)
        await asyncio.sleep(2)
        ((status, detail),) = site.jobs.ended("j")
        assert status == "REJECTED"
        assert why in detail
        assert site.done == []
        await site.stop()

    run_virtual(go(), ManualClock())


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (JobRejectedError("no gas board"), "REJECTED", "no gas board"),
        (JobFailedError("did not work"), "FAILED", "did not work"),
        (TransferError("status 403"), "FAILED", "status 403"),
        (OSError(28, "No space left on device"), "FAILED", "OSError: [Errno 28]"),
        (KeyError("bug"), "FAILED", "KeyError: 'bug'"),
    ],
)
def test_how_a_handler_ends_is_the_status(tmp_path, error, status, detail):
    async def go():
        site = Site(tmp_path)

        def act():
            raise error

        site.act = act
        site.start()
        site.jobs.add("j", DRILL)
        await asyncio.sleep(2)
        ((found, said),) = site.jobs.ended("j")
        assert found == status
        assert detail in said
        assert len(site.done) == 1
        await site.stop()

    run_virtual(go(), ManualClock())


@started
async def test_the_result_is_reported_after_a_lost_link_once(site):
    site.act = lambda: asyncio.sleep(30, "done")
    site.jobs.add("j", DRILL)
    await asyncio.sleep(5)
    site.link.go(up=False)
    await asyncio.sleep(600)
    assert site.jobs.ended("j") == []
    site.link.go(up=True)
    await asyncio.sleep(30)
    assert site.jobs.ended("j") == [("SUCCEEDED", "done")]
    assert len(site.done) == 1
    await site.stop()


@started
async def test_the_result_is_reported_after_a_restart_once_and_not_done_again(site):
    site.act = lambda: asyncio.sleep(30, "done")
    site.jobs.add("j", DRILL)
    await asyncio.sleep(5)
    site.link.go(up=False)
    await asyncio.sleep(60)
    site = await site.again()
    await asyncio.sleep(30)
    assert site.jobs.ended("j") == [("SUCCEEDED", "done")]
    assert site.done == []
    site = await site.again()
    await asyncio.sleep(30)
    assert len(site.jobs.ended("j")) == 1
    await site.stop()


@started
async def test_an_update_whose_answer_was_lost_ends_well(site):
    lost = [LinkDownError("no answer")]
    site.jobs.add("j", DRILL)
    service = site.jobs.update

    async def update(job, status, details):
        await service(job, status, details)
        if status == "SUCCEEDED" and lost:
            raise lost.pop()

    site.jobs.update = update
    await asyncio.sleep(60)
    assert site.jobs.ended("j") == [("SUCCEEDED", "done")]
    site.jobs.add("k", DRILL)
    await asyncio.sleep(60)
    assert site.jobs.ended("k") == [("SUCCEEDED", "done")]
    await site.stop()


@started
async def test_a_job_is_told_where_a_restart_ended_it(site):
    site.act = lambda: asyncio.sleep(300)
    site.jobs.add("j", DRILL)
    await asyncio.sleep(5)
    site = await site.again()
    await asyncio.sleep(5)
    assert [interrupted for _, interrupted in site.done] == ["working"]
    # Another job knows nothing of it.
    site.jobs.add("k", DRILL)
    await asyncio.sleep(30)
    assert site.done[-1][1] == ""
    await site.stop()


@started
async def test_a_job_cancelled_from_afar_ends_at_its_next_step(site):
    async def handle(_document, step, _interrupted):
        for number in range(100):
            await step(f"step {number}")
            await asyncio.sleep(1)
        return "done"

    await site.stop()
    site.handle = handle
    site.start()
    site.jobs.add("j", DRILL)
    await asyncio.sleep(5)
    site.jobs.cancel("j")
    site.jobs.add("k", DRILL)
    await asyncio.sleep(30)
    assert site.jobs.status["j"] == "CANCELED"
    assert site.jobs.ended("j") == []
    assert "step 0" in site.jobs.steps("k")
    await site.stop()


@started
async def test_a_link_lost_under_a_job_begins_it_again_only_when_there_is_one(site):
    failures = []

    def act():
        if len(failures) < 3:
            failures.append(1)
            raise LinkDownError("the download did not come to its end")
        return "done"

    site.act = act
    site.jobs.add("j", DRILL)
    await asyncio.sleep(1)
    site.link.go(up=False)
    await asyncio.sleep(3600)
    assert len(site.done) == 1
    site.link.go(up=True)
    await asyncio.sleep(60)
    assert site.jobs.ended("j") == [("SUCCEEDED", "done")]
    await site.stop()


@started
async def test_a_job_is_told_where_a_lost_link_ended_it_and_the_next_one_is_not(site):
    failures = [1, 1]

    def act():
        if failures:
            failures.pop()
            raise LinkDownError("the upload did not come to its end")
        return "done"

    site.act = act
    site.jobs.add("j", DRILL)
    await asyncio.sleep(60)
    site.jobs.add("k", DRILL)
    await asyncio.sleep(60)
    assert [interrupted for _, interrupted in site.done] == ["", "working", "working", ""]
    await site.stop()


@started
async def test_a_service_that_is_busy_neither_ends_a_job_nor_loses_its_result(site):
    busy = [LinkDownError("job j: RequestThrottled"), LinkDownError("job j: InternalError")]
    site.jobs.fault = lambda what, _: busy.pop() if what == "update" and busy else None
    site.jobs.add("j", DRILL)
    await asyncio.sleep(60)
    assert busy == []
    assert site.jobs.ended("j") == [("SUCCEEDED", "done")]
    assert len(site.done) == 1
    await site.stop()


@started
async def test_a_server_that_is_never_reached_fails_the_job_in_the_end(site):
    def act():
        raise LinkDownError("the download did not come to its end: refused")

    site.act = act
    site.jobs.add("j", DRILL)
    await asyncio.sleep(3600)
    assert site.jobs.ended("j") == [("FAILED", "the download did not come to its end: refused")]
    assert len(site.done) == LINK_TRIES
    await site.stop()


@started
async def test_a_service_that_refuses_everything_is_not_flooded(site):
    site.jobs.fault = lambda what, _: (
        JobRefusedError("InvalidRequest") if what == "update" else None
    )
    site.jobs.add("j", DRILL)
    await asyncio.sleep(600)
    assert site.jobs.requests <= 200
    site.jobs.fault = lambda what, _: JobRefusedError("throttled") if what == "next" else None
    before = site.jobs.requests
    await asyncio.sleep(600)
    assert site.jobs.requests - before <= 70
    await site.stop()


@pytest.mark.fault("F58")
@started
async def test_a_flood_of_notices_costs_no_more_than_the_answers_take(site):
    for _ in range(1000):
        for hear in site.jobs.watchers:
            hear()
        await asyncio.sleep(0.001)
    assert site.jobs.requests <= 8
    await site.stop()


@pytest.mark.parametrize("kind", ["none", "file"])
def test_without_a_disk_jobs_are_done_all_the_same(tmp_path, kind):
    (tmp_path / "file").touch()

    async def go():
        site = Site(None if kind == "none" else tmp_path / "file")
        site.start()
        site.jobs.add("j", DRILL)
        await asyncio.sleep(5)
        assert site.jobs.ended("j") == [("SUCCEEDED", "done")]
        await site.stop()

    run_virtual(go(), ManualClock())


@started
async def test_a_state_of_another_program_version_is_no_state(site):
    await site.stop()
    Slots(site.folder, "job").propose({"job_id": "j", "status": "SUCCEEDED", "more": 1})
    site = Site(site.folder)
    site.start()
    site.jobs.add("j", DRILL)
    await asyncio.sleep(5)
    assert len(site.done) == 1
    await site.stop()
