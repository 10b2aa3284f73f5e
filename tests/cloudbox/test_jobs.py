"""The jobs service against AWS's published words; each case names its page, or says it is ours.

Pages of docs.aws.amazon.com/iot/latest/developerguide, read in awsdocs/aws-iot-docs; lengths,
patterns and errors over HTTP are those of the service models `iot` and `iot-jobs-data` in botocore.
"""

import json

import pytest

from firedetect.clock import ManualClock
from firedetect.cloudbox.database import open_database
from firedetect.cloudbox.jobs import Jobs
from firedetect.errors import BoxError

API = "jobs-mqtt-api"
ERR = "jobs-api (ErrorResponse)"
DATA = "jobs-mqtt-https-api"
MODEL = "botocore's model of iot-jobs-data"
OURS = "not published, our choice"
T0 = 1_767_225_600
START, PENDING, NEXT = ("start-next", {}), ("get", {}), ("$next/get", {})


def to(status, job="j1", **more):
    return (f"{job}/update", {"status": status} | more)


class Case:
    """Jobs j1, j2 ... are queued, requests follow; `check` looks at the last answer."""

    def __init__(self, page, rule, jobs, requests, check):
        self.page, self.rule, self.jobs = page, rule, jobs
        self.requests, self.check = requests, check


def code(wanted, with_state=None):
    def check(topic, body):
        assert topic.endswith("/rejected"), (topic, body)
        assert body["code"] == wanted
        if with_state is not None:
            assert body["executionState"]["status"] == with_state
        else:
            assert "executionState" not in body

    return check


def execution(job, status, version, **more):
    def check(topic, body):
        assert topic.endswith("/accepted"), (topic, body)
        found = body["execution"]
        assert (found["jobId"], found["status"], found["versionNumber"]) == (job, status, version)
        for name, value in more.items():
            assert found[name] == value

    return check


def lists(in_progress, queued):
    def check(_topic, body):
        assert [job["jobId"] for job in body["inProgressJobs"]] == in_progress
        assert [job["jobId"] for job in body["queuedJobs"]] == queued

    return check


def exactly(**wanted):
    def check(topic, body):
        assert topic.endswith("/accepted"), (topic, body)
        assert body == wanted | {"timestamp": T0}

    return check


CASES = [
    Case(API, "lists what is not in a terminal state, in progress and queued apart", 3,
         [START, PENDING], lists(["j1"], ["j2", "j3"])),
    Case(API, "a finished job is not pending", 2, [START, to("SUCCEEDED"), PENDING],
         lists([], ["j2"])),
    Case(API, "no job: two empty lists", 0, [PENDING], lists([], [])),
    Case(API, "start-next: the oldest queued one becomes IN_PROGRESS with the details given", 2,
         [("start-next", {"statusDetails": {"step": "one"}})],
         execution("j1", "IN_PROGRESS", 2, statusDetails={"step": "one"})),
    Case(API, "start-next: one in progress is returned first, its details are not changed", 2,
         [("start-next", {"statusDetails": {"step": "one"}}),
          ("start-next", {"statusDetails": {"step": "two"}})],
         execution("j1", "IN_PROGRESS", 2, statusDetails={"step": "one"})),
    Case(API, "start-next: nothing pending, no execution field", 0, [START], exactly()),
    Case(API, "describe gives the document by default", 1, [("j1/get", {})],
         execution("j1", "QUEUED", 1, jobDocument={"op": "drill", "number": 1},
                   thingName="thing-1", executionNumber=1, queuedAt=T0)),
    Case(API, "describe without the document when includeJobDocument is false", 1,
         [("j1/get", {"includeJobDocument": False})],
         lambda _topic, body: "jobDocument" not in body["execution"] or pytest.fail(body)),
    Case(API, "$next is the next pending one, in progress first", 2,
         [to("IN_PROGRESS", "j2"), NEXT], execution("j2", "IN_PROGRESS", 2)),
    Case(API, "$next without pending jobs: no execution", 0, [NEXT], exactly()),
    Case(API, "an update answers with neither state nor document by default", 1,
         [to("IN_PROGRESS")], exactly()),
    Case(API, "includeJobExecutionState", 1, [to("IN_PROGRESS", includeJobExecutionState=True)],
         exactly(executionState={"status": "IN_PROGRESS", "statusDetails": {},
                                 "versionNumber": 2})),
    Case(API, "includeJobDocument", 1, [to("IN_PROGRESS", includeJobDocument=True)],
         exactly(jobDocument={"op": "drill", "number": 1})),
    Case(API, "each update increments the version; details stay if not given", 1,
         [to("IN_PROGRESS", statusDetails={"a": "1"}), to("IN_PROGRESS"), ("j1/get", {})],
         execution("j1", "IN_PROGRESS", 3, statusDetails={"a": "1"})),
    Case(OURS, "details given replace the former ones", 1,
         [to("IN_PROGRESS", statusDetails={"a": "1"}),
          to("IN_PROGRESS", statusDetails={"b": "2"}), ("j1/get", {})],
         execution("j1", "IN_PROGRESS", 3, statusDetails={"b": "2"})),
    Case(API, "expectedVersion that matches", 1, [to("IN_PROGRESS", expectedVersion=1)],
         exactly()),
    Case(ERR, "VersionMismatch, with the state", 1, [to("IN_PROGRESS", expectedVersion=7)],
         code("VersionMismatch", "QUEUED")),
    Case(ERR, "InvalidStateTransition: SUCCEEDED does not become IN_PROGRESS, with the state", 1,
         [to("SUCCEEDED"), to("IN_PROGRESS")], code("InvalidStateTransition", "SUCCEEDED")),
    Case(ERR, "InvalidStateTransition: FAILED stays FAILED", 1, [to("FAILED"), to("SUCCEEDED")],
         code("InvalidStateTransition", "FAILED")),
    Case(ERR, "ResourceNotFound", 1, [to("SUCCEEDED", "j9")], code("ResourceNotFound")),
    Case(ERR, "ResourceNotFound: an execution number that does not exist", 1,
         [to("SUCCEEDED", executionNumber=2)], code("ResourceNotFound")),
    Case(ERR, "InvalidJson", 1, [("j1/update", b"{")], code("InvalidJson")),
    Case(ERR, "InvalidRequest: details that are no strings", 1,
         [to("IN_PROGRESS", statusDetails={"percent": 10})], code("InvalidRequest")),
    Case(ERR, "InvalidRequest: a status that only the cloud may give", 1, [to("CANCELED")],
         code("InvalidRequest")),
    Case(API, "InvalidRequest: status must be specified on every update", 1, [("j1/update", {})],
         code("InvalidRequest")),
    Case(ERR, "TerminalStateReached: describing a job that is over", 1,
         [to("REJECTED"), ("j1/get", {})], code("TerminalStateReached")),
    Case(ERR, "InvalidTopic", 1, [("j1/do", {})], code("InvalidTopic")),
    Case(DATA, "a detail is a string of at most 1024 characters", 1,
         [to("IN_PROGRESS", statusDetails={"a": "x" * 1025})], code("InvalidRequest")),
    Case(MODEL, "a detail has no control characters: DetailsValue [^\\p{C}]+", 1,
         [to("IN_PROGRESS", statusDetails={"a": "one\ntwo"})], code("InvalidRequest")),
    Case(MODEL, "a detail has no characters that cannot be shown, such as U+200B", 1,
         [to("IN_PROGRESS", statusDetails={"a": "one\u200btwo"})], code("InvalidRequest")),
    Case(MODEL, "a detail may have any letters and spaces", 1,
         [to("IN_PROGRESS", statusDetails={"a": "größer als 5 \u00b0C"})], exactly()),
    Case(OURS, "$next is published for get only: no update of it", 1,
         [to("IN_PROGRESS", "$next")], code("InvalidRequest")),
    Case(OURS, "a client token has at most 64 characters, as ClientRequestToken", 1,
         [to("IN_PROGRESS", clientToken="x" * 65)], code("InvalidRequest")),
]  # fmt: skip


@pytest.fixture
def jobs():
    database = open_database(None)
    yield Jobs(database, ManualClock())
    database.close()


def queue(jobs, count):
    for number in range(1, count + 1):
        jobs.create(["thing-1"], f"j{number}", {"op": "drill", "number": number})


async def ask(jobs, place, request):
    payload = request if isinstance(request, bytes) else json.dumps(request).encode()
    return await jobs.answer(f"$aws/things/thing-1/jobs/{place}", payload)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.page}: {case.rule}")
async def test_as_published(jobs, case):
    queue(jobs, case.jobs)
    replies = []
    for place, request in case.requests:
        replies = await ask(jobs, place, request)
    case.check(replies[0].topic, replies[0].body)


def test_there_are_enough_published_cases():
    assert sum(case.page != OURS for case in CASES) >= 15


async def test_the_client_token_comes_back_in_both_answers(jobs):
    queue(jobs, 1)
    for request in ({"status": "IN_PROGRESS"}, {"status": "WRONG"}):
        replies = await ask(jobs, "j1/update", request | {"clientToken": "t"})
        assert replies[0].body["clientToken"] == "t"


def notices(replies):
    return {reply.topic.rsplit("/", 1)[1]: reply.body for reply in replies}


def test_creation_gives_notice_of_the_list_and_of_a_new_next_one(jobs):
    first = notices(jobs.create(["thing-1"], "j1", {}))
    assert [job["jobId"] for job in first["notify"]["jobs"]["QUEUED"]] == ["j1"]
    assert first["notify-next"]["execution"]["jobId"] == "j1"
    second = notices(jobs.create(["thing-1"], "j2", {}))
    assert set(second) == {"notify"}


async def test_the_end_of_a_job_gives_notice_of_the_next_one(jobs):
    queue(jobs, 2)
    await ask(jobs, *START)
    said = notices((await ask(jobs, *to("SUCCEEDED")))[1:])
    assert said["notify-next"]["execution"]["jobId"] == "j2"
    last = notices((await ask(jobs, *to("FAILED", "j2")))[1:])
    assert last["notify"]["jobs"] == {}
    assert "execution" not in last["notify-next"]


async def test_only_a_change_of_the_next_one_is_told_not_its_progress(jobs):
    queue(jobs, 2)
    replies = await ask(jobs, *to("IN_PROGRESS"))
    assert len(replies) == 1
    replies = await ask(jobs, *to("IN_PROGRESS", statusDetails={"a": "b"}))
    assert len(replies) == 1


async def test_an_in_progress_job_overtakes_the_queued_next_one_with_notice(jobs):
    queue(jobs, 2)
    said = notices((await ask(jobs, *to("IN_PROGRESS", "j2")))[1:])
    assert said["notify-next"]["execution"]["jobId"] == "j2"


async def test_cancel_takes_a_queued_job_and_one_in_progress_only_with_force(jobs):
    queue(jobs, 2)
    assert "notify-next" in notices(jobs.end("thing-1", "j1"))
    await ask(jobs, *to("IN_PROGRESS", "j2"))
    with pytest.raises(BoxError, match="IN_PROGRESS"):
        jobs.end("thing-1", "j2")
    jobs.end("thing-1", "j2", "TIMED_OUT", force=True)
    assert jobs.describe("thing-1", "j2")["status"] == "TIMED_OUT"


def test_a_name_is_taken_once(jobs):
    queue(jobs, 1)
    with pytest.raises(BoxError, match="already"):
        jobs.create(["thing-1"], "j1", {})
    with pytest.raises(BoxError, match="already"):
        jobs.create(["thing-2"], "j1", {})
    with pytest.raises(BoxError, match="name"):
        jobs.create(["thing-1"], "a/b", {})
    with pytest.raises(BoxError, match="names of things"):
        jobs.create(["thing-2", "cloud"], "j2", {})
    assert jobs.pending("thing-2") == []
    assert len(jobs.create(["thing-2", "thing-2"], "j2", {})) == 2
    jobs.create(["thing-1", "thing-2"], "j3", {})
    assert [one.job_id for one in jobs.pending("thing-2")] == ["j2", "j3"]


def test_a_document_has_at_most_32768_bytes(jobs):
    room = 32_768 - len('{"a":""}')
    jobs.create(["thing-1"], "j1", {"a": "x" * room})
    with pytest.raises(BoxError, match="32768 bytes"):
        jobs.create(["thing-1"], "j2", {"a": "x" * (room + 1)})


async def test_jobs_survive_a_restart(tmp_path):
    for place in (START, NEXT):
        database = open_database(tmp_path / "box.db")
        jobs = Jobs(database, ManualClock())
        if place is START:
            queue(jobs, 1)
        reply = (await ask(jobs, *place))[0]
        assert reply.body["execution"]["status"] == "IN_PROGRESS"
        database.close()
