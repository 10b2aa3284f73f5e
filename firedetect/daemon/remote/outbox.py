"""The outbox over the store: what cannot be stored is sent from memory."""

import asyncio
import sqlite3
import threading
import zlib
from collections.abc import Callable, Collection
from typing import TypeVar

import structlog

from firedetect.daemon.keep import Keeper
from firedetect.storage.store import Batch, Message, Store
from firedetect.uplink.link import Report

_MEMORY_BATCHES = 60
"""Telemetry that no disk takes: an hour of it is kept."""
_ALARMS_MAX = 1000
_ALARM = "alarm"
_TROUBLE = "outbox"
_IN_MEMORY_FROM = 1 << 62
"""Numbers of batches in memory lie above all stored ones."""

_log = structlog.get_logger()
_T = TypeVar("_T")


class StoredOutbox:
    """Implements the publisher's outbox; a disk that fails or hangs loses no message."""

    def __init__(self, keeper: Keeper, report: Report) -> None:
        self.changed = asyncio.Event()
        self._report = report
        self._alarms: dict[str, Message] = {}
        self._keeper = keeper
        self._sent = 0
        self._memory: list[Batch] = []
        self._memory_next = _IN_MEMORY_FROM
        self._arrived: set[str] = set()
        self._hanging: threading.Event | None = None
        keeper.on_message = self._offered

    def _offered(self, message: Message) -> None:
        if message.kind == _ALARM and len(self._alarms) < _ALARMS_MAX:
            self._alarms[message.event_id] = message
        self.changed.set()

    async def waiting(self, limit: int, skip: Collection[str]) -> list[Message]:
        """Return the next messages but those in `skip`: by priority, then the oldest."""
        done = frozenset(skip) | self._arrived
        # Alarms of this run stay in memory until they have arrived, whatever the disk reads back.
        held = {m.event_id: m for m in (*self._alarms.values(), *self._keeper.in_memory())}
        unsaved = [message for event_id, message in held.items() if event_id not in done]
        try:
            stored = await self._ask(lambda store: store.waiting(limit, done))
        except (sqlite3.Error, TimeoutError) as error:
            self._report(_TROUBLE, f"cannot be read: {error}")
            stored = []
        else:
            self._report(_TROUBLE, None)
        known = {message.event_id for message in stored}
        both = stored + [message for message in unsaved if message.event_id not in known]
        return sorted(both, key=lambda message: message.priority)[:limit]

    async def delivered(self, event_ids: Collection[str]) -> None:
        """Forget messages that have arrived; until the disk has done so they are remembered."""
        self._arrived |= set(event_ids)
        self._keeper.forget(event_ids)
        for event_id in event_ids:
            self._alarms.pop(event_id, None)
        arrived = frozenset(self._arrived)
        try:
            await self._ask(lambda store: store.delivered(arrived))
        except (sqlite3.Error, TimeoutError) as error:
            _log.debug("delivered messages cannot be deleted yet", error=str(error))
        else:
            # A message that was being stored meanwhile is deleted with the next ones.
            self._arrived -= arrived - {m.event_id for m in self._keeper.in_memory()}

    async def add_batch(self, payload: bytes) -> None:
        """Store a telemetry batch, in memory if the disk does not take it."""
        sent = self._sent
        try:
            await self._ask(lambda store: store.add_batch(payload, sent))
        except (sqlite3.Error, TimeoutError) as error:
            _log.debug("telemetry is kept in memory", error=str(error))
            self._memory.append(Batch(self._memory_next, payload))
            self._memory_next += 1
            del self._memory[:-_MEMORY_BATCHES]
        self.changed.set()

    async def batches(self, after: int, limit: int) -> list[Batch]:
        """Return telemetry batches behind number `after`, the oldest first."""
        try:
            # Numbers of batches in memory say nothing of the stored ones.
            since = self._sent if after >= _IN_MEMORY_FROM else after
            stored = await self._ask(lambda store: store.batches(since, limit))
        except (sqlite3.Error, zlib.error, TimeoutError) as error:
            _log.debug("stored telemetry cannot be read", error=str(error))
            stored = []
        return (stored + [batch for batch in self._memory if batch.number > after])[:limit]

    async def sent_until(self) -> int:
        """Return the number up to which telemetry was sent before this start."""
        try:
            self._sent = await self._ask(Store.telemetry_sent)
        except (sqlite3.Error, ValueError, TimeoutError) as error:
            _log.debug("what was sent is unknown", error=str(error))
        return self._sent

    def note_sent(self, number: int) -> None:
        """Note that every batch up to `number` has been sent; stored with the next one."""
        if number < _IN_MEMORY_FROM:
            self._sent = number
        else:
            self._memory = [batch for batch in self._memory if batch.number > number]

    async def _ask(self, call: Callable[[Store], _T]) -> _T:
        """Ask the store, but not while it owes an answer: what waits for it must not pile up.

        Raises TimeoutError, and what `call` raises.
        """
        if self._hanging is not None and not self._hanging.is_set():
            raise TimeoutError("the store still does not answer")
        ended = threading.Event()

        def run(store: Store) -> _T:
            try:
                return call(store)
            finally:
                ended.set()

        try:
            return await self._keeper.ask(run)
        except TimeoutError:
            self._hanging = ended
            raise
