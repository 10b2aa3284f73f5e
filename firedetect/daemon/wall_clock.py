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


async def follow_wall_clock(
    queue: EventQueue, clock: Clock, report: Callable[[str, str | None], None]
) -> None:
    """Let the detector know when the wall clock was set; report while it never was."""
    told_ns = clock.wall_ns() - clock.monotonic_ns()
    while True:
        wall_ns, now_ns = clock.wall_ns(), clock.monotonic_ns()
        report("clock", "never set" if wall_ns < CLOCK_SET_S * NS_PER_S else None)
        if abs(wall_ns - now_ns - told_ns) > JUMP_S * NS_PER_S:
            told_ns = wall_ns - now_ns
            queue.put(ClockSet(now_ns, wall_ns))
        await asyncio.sleep(LOOK_S)
