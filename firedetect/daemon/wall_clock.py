"""Follows the wall clock: a Pi without a battery learns the time only after its start."""

import asyncio
from collections.abc import Callable
from typing import Final

from firedetect.clock import CLOCK_SET_S, NS_PER_S, Clock
from firedetect.daemon.queue import EventQueue
from firedetect.readings import ClockSet

LOOK_S: Final = 1.0
JUMP_S: Final = 1.0
"""What a clock that is only steered never does between two looks, but adds up to over hours."""


class WallClock:
    """Lets the detector know when the clock was set after it was told of it; reports while unset.

    It is told with `Started`: make it then.
    """

    def __init__(
        self, queue: EventQueue, clock: Clock, report: Callable[[str, str | None], None]
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._report = report
        self._told_ns = clock.wall_ns() - clock.monotonic_ns()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            wall_ns, now_ns = self._clock.wall_ns(), self._clock.monotonic_ns()
            self._report("clock", "never set" if wall_ns < CLOCK_SET_S * NS_PER_S else None)
            if abs(wall_ns - now_ns - self._told_ns) > JUMP_S * NS_PER_S:
                self._told_ns = wall_ns - now_ns
                self._queue.put(ClockSet(now_ns, wall_ns))
            await asyncio.sleep(LOOK_S)
