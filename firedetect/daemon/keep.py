"""Commits what must survive: an alarm at once, but detection never waits longer than 0.2 s."""

import asyncio
import json
from collections.abc import Callable, Collection
from typing import TypeVar

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.daemon.queue import EventQueue
from firedetect.readings import Restored, SystemTrouble
from firedetect.sensors.bus import DaemonExecutor
from firedetect.sensors.codec import encode
from firedetect.storage.store import Message, Store

COMMIT_LIMIT_S = 0.2
RETRY_S = 1.0
CALM_S = 60.0
"""So long without a failure the disk counts as well: a disk on its way out fails now and then."""
COUNT_LIMIT_S = 1.0
CLOSE_LIMIT_S = 5.0
_TROUBLE = "disk"
_SLOW = "takes longer than 0.2 s"
_UNSAVED_MAX = 1000

_log = structlog.get_logger()
_T = TypeVar("_T")


class Keeper:
    """Writes to the store in its own thread; what cannot be written stays in memory, said so.

    At most one commit runs at a time and holds all that is unsaved when it starts.
    """

    def __init__(self, store: Store, queue: EventQueue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._thread = DaemonExecutor("store")
        self._remembered: Restored | None = None
        self._unsaved: list[Message] = []
        self._running: asyncio.Future[int] | None = None
        self._counting: asyncio.Future[int] | None = None
        self._stored = 0
        self._timer: asyncio.TimerHandle | None = None
        self._retry_ns = 0
        self._failed_ns = 0
        self._failing = False
        self._closing = False
        self.on_message: Callable[[Message], None] = lambda _message: None
        """Called with every new message to send."""

    @property
    def unsaved(self) -> int:
        """How many messages are in memory only."""
        return len(self._unsaved)

    async def keep(self, remembered: Restored, message: Message | None = None) -> None:
        """Store state and message; return after the commit, or after 0.2 s without it.

        A message about a trouble is stored soon and not waited for: a slow disk is one itself.
        """
        self._remembered = remembered
        if message is not None:
            self._add(message)
        if message is not None and message.kind != "trouble":
            await self._commit_now(message)
        elif self._running is None and self._clock.monotonic_ns() >= self._retry_ns:
            self._start(remembered)
        if message is not None:
            # Also when it is in memory only: a broken disk must not keep an alarm from people.
            self.on_message(message)

    def in_memory(self) -> list[Message]:
        """Return the messages that are not stored yet."""
        return list(self._unsaved)

    def forget(self, event_ids: Collection[str]) -> None:
        """Drop messages that have arrived before they were stored."""
        self._unsaved = [known for known in self._unsaved if known.event_id not in event_ids]

    async def ask(self, call: Callable[[Store], _T]) -> _T:
        """Run `call` on the store in its thread.

        Raises TimeoutError if the store does not answer within 1 s, and what `call` raises.
        """
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._thread, call, self._store)
        # Not cancelled at the limit: what the thread has begun it also ends.
        done, _ = await asyncio.wait([asked], timeout=COUNT_LIMIT_S)
        if not done:
            asked.add_done_callback(_end_quietly)
            raise TimeoutError("the store does not answer")
        return asked.result()

    async def waiting(self) -> int:
        """Return how many messages wait in the outbox, those in memory included.

        A store that does not answer within 1 s counts as at its last answer.
        """
        if self._counting is None:
            loop = asyncio.get_running_loop()
            self._counting = loop.run_in_executor(self._thread, self._store.waiting_count)
            self._counting.add_done_callback(self._counted)
        await asyncio.wait([self._counting], timeout=COUNT_LIMIT_S)
        return self._stored + self.unsaved

    async def close(self, remembered: Restored) -> None:
        """Commit the last state and close the store; gives up after 5 s."""
        self._closing = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLOSE_LIMIT_S
        await self._ended(deadline)
        if self._running is None:
            self._start(remembered)
            await self._ended(deadline)
        closing = loop.run_in_executor(self._thread, self._store.close)
        done, _ = await asyncio.wait([closing], timeout=max(0.0, deadline - loop.time()))
        error = closing.exception() if done else TimeoutError("the disk hangs")
        if self._unsaved or error is not None:
            _log.error("the store did not end well", unsaved=self.unsaved, error=str(error or ""))
        self._set_timer(None)
        for unfinished in (self._running, self._counting, closing):
            if unfinished is not None:
                unfinished.cancel()
        self._thread.shutdown(wait=False)

    def _add(self, message: Message) -> None:
        self._unsaved.append(message)
        if len(self._unsaved) > _UNSAVED_MAX:
            # The least important and oldest goes: never an alarm while anything else is left.
            self._unsaved.remove(max(self._unsaved, key=lambda known: known.priority))

    async def _commit_now(self, message: Message) -> None:
        deadline = asyncio.get_running_loop().time() + COMMIT_LIMIT_S
        await self._ended(deadline)
        # The end of the commit before may have started one with this message already.
        if self._running is None and message in self._unsaved and self._remembered is not None:
            self._start(self._remembered)
        await self._ended(deadline)
        if self._running is not None and message in self._unsaved:
            self._fail(_SLOW)

    async def _ended(self, deadline: float) -> None:
        """Wait for the running commit, at most until the loop's time `deadline`."""
        if self._running is not None:
            left_s = max(0.0, deadline - asyncio.get_running_loop().time())
            await asyncio.wait([self._running], timeout=left_s)

    def _start(self, remembered: Restored) -> None:
        batch = list(self._unsaved)
        text = json.dumps(encode(remembered))
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._thread, self._write, text, batch)
        self._running.add_done_callback(lambda future: self._committed(future, batch))
        self._set_timer(COMMIT_LIMIT_S, self._late)

    def _write(self, text: str, batch: list[Message]) -> int:
        """Commit in the store's thread; returns the nanoseconds of the commit alone."""
        began_ns = self._clock.monotonic_ns()
        self._store.commit(text, batch)
        return self._clock.monotonic_ns() - began_ns

    def _committed(self, future: "asyncio.Future[int]", batch: list[Message]) -> None:
        self._running = None
        self._set_timer(None)
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._fail(f"{type(error).__name__}: {error}")
            self._retry_ns = self._failed_ns + round(RETRY_S * NS_PER_S)
            self._again(RETRY_S)
            return
        self._retry_ns = 0
        kept = {message.event_id for message in batch}
        self._unsaved = [message for message in self._unsaved if message.event_id not in kept]
        if future.result() >= COMMIT_LIMIT_S * NS_PER_S:
            self._fail(_SLOW)
        calm_s = (self._clock.monotonic_ns() - self._failed_ns) / NS_PER_S
        if self._failing and calm_s >= CALM_S:
            self._failing = False
            self._queue.put(SystemTrouble(self._clock.monotonic_ns(), _TROUBLE, active=False))
        if self._unsaved:
            self._again(0.0)
        elif self._failing:
            # Nothing else may be written for long: the end of the trouble needs a commit.
            self._again(max(RETRY_S, CALM_S - calm_s))

    def _again(self, delay_s: float) -> None:
        """Commit once more after `delay_s`, at once for 0."""
        if self._closing:
            return
        if delay_s > 0:
            self._set_timer(delay_s, self._retry)
        else:
            self._retry()

    def _retry(self) -> None:
        if self._running is None and self._remembered is not None:
            self._start(self._remembered)

    def _late(self) -> None:
        if self._running is not None and not self._running.done():
            self._fail(_SLOW)

    def _set_timer(self, delay_s: float | None, call: Callable[[], None] | None = None) -> None:
        """Replace the one timer: of a running commit its limit, else the next attempt."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay_s is not None and call is not None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, call)

    def _counted(self, future: "asyncio.Future[int]") -> None:
        self._counting = None
        if not future.cancelled() and future.exception() is None:
            self._stored = future.result()

    def _fail(self, why: str) -> None:
        self._failed_ns = self._clock.monotonic_ns()
        if not self._failing:
            _log.warning("cannot store", error=why, unsaved=self.unsaved)
            self._failing = True
            self._queue.put(SystemTrouble(self._failed_ns, _TROUBLE, active=True, detail=why))


def _end_quietly(late: "asyncio.Future[_T]") -> None:
    """Take the result of a call that nobody waits for any more."""
    if not late.cancelled():
        late.exception()
