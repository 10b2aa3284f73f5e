"""Commits what must survive: at once, but the detector never waits longer than 0.2 s for a disk."""

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import structlog

from firedetect.clock import Clock
from firedetect.daemon.queue import EventQueue
from firedetect.readings import Restored, SystemTrouble
from firedetect.sensors.codec import encode
from firedetect.storage.store import Message, Store

COMMIT_LIMIT_S = 0.2
_TROUBLE = "disk"
_UNSAVED_MAX = 1000

_log = structlog.get_logger()


class Keeper:
    """Writes to the store in its own thread; what cannot be written stays in memory, said so."""

    def __init__(self, store: Store, queue: EventQueue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._unsaved: list[Message] = []
        self._running: asyncio.Future[None] | None = None
        self._failing = False

    @property
    def unsaved(self) -> int:
        """How many messages are in memory only."""
        return len(self._unsaved)

    async def keep(self, remembered: Restored, message: Message | None = None) -> None:
        """Commit state and message; returns after the commit, or after 0.2 s without it."""
        if message is not None:
            if len(self._unsaved) >= _UNSAVED_MAX:
                # The least important and oldest goes: never an alarm while anything else is left.
                self._unsaved.remove(max(self._unsaved, key=lambda known: known.priority))
            self._unsaved.append(message)
        if self._running is not None and not self._running.done():
            return
        batch = list(self._unsaved)
        text = json.dumps(encode(remembered))
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._thread, self._store.commit, text, batch)
        self._running.add_done_callback(lambda future: self._committed(future, batch))
        done, _ = await asyncio.wait([self._running], timeout=COMMIT_LIMIT_S)
        if not done:
            self._fail("takes longer than 0.2 s")

    async def waiting(self) -> int:
        """Return how many messages wait in the outbox, those in memory included."""
        loop = asyncio.get_running_loop()
        try:
            stored = await loop.run_in_executor(self._thread, self._store.waiting_count)
        except sqlite3.Error:
            stored = 0
        return stored + self.unsaved

    async def close(self, remembered: Restored) -> None:
        """Commit the last state and close the store."""
        if self._running is not None and not self._running.done():
            await asyncio.wait([self._running], timeout=5.0)
        await self.keep(remembered)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._store.close)
        self._thread.shutdown(wait=False)

    def _committed(self, future: "asyncio.Future[None]", batch: list[Message]) -> None:
        error = future.exception()
        if error is not None:
            self._fail(f"{type(error).__name__}: {error}")
            return
        kept = {message.event_id for message in batch}
        self._unsaved = [message for message in self._unsaved if message.event_id not in kept]
        if self._failing and not self._unsaved:
            self._failing = False
            self._queue.put(SystemTrouble(self._clock.monotonic_ns(), _TROUBLE, active=False))

    def _fail(self, why: str) -> None:
        if not self._failing:
            _log.warning("cannot store", error=why, unsaved=self.unsaved)
            self._failing = True
            now = self._clock.monotonic_ns()
            self._queue.put(SystemTrouble(now, _TROUBLE, active=True, detail=why))
