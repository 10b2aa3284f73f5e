"""Local outputs in their own thread: a blocked siren delays neither the alarm nor its message."""

import asyncio
import contextlib
from dataclasses import replace

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.contract.level import Health
from firedetect.daemon.queue import EventQueue
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Outcome
from firedetect.outputs.local import Lines, Pattern, pattern_of
from firedetect.readings import SystemTrouble
from firedetect.sensors.bus import DaemonExecutor

SWITCH_LIMIT_S = 0.2
_REFRESH_S = 1.0
"""The lines are set again every second: a line that was disturbed comes back by itself."""
CHIRP_EVERY_S = 60.0
CHIRP_S = 0.3
"""Who lives with a detector that sees nothing hears of it once a minute, as of an empty battery."""
_TROUBLE = "outputs"

_log = structlog.get_logger()


class Siren:
    """Follows the newest outcome; `show` never waits."""

    def __init__(self, lines: Lines, queue: EventQueue, clock: Clock) -> None:
        self._lines = lines
        self._queue = queue
        self._clock = clock
        self._wanted = Pattern()
        self._blind = False
        self._chirped_ns = 0
        self._changed = asyncio.Event()
        self._thread = DaemonExecutor("outputs")
        self._switching: asyncio.Future[None] | None = None
        self._failing = False

    def show(self, outcome: Outcome) -> None:
        """Let the outputs follow an outcome."""
        # A latched alarm sounds by itself, or somebody has silenced it.
        blind = outcome.health is Health.BLIND and outcome.alarm is AlarmState.CLEAR
        if blind and not self._blind:
            # Not at once: every start is blind until the first image.
            self._chirped_ns = self._clock.monotonic_ns()
        self._blind = blind
        pattern = pattern_of(outcome)
        if pattern != self._wanted:
            self._wanted = pattern
            self._changed.set()

    async def run(self) -> None:
        """Switch the lines for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_S):
                    await self._changed.wait()
            self._changed.clear()
            await self._switch(self._wanted)
            await self._chirp_if_blind()

    async def close(self) -> None:
        """Release the lines, or leave them to the end of the process if one blocks."""
        loop = asyncio.get_running_loop()
        closing = loop.run_in_executor(self._thread, self._lines.close)
        closing.add_done_callback(_released)
        done, _ = await asyncio.wait([closing], timeout=SWITCH_LIMIT_S)
        if not done:
            _log.error("outputs cannot be released", error="a line blocks")
        self._thread.shutdown(wait=False)

    async def _chirp_if_blind(self) -> None:
        now = self._clock.monotonic_ns()
        due = now - self._chirped_ns >= CHIRP_EVERY_S * NS_PER_S
        if not self._blind or not due or self._wanted.siren:
            return
        self._chirped_ns = now
        await self._switch(replace(self._wanted, siren=True))
        # An alarm that begins meanwhile is not kept waiting for its light.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CHIRP_S):
                await self._changed.wait()
        await self._switch(self._wanted)

    async def _switch(self, pattern: Pattern) -> None:
        if self._switching is not None and not self._switching.done():
            self._say("a line blocks")
            return
        loop = asyncio.get_running_loop()
        self._switching = loop.run_in_executor(self._thread, self._lines.set, pattern)
        done, _ = await asyncio.wait([self._switching], timeout=SWITCH_LIMIT_S)
        if not done:
            self._say("a line blocks")
            return
        error = self._switching.exception()
        self._say("" if error is None else f"{type(error).__name__}: {error}")

    def _say(self, problem: str) -> None:
        if bool(problem) == self._failing:
            return
        self._failing = bool(problem)
        if problem:
            _log.error("outputs cannot be switched", error=problem)
        self._queue.put(SystemTrouble(self._clock.monotonic_ns(), _TROUBLE, self._failing, problem))


def _released(closing: "asyncio.Future[None]") -> None:
    error = None if closing.cancelled() else closing.exception()
    if error is not None:
        _log.error("outputs cannot be released", error=f"{type(error).__name__}: {error}")
