"""The cloud in a box: every part of it, started and stopped in order."""

import asyncio
import contextlib
import functools
import json
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import structlog

from firedetect.clock import Clock, SystemClock
from firedetect.cloudbox.access import CLAIM, CLOUD, OPERATOR
from firedetect.cloudbox.actions import Actions
from firedetect.cloudbox.authority import Authority
from firedetect.cloudbox.aws import Aws
from firedetect.cloudbox.broker import Broker
from firedetect.cloudbox.connection import Connection, Received
from firedetect.cloudbox.credentials import CredentialsProvider
from firedetect.cloudbox.database import open_database
from firedetect.cloudbox.dataplane import DataPlane
from firedetect.cloudbox.defender import Defender
from firedetect.cloudbox.desk import Desk, publish_all
from firedetect.cloudbox.function_urls import FunctionUrls
from firedetect.cloudbox.functions import RETRY_DELAYS_S, Functions
from firedetect.cloudbox.hook import HolderOnly
from firedetect.cloudbox.jobs import Jobs
from firedetect.cloudbox.people import People, Told
from firedetect.cloudbox.provisioning import Provisioning
from firedetect.cloudbox.rules import RuleEngine, compiled
from firedetect.cloudbox.rules_sql import parse
from firedetect.cloudbox.shadows import Shadows
from firedetect.cloudbox.stack_types import RECORDED
from firedetect.cloudbox.supervise import Supervision, keep_running
from firedetect.cloudbox.tier import Tier, merged
from firedetect.cloudbox.wire import JsonObject, Service, decoded
from firedetect.errors import BoxError, FolderInUseError, StorageError
from firedetect.storage.folder import DataFolder

LOOK_S: Final = 1.0
"""How often who waits for a function looks whether the box still runs."""
DESCRIPTION: Final = "box.json"
HOOK: Final = "firedetect-provisioning-hook"
_CLIENT_ID: Final = "firedetect-cloud"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Options:
    """How a box runs: port 0 is any free one; `schedule_scale` shortens the schedules."""

    port: int = 0
    durable: bool = False
    schedule_scale: float = 1.0
    retry_delays_s: Sequence[float] = RETRY_DELAYS_S
    clock: Clock = field(default_factory=SystemClock)


class Box:
    """One box in its folder: an asynchronous context manager.

    Entered, the broker and the services of AWS IoT answer; `ready()` waits for the rest. Until
    then messages for rules wait, unacknowledged. `hear` is told what reaches people, in a thread.
    """

    def __init__(
        self, folder: Path, tier: Tier, hear: Callable[[Told], None], options: Options | None = None
    ) -> None:
        self.folder = folder.absolute()
        self._tier = tier
        self._options = options or Options()
        self._clock = self._options.clock
        self._queries = [parse(sql) for sql in tier.sql().values()]
        self._stack = contextlib.AsyncExitStack()
        self._supervision = Supervision(self._stack)
        self._functions = Functions(
            self._function_failed, self._clock, retry_delays_s=self._options.retry_delays_s
        )
        self._urls = FunctionUrls(self._functions.invoke)
        self.aws = Aws(tier, self._invoke, self._urls.address, self._options.schedule_scale)
        self._people = People(self.aws, self._clock, hear, self._people_failed)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def ready(self) -> None:
        """Wait until rules, functions and AWS work; raises BoxError with what stopped them."""
        await self._supervision.wait_ready()

    async def ended(self) -> NoReturn:
        """Wait until a part of the box ends that must not; raises BoxError that says which."""
        await self._supervision.wait_ended()

    async def create_job(self, thing: str, document: JsonObject, job_id: str = "") -> str:
        """Queue a job for a thing and return its name."""
        name = job_id or f"{document.get('op', 'job')}-{uuid.uuid4().hex[:8]}"
        await publish_all(self.connection, self.jobs.create([thing], name, document))
        return name

    def description(self) -> dict[str, Any]:
        """Return what `box.json` tells clients."""

        def files(name: str) -> dict[str, str]:
            found = self.authority.kept(name)
            return {"certificate": str(found.certificate), "key": str(found.key)}

        return {
            "endpoint": self.broker.host,
            "port": self.broker.port,
            "ca": str(self.authority.ca),
            "claim": files(CLAIM),
            "operator": files(OPERATOR),
            "aws_endpoint": self.aws.endpoint,
            "aws_ready": self.engine.ready.is_set(),
            "iot_data_endpoint": self.data_plane.endpoint,
            "credentials_endpoint": self._credentials.endpoint,
            "bucket": self._tier.bucket,
            "bucket_url": f"{self.aws.endpoint}/{self._tier.bucket}",
            "stacks": dict(self.aws.deployed.stacks) if self.aws.deployed else {},
            "recorded_only": list(RECORDED),
            "region": self._tier.region,
            "pid": os.getpid(),
        }

    async def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stack.push_async_callback(asyncio.to_thread, self.aws.stop)
        self._lock()
        self.authority = Authority(self.folder / "ca", self._clock)
        for name in (CLAIM, OPERATOR, CLOUD):
            self.authority.kept(name)
        self.broker = Broker(
            self.folder / "broker",
            self.authority,
            port=self._options.port,
            durable=self._options.durable,
        )
        database = open_database(self.folder / "box.db")
        self._stack.callback(database.close)
        self.shadows = Shadows(database, self._clock)
        self.jobs = Jobs(database, self._clock)
        self._holders = HolderOnly(database, self.authority, self._asked_of_hook)
        self._provisioning = Provisioning(
            database,
            self.authority,
            self._clock,
            self.broker.grant,
            template=self._tier.provisioning(),
            hook=self._holders,
        )
        self._credentials = CredentialsProvider(
            self._provisioning.thing_of, self.aws.client, self._supervision.ready.is_set
        )
        await self._credentials.start(self.authority.server_certificate())
        self._stack.push_async_callback(self._credentials.stop)
        await self.broker.grant(self._provisioning.grants())
        await self.broker.start()
        self._stack.push_async_callback(self.broker.stop)
        services: list[Service] = [self.shadows, self.jobs, self._provisioning]
        self._desk = Desk([*services, Defender(self._clock)])
        await self._connect()
        self._supervision.run(functools.partial(keep_running, self.broker), "watch over the broker")
        self._supervision.run(self._start_aws, "start of AWS", ends=True)
        self._describe()

    async def _connect(self) -> None:
        credentials = self.authority.kept(CLOUD)
        self.connection = Connection(
            _CLIENT_ID, self.broker.host, self.broker.port, credentials, self._hear
        )
        self._actions = Actions(self.aws, self._functions, self.connection.publish, self._clock)
        self._stack.callback(self._actions.close)
        self.engine = RuleEngine(self._queries, self._actions, self._clock)
        await self.connection.start()
        self._stack.push_async_callback(self.connection.stop)
        self._stack.push_async_callback(self.engine.stop)
        await self.connection.subscribe([*self._desk.filters, *self.engine.filters])
        self._supervision.run(functools.partial(self._desk.run, self.connection), "desk")
        self.data_plane = DataPlane(
            self.shadows,
            self.jobs,
            self.connection.publish,
            self._provisioning.release,
            self._holders.taken,
        )
        await self.data_plane.start()
        self._stack.push_async_callback(self.data_plane.stop)
        await self._urls.start()
        self._stack.push_async_callback(self._urls.stop)

    async def _start_aws(self) -> None:
        """Deploy the templates, then let what they made go."""
        self._set_environment()
        await asyncio.to_thread(self.aws.start)
        deployed = self.aws.deployed
        if deployed is None:
            # Stopped meanwhile.
            return
        os.environ.update(merged(deployed.functions))
        self._functions.know(deployed.functions)
        self._people.start()
        self._stack.push_async_callback(asyncio.to_thread, self._people.stop)
        for name, schedule in deployed.schedules.items():
            scale = self._options.schedule_scale
            tick = functools.partial(self._functions.tick, name, schedule, scale)
            self._supervision.run(tick, f"schedule {name}")
        self.engine.run(compiled(deployed.rules))
        self._describe()
        self._supervision.ready.set()

    def _hear(self, received: Received) -> None:
        if not (self._desk.hear(received) or self.engine.hear(received)):
            received.acknowledge()

    async def _function_failed(self, queue: str, record: JsonObject) -> None:
        try:
            await self._actions.failed(queue, record)
        except BoxError as error:
            _log.error("failure queue", queue=queue, error=str(error))

    async def _asked_of_hook(self, question: JsonObject) -> JsonObject | None:
        """Ask the hook's function; before functions run, what its asker proved is enough."""
        if not self._supervision.ready.is_set():
            return {"allowProvisioning": True}
        return await self._functions.invoke(HOOK, question)

    def _invoke(self, name: str, payload: bytes) -> bytes:
        """Run a function for moto, in one of its threads."""
        running = asyncio.run_coroutine_threadsafe(
            self._functions.invoke(name, decoded(payload)), self._loop
        )
        while True:
            try:
                return json.dumps(running.result(LOOK_S)).encode()
            except TimeoutError:
                if not self._loop.is_running():
                    raise BoxError("the box has ended") from None

    def _people_failed(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._supervision.fail, "ear for people", error)

    def _lock(self) -> None:
        try:
            self._stack.callback(DataFolder(self.folder).close)
        except FolderInUseError as error:
            raise BoxError(f"{self.folder}: another box runs there; take another folder") from error
        except StorageError as error:
            raise BoxError(str(error)) from error

    def _set_environment(self) -> None:
        """Give functions their environment; the one before comes back at the end.

        Nothing of the person's own AWS stays in it: the box never reaches a real account.
        """
        before = dict(os.environ)

        def back() -> None:
            for name in set(os.environ) - set(before):
                del os.environ[name]
            os.environ.update(before)

        self._stack.callback(back)
        for name in before:
            if name.startswith("AWS_"):
                del os.environ[name]
        os.environ.update(self.aws.environment(self.data_plane.endpoint))

    def _describe(self) -> None:
        """Write `box.json`, whole or not at all; it goes away with us."""
        path = self.folder / DESCRIPTION
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.description(), indent=1) + "\n")
        new.replace(path)
        self._stack.callback(path.unlink, missing_ok=True)
