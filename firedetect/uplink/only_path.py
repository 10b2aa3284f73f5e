"""The way to people of a detector without a cloud: every message to one address by HTTP POST."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.storage.store import Message
from firedetect.uplink.outbox import Outbox

OLD: Final = timedelta(days=1)
"""What waited for so long when the detector was started is no news, unless it is an alarm."""
ALARM: Final = "alarm"
RETRY_FIRST_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
LOOK_S: Final = 5.0
_AT_ONCE: Final = 16

_log = structlog.get_logger()


class _Tried(NamedTuple):
    tries: int
    due_s: float


class OnlyPath:
    """Empties the outbox, alarms first; `take` tells whether a message was taken, never raises."""

    def __init__(
        self, outbox: Outbox, take: Callable[[Message], Awaitable[bool]], clock: Clock
    ) -> None:
        self._outbox = outbox
        self._take = take
        self._clock = clock
        self._tried: dict[str, _Tried] = {}
        self._begun = False

    async def run(self) -> None:
        """Hand over what waits, for ever."""
        if not self._begun:
            self._begun = True
            await self._leave_old()
        while True:
            self._outbox.changed.clear()
            await self._hand_over()
            await self._wait(LOOK_S)

    async def _hand_over(self) -> None:
        """Hand over until nothing waits but what was refused a moment ago."""
        while messages := await self._outbox.waiting(_AT_ONCE, self._resting()):
            # Asked for again after each: an alarm that has come meanwhile goes first.
            event_id = messages[0].event_id
            if await self._take(messages[0]):
                self._tried.pop(event_id, None)
                await self._outbox.delivered({event_id})
            else:
                # It rests, the others do not: one that is refused for ever must hold up no alarm.
                tries = self._tried[event_id].tries + 1 if event_id in self._tried else 0
                pause_s = min(RETRY_FIRST_S * 2.0**tries, RETRY_MAX_S)
                self._tried[event_id] = _Tried(tries, _now_s() + pause_s)

    def _resting(self) -> set[str]:
        now_s = _now_s()
        return {event_id for event_id, tried in self._tried.items() if tried.due_s > now_s}

    async def _leave_old(self) -> None:
        now = datetime.fromtimestamp(self._clock.wall_ns() / NS_PER_S, UTC)
        left, kept = 0, set[str]()
        while messages := await self._outbox.waiting(_AT_ONCE, kept):
            # An alarm may still be sounding, and the clock may be wrong: it is never left out.
            old = {m.event_id for m in messages if m.kind != ALARM and _age(m, now) > OLD}
            kept |= {message.event_id for message in messages} - old
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


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _age(message: Message, now: datetime) -> timedelta:
    """Return how old a message says it is; what it does not say is new."""
    try:
        return now - datetime.fromisoformat(json.loads(message.payload)["ts"])
    except (ValueError, KeyError, TypeError):
        return timedelta()
