"""Time as an object: the system's clock, one moved by hand, an event loop that runs on it."""

import asyncio
import contextlib
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar

_T = TypeVar("_T")

NS_PER_S = 1_000_000_000
CLOCK_SET_S = 1_767_225_600
"""2026-01-01: an earlier wall clock was never set."""


class Clock(Protocol):
    """Where time comes from. Decisions use monotonic time only; wall time is for people."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 as far as this machine knows."""

    def block(self, seconds: float) -> None:
        """Wait in the calling thread; never call it in the event loop."""


class SystemClock:
    """The clock of the machine."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 as far as this machine knows."""
        return time.time_ns()

    def block(self, seconds: float) -> None:
        """Wait in the calling thread."""
        if seconds > 0:
            time.sleep(seconds)  # noqa: TID251 - the one place where the program may sleep


class ManualClock:
    """A clock that moves only when told to: the same run takes the same time everywhere."""

    def __init__(self, monotonic_ns: int = 0, wall_ns: int = CLOCK_SET_S * NS_PER_S) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_offset_ns = wall_ns - monotonic_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds since the start of this clock."""
        return self._monotonic_ns

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 that belong to the monotonic time."""
        return self._monotonic_ns + self._wall_offset_ns

    def block(self, seconds: float) -> None:
        """Move the clock; nobody waits."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`."""
        if seconds > 0:
            self._monotonic_ns += round(seconds * NS_PER_S)


class _NoWaitSelector(selectors.DefaultSelector):
    """Moves the manual clock where a selector would have waited."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now; an idle loop jumps to its next timer."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                # No timer is left: only input from outside can go on.
                return super().select(None)
            self._clock.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a manual clock; work for threads runs at once, in order.

    A day of detector time passes as fast as it can be computed, and the same run gives the same
    events in the same order.
    """

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_NoWaitSelector(clock))
        self._clock = clock

    def time(self) -> float:
        """Seconds of the manual clock."""
        # Timers within half a nanosecond count as due: a sum of floats must not stop the loop.
        return self._clock.monotonic_ns() / NS_PER_S + 5e-10

    def run_in_executor(  # type: ignore[override]
        self,
        executor: Executor | None,  # noqa: ARG002 - nothing runs in a thread here
        func: Callable[..., Any],
        *args: Any,  # noqa: ANN401
    ) -> asyncio.Future[Any]:
        """Run `func` now instead of in a thread."""
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the future
            future.set_exception(error)
        return future


def run_virtual(main: Coroutine[Any, Any, _T], clock: ManualClock) -> _T:
    """Run `main` to its end on `clock`, faster than time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)


async def sleep_until(clock: Clock, t_ns: int) -> None:
    """Sleep in the event loop until the monotonic time `t_ns`."""
    await asyncio.sleep(max(0.0, (t_ns - clock.monotonic_ns()) / NS_PER_S))


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """Cancel `task` and wait for its end; its own failure is not ours."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
