"""The way to people of a detector without a cloud: every message to one address by HTTP POST."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.storage.store import Message
from firedetect.uplink.outbox import Outbox

OLD: Final = timedelta(days=1)
"""What waited for so long when the detector was started is no news: it would only wake people."""
RETRY_FIRST_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
LOOK_S: Final = 5.0
_AT_ONCE: Final = 16

_log = structlog.get_logger()


class OnlyPath:
    """Empties the outbox, alarms first; `take` tells whether a message was taken, never raises."""

    def __init__(
        self, outbox: Outbox, take: Callable[[Message], Awaitable[bool]], clock: Clock
    ) -> None:
        self._outbox = outbox
        self._take = take
        self._clock = clock

    async def run(self) -> None:
        """Hand over what waits, for ever."""
        await self._leave_old()
        pause_s = RETRY_FIRST_S
        while True:
            self._outbox.changed.clear()
            if await self._hand_over():
                pause_s = RETRY_FIRST_S
                await self._wait(LOOK_S)
            else:
                # Not woken by what is new: it could not be handed over either.
                await asyncio.sleep(pause_s)
                pause_s = min(2.0 * pause_s, RETRY_MAX_S)

    async def _hand_over(self) -> bool:
        """Hand over until nothing waits or one is not taken; return whether nothing waits."""
        while messages := await self._outbox.waiting(_AT_ONCE, ()):
            # Asked for again after each: an alarm that has come meanwhile goes first.
            if not await self._take(messages[0]):
                return False
            await self._outbox.delivered({messages[0].event_id})
        return True

    async def _leave_old(self) -> None:
        now = datetime.fromtimestamp(self._clock.wall_ns() / NS_PER_S, UTC)
        left = 0
        while messages := await self._outbox.waiting(_AT_ONCE, ()):
            old = {message.event_id for message in messages if _age(message, now) > OLD}
            if not old:
                break
            await self._outbox.delivered(old)
            left += len(old)
        if left:
            _log.warning("messages of before are left out", older_than=str(OLD), count=left)

    async def _wait(self, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self._outbox.changed.wait()
        except TimeoutError:
            pass


def _age(message: Message, now: datetime) -> timedelta:
    """Return how old a message says it is; what it does not say is new."""
    try:
        return now - datetime.fromisoformat(json.loads(message.payload)["ts"])
    except (ValueError, KeyError, TypeError):
        return timedelta()
