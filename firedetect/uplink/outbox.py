"""What the publisher sends: messages by priority, telemetry behind them."""

import asyncio
from collections.abc import Collection
from typing import Protocol

from firedetect.storage.store import Batch, Message


class Outbox(Protocol):
    """Keeps everything until it has arrived; no method raises because of a disk."""

    changed: asyncio.Event
    """Set when there is something new to send."""

    async def waiting(self, limit: int, skip: Collection[str]) -> list[Message]:
        """Return the next messages but those in `skip`: by priority, then the oldest."""

    async def delivered(self, event_ids: Collection[str]) -> None:
        """Forget messages that have arrived."""

    async def batches(self, after: int, limit: int) -> list[Batch]:
        """Return telemetry batches behind number `after`, the oldest first."""

    async def sent_until(self) -> int:
        """Return the number up to which telemetry was sent before this start."""

    def note_sent(self, number: int) -> None:
        """Note that every batch up to `number` has been sent; stored with the next one."""
