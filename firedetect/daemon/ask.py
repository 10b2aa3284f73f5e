"""Commands to the detector that wait for its answer."""

import asyncio
from itertools import count

from firedetect.clock import Clock
from firedetect.daemon.queue import EventQueue
from firedetect.decision.outcome import Outcome
from firedetect.errors import ControlError
from firedetect.readings import Command, CommandAction, CommandSource

ANSWER_LIMIT_S = 5.0
WAITING_MAX = 16
"""Commands under way at once: a flood must not fill the queue of events."""


class CommandDesk:
    """Puts commands into the queue and finds their answers among the outcomes."""

    def __init__(self, queue: EventQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._numbers = count(1)
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}

    def heard(self, outcome: Outcome) -> None:
        """Hand the answer to a command to whoever waits for it."""
        if outcome.answer is None:
            return
        future = self._waiting.pop(outcome.answer.command_id, None)
        if future is not None and not future.done():
            future.set_result(outcome)

    async def ask(
        self, action: CommandAction, source: CommandSource, duration_s: float | None
    ) -> Outcome:
        """Return the outcome with the answer.

        Raises TimeoutError after 5 s without one, ControlError when too many commands wait.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise ControlError("too many commands at once")
        command_id = f"{source}-{next(self._numbers)}"
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = future
        now = self._clock.monotonic_ns()
        self._queue.put(Command(now, action, source, command_id, duration_s))
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await future
        finally:
            self._waiting.pop(command_id, None)
