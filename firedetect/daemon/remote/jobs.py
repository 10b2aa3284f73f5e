"""Carries out the jobs of AWS IoT, one at a time; what was done survives a restart."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from firedetect.contract.jobs import JobDocument, job_document
from firedetect.contract.problems import Problem
from firedetect.daemon.disk import DiskThread
from firedetect.errors import (
    FiredetectError,
    JobFailedError,
    JobRefusedError,
    JobRejectedError,
    LinkDownError,
    StorageError,
)
from firedetect.storage.slots import Slots
from firedetect.uplink.jobs_client import Job, Jobs, Status
from firedetect.uplink.link import Link

LOOK_S = 3600.0
_WHAT = "jobs"
CALM_S = 0.25
"""Notices that come faster are taken together."""
RETRY_S = 10.0
LINK_TRIES = 30
"""So often a job begins again after the link broke under it; a download goes on where it was."""

_log = structlog.get_logger()

Step = Callable[[str], Awaitable[None]]
"""Notes and reports what is being done now; raises JobFailedError when the job was cancelled."""


class Handler(Protocol):
    """Carries out one job."""

    async def __call__(self, document: JobDocument, step: Step, interrupted: str) -> str:
        """Return what was done.

        `interrupted` is the step at which a restart or a lost link ended an earlier attempt.
        Raises JobRejectedError, any other FiredetectError for a failure, LinkDownError to try
        again.
        """


@dataclass(frozen=True, slots=True)
class _Known:
    """What is stored of a job: the step it is at, or how it ended."""

    job_id: str
    step: str
    status: Status = "IN_PROGRESS"
    detail: str = ""


class JobRunner:
    """Follows the jobs of this thing; `folder` is None where nothing can be stored."""

    def __init__(
        self,
        jobs: Jobs,
        link: Link,
        folder: Path | None,
        handler: Handler,
        disk: DiskThread,
    ) -> None:
        self._jobs = jobs
        self._link = link
        self._handler = handler
        self._disk = disk
        self._slots = None if folder is None else Slots(folder, "job")
        self._trigger = asyncio.Event()
        self._step = ""
        """What the job under way is at, or was at when an attempt ended."""

    async def run(self) -> None:
        """Carry out jobs for ever."""
        self._jobs.watch(self._trigger.set)
        self._link.on_change.append(self._trigger.set)
        try:
            while True:
                await self._link.connected.wait()
                self._trigger.clear()
                await self._turn()
        finally:
            self._link.on_change.remove(self._trigger.set)

    async def _turn(self) -> None:
        try:
            job = await self._jobs.next()
        except LinkDownError as error:
            self._link.unanswered(_WHAT, str(error))
            await asyncio.sleep(RETRY_S)
            return
        except JobRefusedError as error:
            self._link.refused(_WHAT, str(error))
            await asyncio.sleep(RETRY_S)
            return
        self._link.accepted(_WHAT)
        if job is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._trigger.wait()
            await asyncio.sleep(CALM_S)
            return
        await self._report(job, await self._execute(job))

    async def _execute(self, job: Job) -> _Known:
        known = await self._stored(job.job_id)
        if known is not None and known.status != "IN_PROGRESS":
            return known
        self._step = "" if known is None else known.step
        document = job_document(job.document)
        if isinstance(document, Problem):
            return await self._note(_Known(job.job_id, "", "REJECTED", str(document)))

        async def step(name: str) -> None:
            self._step = name
            await self._note(_Known(job.job_id, name))
            try:
                await self._jobs.update(job, "IN_PROGRESS", {"step": name})
            except LinkDownError as error:
                _log.debug("progress is not reported", error=str(error))
            except JobRefusedError as error:
                raise JobFailedError(f"was ended from afar: {error}") from error

        _log.info("job begins", job=job.job_id, op=document.op, interrupted=self._step)
        status, detail = await self._try(document, step)
        _log.info("job ends", job=job.job_id, status=status, detail=detail)
        return await self._note(_Known(job.job_id, "", status, detail))

    async def _try(self, document: JobDocument, step: Step) -> tuple[Status, str]:
        lost = ""
        for _ in range(LINK_TRIES):
            try:
                return "SUCCEEDED", await self._handler(document, step, self._step)
            except LinkDownError as error:
                lost = str(error)
                await asyncio.sleep(RETRY_S)
                await self._link.connected.wait()
            except JobRejectedError as error:
                return "REJECTED", str(error)
            except FiredetectError as error:
                return "FAILED", str(error)
            except Exception as error:  # noqa: BLE001 - the reason belongs into the job's status
                _log.exception("job failed")
                return "FAILED", f"{type(error).__name__}: {error}"
        return "FAILED", lost

    async def _report(self, job: Job, known: _Known) -> None:
        while True:
            try:
                await self._jobs.update(job, known.status, {"detail": known.detail})
            except LinkDownError:
                await asyncio.sleep(RETRY_S)
                await self._link.connected.wait()
            except JobRefusedError as error:
                _log.warning("the job had ended already", error=str(error))
                # It may be given to us again: not at once.
                await asyncio.sleep(RETRY_S)
                return
            else:
                return

    async def _stored(self, job_id: str) -> _Known | None:
        if self._slots is None:
            return None
        try:
            slot = await self._disk.run(self._slots.active)
        except StorageError as error:
            _log.warning("the job's state is not read", error=str(error))
            return None
        names = {field.name for field in fields(_Known)}
        if slot is None or set(slot.body) != names or slot.body["job_id"] != job_id:
            return None
        return _Known(**slot.body)

    async def _note(self, known: _Known) -> _Known:
        try:
            if self._slots is not None:
                await self._disk.run(partial(self._slots.propose, asdict(known)))
        except StorageError as error:
            _log.warning("the job's state is not stored", error=str(error))
        return known
