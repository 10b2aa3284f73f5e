"""AWS IoT's HTTP interfaces as far as we use them: publish, shadows, jobs, release of a name.

The paths and errors are those that boto3's clients `iot-data`, `iot` and `iot-jobs-data` use.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import JsonValue

from firedetect.cloudbox.broker import HOST
from firedetect.cloudbox.job import JobRefusedError
from firedetect.cloudbox.jobs import Jobs
from firedetect.cloudbox.mosquitto import PAYLOAD_LIMIT
from firedetect.cloudbox.shadows import Shadows
from firedetect.cloudbox.wire import JsonObject, NotJsonError, Reply, decoded, encoded
from firedetect.errors import BoxError

_ERRORS: Final[Mapping[int, str]] = {
    400: "InvalidRequestException",
    404: "ResourceNotFoundException",
    409: "ConflictException",
    413: "RequestEntityTooLargeException",
    415: "UnsupportedDocumentEncodingException",
}
_JOB_ERRORS: Final[Mapping[str, int]] = {
    "InvalidRequest": 400,
    "InvalidJson": 400,
    "ResourceNotFound": 404,
    "ResourceAlreadyExists": 409,
    "InvalidStateTransition": 409,
    "TerminalStateReached": 410,
}
_TARGET: Final = re.compile(r"arn:[^/]*:thing/([^/]+)")
_JOB_NAMES: Final[Mapping[str, str]] = {
    "InvalidJson": "InvalidRequest",
    "TerminalStateReached": "TerminalState",
}
"""What MQTT calls otherwise than HTTP."""
_DEVICE_SERVICE: Final = "/iot-jobs-data/"
"""Part of the signature of a request to the device's side of jobs, whose paths are the same."""
Publish = Callable[[str, bytes], Awaitable[object]]
Release = Callable[[str], Awaitable[None]]
Taken = Callable[[str], bool]


class DataPlane:
    """The server; `publish` sends to the broker, `release` frees the name of a thing.

    `taken` tells whether a thing of a name exists.
    """

    def __init__(
        self, shadows: Shadows, jobs: Jobs, publish: Publish, release: Release, taken: Taken
    ) -> None:
        self._shadows = shadows
        self._jobs = jobs
        self._publish = publish
        self._release = release
        self._taken = taken
        self._runner: web.AppRunner | None = None
        self.endpoint = ""

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application(client_max_size=PAYLOAD_LIMIT + 1)
        app.add_routes(
            [
                web.post("/topics/{topic:.+}", self._post_topic),
                web.get("/things/{thing}", self._describe_thing),
                web.delete("/things/{thing}", self._delete_thing),
                web.get("/things/{thing}/shadow", self._shadow("get")),
                web.post("/things/{thing}/shadow", self._shadow("update")),
                web.delete("/things/{thing}/shadow", self._shadow("delete")),
                web.put("/jobs/{job}", self._create_job),
                web.get("/things/{thing}/jobs/{job}", self._describe_job),
                web.put("/things/{thing}/jobs/{job}/cancel", self._cancel_job),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.endpoint = f"http://{HOST}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _post_topic(self, request: web.Request) -> web.Response:
        try:
            await self._publish(request.match_info["topic"], await request.read())
        except BoxError as error:
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        return _answer({"message": "OK", "traceId": str(uuid.uuid4())})

    def _shadow(self, verb: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answered(request: web.Request) -> web.Response:
            thing, name = request.match_info["thing"], request.query.get("name", "")
            said, *others = self._shadows.carry_out(thing, name, verb, await request.read())
            code = said.body.get("code")
            if isinstance(code, int):
                return _error(code, str(said.body["message"]))
            await self._publish_all(others)
            return _answer(said.body)

        return answered

    async def _describe_thing(self, request: web.Request) -> web.Response:
        thing = request.match_info["thing"]
        if not self._taken(thing):
            return _error(HTTPStatus.NOT_FOUND, f"Thing {thing} not found.")
        return _answer({"thingName": thing, "thingTypeName": "firedetect-detector"})

    async def _delete_thing(self, request: web.Request) -> web.Response:
        # As DeleteThing of AWS: no error for a thing that there is not.
        try:
            await self._release(request.match_info["thing"])
        except BoxError as error:
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        return _answer({})

    async def _create_job(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        try:
            asked = decoded(await request.read())
            document = decoded(str(asked.get("document", "")).encode())
            targets = asked.get("targets")
            things = [_thing_of(one) for one in (targets if isinstance(targets, list) else [])]
            replies = self._jobs.create(things, job, document)
        except (UnicodeDecodeError, NotJsonError) as error:
            return _error(400, f"is no JSON object: {error}")
        except JobRefusedError as error:
            return _job_error(error)
        await self._publish_all(replies)
        return _answer({"jobId": job, "jobArn": f"arn:aws:iot:local:job/{job}"})

    async def _describe_job(self, request: web.Request) -> web.Response:
        thing, job = request.match_info["thing"], request.match_info["job"]
        try:
            if _DEVICE_SERVICE in request.headers.get("Authorization", ""):
                return _answer(self._jobs.describe_to_device(thing, job, {}))
            execution = self._jobs.describe(thing, job)
        except JobRefusedError as error:
            return _job_error(error)
        # The operator's side has other shapes than the device's.
        del execution["jobDocument"], execution["thingName"]
        execution["statusDetails"] = {"detailsMap": execution["statusDetails"]}
        return _answer({"execution": execution})

    async def _cancel_job(self, request: web.Request) -> web.Response:
        place = request.match_info
        force = request.query.get("force", "false") == "true"
        try:
            replies = self._jobs.end(place["thing"], place["job"], force=force)
        except JobRefusedError as error:
            return _job_error(error)
        await self._publish_all(replies)
        return _answer({})

    async def _publish_all(self, replies: list[Reply]) -> None:
        for reply in replies:
            await self._publish(reply.topic, reply.payload)


def _thing_of(target: JsonValue) -> str:
    """Return the thing that a target's address names; raises JobRefusedError for a group."""
    found = _TARGET.fullmatch(target) if isinstance(target, str) else None
    if found is None:
        words = f"targets: {target!r} is no address of a thing; the box has no groups"
        raise JobRefusedError("InvalidRequest", words)
    return found.group(1)


def _job_error(refused: JobRefusedError) -> web.Response:
    name = _JOB_NAMES.get(refused.code, refused.code)
    return _error(_JOB_ERRORS[refused.code], str(refused), f"{name}Exception")


def _answer(body: JsonObject) -> web.Response:
    return web.Response(body=encoded(body), content_type="application/json")


def _error(status: int, message: str, kind: str = "") -> web.Response:
    kind = kind or _ERRORS.get(status, "InternalFailureException")
    return web.Response(
        status=status,
        body=encoded({"message": message}),
        content_type="application/json",
        headers={"x-amzn-ErrorType": kind},
    )
