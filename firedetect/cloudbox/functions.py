"""Runs handlers by their handler string, as AWS Lambda does: time limit, retries, failure queue."""

import asyncio
import contextlib
import importlib
import json
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.cloudbox.parts import FunctionPart, SchedulePart
from firedetect.cloudbox.wire import JsonObject, json_object
from firedetect.errors import BoxError

RETRY_DELAYS_S: Final = (1.0, 2.0)
"""AWS waits one and two minutes; a person at a demonstration does not."""
THREAD_END_LIMIT_S: Final = 60.0
"""So long a run waits for the thread of one before it that was given up."""

_log = structlog.get_logger()

Handler = Callable[[object, object], Any]
Failed = Callable[[str, JsonObject], Awaitable[None]]
"""Told the failure queue and the record of an invocation that failed for good."""


class FunctionFailedError(BoxError):
    """A function raised, or took longer than it may."""


class FunctionOutOfOrderError(FunctionFailedError):
    """A run that was given up goes on: no other one may begin beside it."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler gets beside the event, with AWS Lambda's names."""

    function_name: str
    memory_limit_in_mb: int
    invoked_function_arn: str
    aws_request_id: str
    deadline_ns: int
    clock: Clock
    function_version: str = "$LATEST"
    log_group_name: str = "box"
    log_stream_name: str = "box"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is given up."""
        return max(0, (self.deadline_ns - self.clock.monotonic_ns()) // 1_000_000)


class Functions:
    """The functions of a tier, in threads of this process.

    A handler that hangs is given up after its time limit. AWS ends its environment with it; a
    thread cannot be ended, so the next run waits for it, and if it does not end either, the
    function is out of order: its events go to the failure queue until it has.
    """

    def __init__(
        self,
        failed: Failed,
        clock: Clock,
        *,
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
        thread_end_limit_s: float = THREAD_END_LIMIT_S,
    ) -> None:
        self._functions: Mapping[str, FunctionPart] = {}
        self._failed = failed
        self._clock = clock
        self._retry_delays_s = retry_delays_s
        self._thread_end_limit_s = thread_end_limit_s
        self._given_up: dict[str, asyncio.Future[JsonObject | None]] = {}
        self._out_of_order: set[str] = set()
        self._environments: dict[str, asyncio.Lock] = {}
        self._cold = asyncio.Lock()
        self._handlers: dict[str, Handler] = {}

    def know(self, functions: Mapping[str, FunctionPart]) -> None:
        """Run these from now on."""
        self._functions = functions
        # One environment per function, which has one event at a time.
        self._environments = {name: asyncio.Lock() for name in functions}

    async def invoke(self, name: str, event: JsonObject) -> JsonObject | None:
        """Run a function once and return its answer; raises FunctionFailedError."""
        if name not in self._functions:
            raise FunctionFailedError(f"there is no function {name}")
        part = self._functions[name]
        async with self._environments[name]:
            await self._free(name)
            if name in self._handlers:
                return await self._run(name, part, event)
            # Clients are made in the first run, and boto3 cannot make two at the same time.
            async with self._cold:
                return await self._run(name, part, event)

    async def invoke_event(self, name: str, event: JsonObject) -> bool:
        """Run a function as an asynchronous event: two retries, then its failure queue.

        Returns whether it succeeded.
        """
        request_id = str(uuid.uuid4())
        for attempts, delay_s in enumerate((*self._retry_delays_s, None), start=1):
            try:
                await self.invoke(name, event)
            except FunctionFailedError as error:
                _log.warning("function failed", function=name, attempt=attempts, error=str(error))
                if delay_s is None or isinstance(error, FunctionOutOfOrderError):
                    record = _record(name, request_id, attempts, event, error)
                    await self._failed(self._functions[name].failure_queue, record)
                    return False
                await asyncio.sleep(delay_s)
            else:
                return True
        return False

    async def tick(self, name: str, schedule: SchedulePart, scale: float) -> None:
        """Run a function by its schedule until cancelled; `scale` shortens the period."""
        period_s = schedule.period_s * scale
        while True:
            event: JsonObject = {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "resources": [f"arn:aws:events:local:rule/{name}"],
                "detail": {},
            }
            await self.invoke_event(schedule.function, event)
            await asyncio.sleep(period_s)

    async def _free(self, name: str) -> None:
        """Wait for the thread of a run that was given up; raises FunctionOutOfOrderError."""
        before = self._given_up.get(name)
        if before is None:
            return
        if name not in self._out_of_order:
            await asyncio.wait({before}, timeout=self._thread_end_limit_s)
        if not before.done():
            words = f"{name}: a run that timed out does not end; no other one begins beside it"
            if name not in self._out_of_order:
                self._out_of_order.add(name)
                _log.error("function out of order", function=name, error=words)
            raise FunctionOutOfOrderError(words)
        del self._given_up[name]
        self._out_of_order.discard(name)

    async def _run(self, name: str, part: FunctionPart, event: JsonObject) -> JsonObject | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[JsonObject | None] = loop.create_future()
        # What a run comes to that was given up, nobody asks.
        answer.add_done_callback(asyncio.Future.exception)
        context = Context(
            name,
            part.memory_mb,
            f"arn:aws:lambda:local:function:{name}",
            str(uuid.uuid4()),
            self._clock.monotonic_ns() + round(part.timeout_s * NS_PER_S),
            self._clock,
        )

        def work() -> None:
            try:
                if name not in self._handlers:
                    self._handlers[name] = _loaded(part.handler)
                result, error = _called(self._handlers[name], event, context), None
            except BaseException as raised:  # noqa: BLE001 - whatever a handler raises is its failure
                result, error = None, raised
            # The box may have ended since: then nobody waits for the answer.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, answer, result, error)

        threading.Thread(target=work, name=f"function:{name}", daemon=True).start()
        try:
            async with asyncio.timeout(part.timeout_s):
                return await asyncio.shield(answer)
        except TimeoutError:
            self._given_up[name] = answer
            # The next run has a new environment.
            self._handlers.pop(name, None)
            words = f"Task timed out after {part.timeout_s:.2f} seconds"
            raise FunctionFailedError(f"{name}: {words}") from None


def _loaded(handler: str) -> Handler:
    """Import a handler as a new environment does: nothing of an earlier one is in its module."""
    module, _, name = handler.rpartition(".")
    sys.modules.pop(module, None)
    call: Handler = getattr(importlib.import_module(module), name)
    return call


def _called(handler: Handler, event: JsonObject, context: Context) -> JsonObject | None:
    """Call a handler with its own copy of the event."""
    result = handler(json.loads(json.dumps(event)), context)
    # What is no JSON cannot leave a function on AWS either.
    return None if result is None else json_object(json.loads(json.dumps(result)))


def _settle(
    answer: asyncio.Future[JsonObject | None],
    result: JsonObject | None,
    error: BaseException | None,
) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        failure = FunctionFailedError(f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        answer.set_exception(failure)


def _record(
    name: str, request_id: str, attempts: int, event: JsonObject, error: FunctionFailedError
) -> JsonObject:
    """Return what AWS sends to an on-failure destination."""
    cause = error.__cause__
    return {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"arn:aws:lambda:local:function:{name}",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": attempts,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {
            "errorType": type(cause or error).__name__,
            "errorMessage": str(cause or error),
        },
    }
