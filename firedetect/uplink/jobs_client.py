"""The jobs of one thing, over the SDK's jobs client."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from awsiot import iotjobs

from firedetect.errors import JobRefusedError
from firedetect.uplink.requests import answered, client_options, stream_options
from firedetect.uplink.sdk import SdkClient

Status = Literal["IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"]
_DETAIL_MAX = 1000
"""AWS takes 1 to 1024 characters in a value of the details, none of them a control character."""


@dataclass(frozen=True, slots=True)
class Job:
    """One execution that this device is to carry out."""

    job_id: str
    document: dict[str, Any]


class Jobs(Protocol):
    """Gives the next job and takes its status."""

    async def next(self) -> Job | None:
        """Return the job in progress, else begin the oldest queued one; None if there is none.

        Raises LinkDownError or JobRefusedError.
        """

    async def update(self, job: Job, status: Status, details: dict[str, str]) -> None:
        """Report a status; raises LinkDownError or JobRefusedError."""

    def watch(self, hear: Callable[[], None]) -> None:
        """Call `hear` whenever there may be another next job."""


class ThingJobs:
    """The jobs of one thing over a connection."""

    def __init__(self, client: SdkClient, thing: str) -> None:
        self._thing = thing
        self._service = iotjobs.IotJobsClientV2(client, client_options())
        self._streams: list[Any] = []

    async def next(self) -> Job | None:
        """Return the next job; see Jobs."""
        request = iotjobs.StartNextPendingJobExecutionRequest(thing_name=self._thing)
        answer = await answered(
            self._service.start_next_pending_job_execution(request), "jobs", JobRefusedError
        )
        execution = answer.execution
        if execution is None or not execution.job_id:
            return None
        document = execution.job_document
        return Job(execution.job_id, document if isinstance(document, dict) else {})

    async def update(self, job: Job, status: Status, details: dict[str, str]) -> None:
        """Report a status; see Jobs."""
        request = iotjobs.UpdateJobExecutionRequest(
            thing_name=self._thing,
            job_id=job.job_id,
            status=status,
            status_details={name: printable(text) for name, text in details.items()},
        )
        await answered(
            self._service.update_job_execution(request), f"job {job.job_id}", JobRefusedError
        )

    def watch(self, hear: Callable[[], None]) -> None:
        """Call `hear` on every change of the next job, and when changes may have been missed."""
        request = iotjobs.NextJobExecutionChangedSubscriptionRequest(thing_name=self._thing)
        stream = self._service.create_next_job_execution_changed_stream(
            request, stream_options(hear)
        )
        stream.open()
        self._streams.append(stream)


def printable(text: str) -> str:
    """Return a detail as AWS takes it."""
    return "".join(c if c.isprintable() else " " for c in text)[:_DETAIL_MAX] or "-"
