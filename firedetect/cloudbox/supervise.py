"""Watches over the parts of the box: one that must not end ends the box, which says why."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

import structlog

from firedetect.clock import cancel_and_wait
from firedetect.cloudbox.broker import Broker
from firedetect.errors import BoxError

READY_LIMIT_S: Final = 60.0
RESTART_PAUSE_S: Final = 0.5

_log = structlog.get_logger()


class Supervision:
    """The running parts of a box; whoever closes `stack` ends them.

    `ready` is set by the part that has made the box ready.
    """

    def __init__(self, stack: contextlib.AsyncExitStack) -> None:
        self.ready = asyncio.Event()
        self._stack = stack
        self._broken = asyncio.Event()
        self._failure = ""

    def run(
        self, work: Callable[[], Coroutine[Any, Any, None]], name: str, *, ends: bool = False
    ) -> None:
        """Run a part of the box: its failure ends the box, its end as well unless it `ends`."""

        async def watched() -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - said where the box ends
                self.fail(name, error)
            else:
                if not ends:
                    self.fail(name, BoxError("nothing is left to do"))

        task = asyncio.create_task(watched(), name=f"box:{name}")
        self._stack.push_async_callback(cancel_and_wait, task)

    def fail(self, name: str, error: Exception) -> None:
        """Let the box end because of one of its parts; the first one to fail is named."""
        if not self._broken.is_set():
            words = str(error) or type(error).__name__
            self._failure = f"the box ends, its {name} has ended: {words}"
            self._broken.set()

    async def wait_ready(self) -> None:
        """Wait until the box is ready; raises BoxError with what stopped it."""
        both = [asyncio.create_task(event.wait()) for event in (self.ready, self._broken)]
        try:
            await asyncio.wait(both, timeout=READY_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                await cancel_and_wait(task)
        if self._broken.is_set():
            raise BoxError(self._failure)
        if not self.ready.is_set():
            raise BoxError(f"the box was not ready within {READY_LIMIT_S:.0f} s")

    async def wait_ended(self) -> NoReturn:
        """Wait until a part of the box ends that must not; raises BoxError that says which."""
        await self._broken.wait()
        raise BoxError(self._failure)


async def keep_running(broker: Broker) -> None:
    """Start the broker again when it ends by itself."""
    while True:
        await broker.ended()
        _log.warning("the broker has ended; it is started again")
        while True:
            await asyncio.sleep(RESTART_PAUSE_S)
            try:
                await broker.start()
                break
            except BoxError as error:
                _log.warning("the broker does not start", error=str(error))
