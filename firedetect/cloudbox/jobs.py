"""The jobs service over MQTT, kept in the box's database: requests, answers, notices."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from firedetect.clock import NS_PER_S, Clock
from firedetect.cloudbox.access import reserved
from firedetect.cloudbox.authority import valid_name
from firedetect.cloudbox.job import (
    DOCUMENT_LIMIT,
    JOB_NAME,
    PENDING,
    TERMINAL,
    TOKEN_LIMIT,
    Execution,
    JobRefusedError,
    details,
    flag,
    in_order,
    started,
    updated,
    whole_number,
)
from firedetect.cloudbox.wire import JsonObject, NotJsonError, Reply, decoded, encoded

_NEXT: Final = "$next"


class Jobs:
    """Every execution of every thing."""

    filters: Sequence[str] = tuple(
        f"$aws/things/+/jobs/{request}" for request in ("get", "start-next", "+/get", "+/update")
    )

    def __init__(self, database: sqlite3.Connection, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def answer(self, topic: str, payload: bytes) -> list[Reply]:
        """Carry out the request of a topic and return what is published about it."""
        token: JsonObject = {}
        try:
            request = _request(payload)
            token = {"clientToken": request["clientToken"]} if "clientToken" in request else {}
            body, notices = self._carried_out(topic, request)
        except JobRefusedError as refused:
            body = {"code": refused.code, "message": str(refused), "timestamp": self._now()}
            if refused.execution is not None:
                body["executionState"] = refused.execution.state()
            return [Reply(f"{topic}/rejected", body | token)]
        body["timestamp"] = self._now()
        return [Reply(f"{topic}/accepted", body | token), *notices]

    def create(self, things: Sequence[str], job_id: str, document: JsonObject) -> list[Reply]:
        """Queue a job for things, for all or none; raises JobRefusedError."""
        if JOB_NAME.fullmatch(job_id) is None:
            words = f"{job_id!r}: a job's name has 1 to 64 letters, digits, '_' or '-'"
            raise JobRefusedError("InvalidRequest", words)
        wrong = [thing for thing in things if not valid_name(thing) or reserved(thing)]
        if not things or wrong:
            raise JobRefusedError("InvalidRequest", f"targets: names of things are needed: {wrong}")
        if len(encoded(document)) > DOCUMENT_LIMIT:
            words = f"the document has more than {DOCUMENT_LIMIT} bytes"
            raise JobRefusedError("InvalidRequest", words)
        # A job has its name alone, whatever its targets.
        found = self._database.execute("SELECT 1 FROM job WHERE job_id = ?", (job_id,)).fetchone()
        if found is not None:
            raise JobRefusedError("ResourceAlreadyExists", f"there is a job {job_id} already")
        # Twice the same target is one.
        unique = dict.fromkeys(things)
        return [reply for thing in unique for reply in self._queued(thing, job_id, document)]

    def _queued(self, thing: str, job_id: str, document: JsonObject) -> list[Reply]:
        before = self.pending(thing)
        number = self._database.execute("SELECT coalesce(max(number), 0) + 1 FROM job").fetchone()
        now = self._now()
        new = Execution(thing, job_id, number[0], document, "QUEUED", {}, 1, now, None, now)
        self._store(new)
        return self._notices(thing, before)

    def end(
        self, thing: str, job_id: str, status: str = "CANCELED", *, force: bool = False
    ) -> list[Reply]:
        """Cancel or time out an execution; one in progress only with `force`, as on AWS.

        Raises JobRefusedError.
        """
        execution = self._wanted(thing, job_id, {})
        if execution.status in TERMINAL or (execution.status == "IN_PROGRESS" and not force):
            words = f"job {job_id} at {thing} is {execution.status}"
            raise JobRefusedError("InvalidStateTransition", words)
        before = self.pending(thing)
        now = self._now()
        version = execution.version + 1
        self._store(replace(execution, status=status, version=version, updated_at=now))
        return self._notices(thing, before)

    def describe(self, thing: str, job_id: str) -> JsonObject:
        """Return an execution in whatever state; raises JobRefusedError if there is none."""
        return self._wanted(thing, job_id, {}).whole()

    def describe_to_device(self, thing: str, job_id: str, request: JsonObject) -> JsonObject:
        """Return what a device gets to know, over MQTT and HTTP; raises JobRefusedError."""
        return self._described(thing, job_id, self.pending(thing), request)

    def pending(self, thing: str) -> list[Execution]:
        """Return what waits for a thing, the next first."""
        rows = self._database.execute("SELECT * FROM job WHERE thing = ?", (thing,))
        return in_order([_execution(row) for row in rows])

    def _carried_out(self, topic: str, request: JsonObject) -> tuple[JsonObject, list[Reply]]:
        _, _, thing, _, *asked = topic.split("/")
        before = self.pending(thing)
        match asked:
            case ["get"]:
                return _lists(before), []
            case ["start-next"]:
                body = self._started(before, request)
            case [job_id, "get"]:
                return self._described(thing, job_id, before, request), []
            case [job_id, "update"]:
                body = self._updated(thing, job_id, request)
            case _:
                raise JobRefusedError("InvalidTopic", f"{topic} is no request")
        return body, self._notices(thing, before)

    def _started(self, before: list[Execution], request: JsonObject) -> JsonObject:
        if not before:
            details(request)
            return {}
        execution = started(before[0], request, self._now())
        self._store(execution)
        return {"execution": execution.whole()}

    def _described(
        self, thing: str, job_id: str, before: list[Execution], request: JsonObject
    ) -> JsonObject:
        with_document = flag(request, "includeJobDocument", default=True)
        if job_id == _NEXT:
            return {"execution": before[0].whole(with_document=with_document)} if before else {}
        execution = self._wanted(thing, job_id, request)
        if execution.status in TERMINAL:
            words = f"job {job_id} at {thing} is {execution.status}"
            raise JobRefusedError("TerminalStateReached", words)
        return {"execution": execution.whole(with_document=with_document)}

    def _updated(self, thing: str, job_id: str, request: JsonObject) -> JsonObject:
        with_state = flag(request, "includeJobExecutionState", default=False)
        with_document = flag(request, "includeJobDocument", default=False)
        if job_id == _NEXT:
            # Published for `get` only.
            raise JobRefusedError("InvalidRequest", "an update needs the name of its job")
        execution = updated(self._wanted(thing, job_id, request), request, self._now())
        self._store(execution)
        body: JsonObject = {"executionState": execution.state()} if with_state else {}
        return body | {"jobDocument": execution.document} if with_document else body

    def _wanted(self, thing: str, job_id: str, request: JsonObject) -> Execution:
        execution = self._find(thing, job_id)
        number = whole_number(request, "executionNumber")
        if execution is None or number not in {None, 1}:
            raise JobRefusedError("ResourceNotFound", f"{thing} has no such execution of {job_id}")
        return execution

    def _notices(self, thing: str, before: list[Execution]) -> list[Reply]:
        """Return the notices that a change of the pending list causes."""
        after = self.pending(thing)
        base = f"$aws/things/{thing}/jobs"
        notices = []
        if {one.job_id for one in before} != {one.job_id for one in after}:
            jobs: JsonObject = {}
            for status in PENDING:
                if any(one.status == status for one in after):
                    jobs[status] = [one.summary() for one in after if one.status == status]
            notices.append(Reply(f"{base}/notify", {"jobs": jobs, "timestamp": self._now()}))
        if [one.job_id for one in before[:1]] != [one.job_id for one in after[:1]]:
            body: JsonObject = {"timestamp": self._now()}
            if after:
                body["execution"] = after[0].whole()
            notices.append(Reply(f"{base}/notify-next", body))
        return notices

    def _now(self) -> int:
        return self._clock.wall_ns() // NS_PER_S

    def _find(self, thing: str, job_id: str) -> Execution | None:
        row = self._database.execute(
            "SELECT * FROM job WHERE thing = ? AND job_id = ?", (thing, job_id)
        ).fetchone()
        return None if row is None else _execution(row)

    def _store(self, one: Execution) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                one.thing,
                one.job_id,
                one.number,
                encoded(one.document),
                one.status,
                encoded(one.details),
                one.version,
                one.queued_at,
                one.started_at,
                one.updated_at,
            ),
        )


def _execution(row: tuple[str, str, int, str, str, str, int, int, int | None, int]) -> Execution:
    thing, job_id, number, document, status, details, version, queued, begun, changed = row
    return Execution(
        thing,
        job_id,
        number,
        json.loads(document),
        status,
        json.loads(details),
        version,
        queued,
        begun,
        changed,
    )


def _lists(pending: list[Execution]) -> JsonObject:
    return {
        "inProgressJobs": [one.summary() for one in pending if one.status == "IN_PROGRESS"],
        "queuedJobs": [one.summary() for one in pending if one.status == "QUEUED"],
    }


def _request(payload: bytes) -> JsonObject:
    try:
        request = decoded(payload)
    except (UnicodeDecodeError, NotJsonError) as error:
        raise JobRefusedError("InvalidJson", f"the request is no JSON object: {error}") from error
    token = request.get("clientToken", "")
    if not isinstance(token, str) or len(token) > TOKEN_LIMIT:
        words = f"clientToken must be a string of at most {TOKEN_LIMIT} characters"
        raise JobRefusedError("InvalidRequest", words)
    return request
