"""One job at one thing as AWS IoT documents it: states, versions, refusals. Pure.

Source: AWS IoT Core developer guide, pages jobs-mqtt-api, jobs-mqtt-https-api and jobs-api, and
for lengths and patterns the service models `iot` and `iot-jobs-data` that botocore carries. Not
here: step time-outs, roll-outs, more than one execution of a job on a thing. Not published, our
choice: status details that are given replace the former ones.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from firedetect.cloudbox.wire import JsonObject
from firedetect.errors import BoxError

PENDING: Final = ("IN_PROGRESS", "QUEUED")
TERMINAL: Final = ("SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELED", "REMOVED")
_BY_DEVICE: Final = ("IN_PROGRESS", "FAILED", "SUCCEEDED", "REJECTED")
_DETAILS_MAX: Final = 10
_DETAIL_LIMIT: Final = 1024
_DETAIL_NAME: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
TOKEN_LIMIT: Final = 64
DOCUMENT_LIMIT: Final = 32_768
JOB_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Execution:
    """One job at one thing; times in seconds since 1970."""

    thing: str
    job_id: str
    number: int
    document: JsonObject
    status: str
    details: JsonObject
    version: int
    queued_at: int
    started_at: int | None
    updated_at: int

    def summary(self) -> JsonObject:
        """Return what lists and notices say."""
        return {"jobId": self.job_id, **self._common()}

    def whole(self, *, with_document: bool = True) -> JsonObject:
        """Return everything, the document if asked."""
        said: JsonObject = {"jobId": self.job_id, "thingName": self.thing, **self.state()}
        if with_document:
            said["jobDocument"] = self.document
        return said | self._common()

    def state(self) -> JsonObject:
        """Return what an update or an error tells about where the execution is."""
        return {
            "status": self.status,
            "statusDetails": self.details,
            "versionNumber": self.version,
        }

    def _common(self) -> JsonObject:
        said: JsonObject = {
            "queuedAt": self.queued_at,
            "lastUpdatedAt": self.updated_at,
            "versionNumber": self.version,
            "executionNumber": 1,
        }
        return said if self.started_at is None else said | {"startedAt": self.started_at}


class JobRefusedError(BoxError):
    """A request cannot be carried out; `code` is AWS's, `execution` is told where AWS tells it."""

    def __init__(self, code: str, message: str, execution: Execution | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.execution = execution


def in_order(executions: Sequence[Execution]) -> list[Execution]:
    """Return the pending ones: in progress before queued, then the older first."""
    pending = [execution for execution in executions if execution.status in PENDING]
    return sorted(pending, key=lambda one: (PENDING.index(one.status), one.number))


def started(execution: Execution, request: JsonObject, now_s: int) -> Execution:
    """Return the execution as `start-next` leaves it; one in progress stays as it is."""
    said = details(request)
    if execution.status != "QUEUED":
        return execution
    return replace(
        execution,
        status="IN_PROGRESS",
        details=execution.details if said is None else said,
        version=execution.version + 1,
        started_at=now_s,
        updated_at=now_s,
    )


def updated(execution: Execution, request: JsonObject, now_s: int) -> Execution:
    """Return the execution after a device's update; raises JobRefusedError."""
    status = request.get("status")
    if status not in _BY_DEVICE or not isinstance(status, str):
        raise JobRefusedError("InvalidRequest", f"status must be one of {', '.join(_BY_DEVICE)}")
    said = details(request)
    expected = whole_number(request, "expectedVersion")
    if expected is not None and expected != execution.version:
        words = f"expected version {expected}, the execution has {execution.version}"
        raise JobRefusedError("VersionMismatch", words, execution)
    if execution.status in TERMINAL:
        words = f"an execution that is {execution.status} does not become {status}"
        raise JobRefusedError("InvalidStateTransition", words, execution)
    return replace(
        execution,
        status=status,
        details=execution.details if said is None else said,
        version=execution.version + 1,
        started_at=execution.started_at or now_s,
        updated_at=now_s,
    )


def details(request: JsonObject) -> JsonObject | None:
    """Return the status details that a request gives, None if it gives none."""
    said = request.get("statusDetails")
    if said is None:
        return None
    if not isinstance(said, dict) or len(said) > _DETAILS_MAX:
        words = f"statusDetails must be an object of at most {_DETAILS_MAX} pairs"
        raise JobRefusedError("InvalidRequest", words)
    for name, value in said.items():
        if not isinstance(value, str) or not 1 <= len(value) <= _DETAIL_LIMIT:
            words = f"statusDetails.{name} must be a string of 1 to {_DETAIL_LIMIT} characters"
            raise JobRefusedError("InvalidRequest", words)
        if any(unicodedata.category(letter).startswith("C") for letter in value):
            words = f"statusDetails.{name} has characters that cannot be shown"
            raise JobRefusedError("InvalidRequest", words)
        if _DETAIL_NAME.fullmatch(name) is None:
            raise JobRefusedError("InvalidRequest", f"statusDetails: {name!r} is no name")
    return said


def whole_number(request: JsonObject, name: str) -> int | None:
    """Return a number that a request may have."""
    value = request.get(name)
    if isinstance(value, str) and value.isdecimal():
        # The guide shows the number of a version as a string.
        return int(value)
    if value is not None and type(value) is not int:
        raise JobRefusedError("InvalidRequest", f"{name} must be a whole number")
    return value


def flag(request: JsonObject, name: str, *, default: bool) -> bool:
    """Return a switch that a request may have."""
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise JobRefusedError("InvalidRequest", f"{name} must be true or false")
    return value
