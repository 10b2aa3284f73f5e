"""Tasks with names that are started again when they fail; every failure is a trouble."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.daemon.queue import EventQueue
from firedetect.readings import SystemTrouble

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 10.0
CALM_S = 5.0
"""A restarted task that ran for so long works again: its trouble ends."""
STABLE_S = 30.0
"""A task that ran for so long starts with the first pause again."""

_log = structlog.get_logger()


async def supervise(
    name: str, run: Callable[[], Awaitable[None]], queue: EventQueue, clock: Clock
) -> None:
    """Run a task until it is cancelled; start it again after a bounded, random pause.

    One that ends by itself has failed too.
    """
    backoff_s = BACKOFF_FIRST_S
    failing = False
    rng = random.Random(name)  # noqa: S311 - spreads retries, guards no secret
    while True:
        started_ns = clock.monotonic_ns()
        calm = None
        if failing:
            calm = asyncio.get_running_loop().call_later(CALM_S, _calm_down, name, queue, clock)
        error: BaseException | None = None
        try:
            await run()
        except asyncio.CancelledError as cancelled:
            if _wanted():
                raise
            # Something inside was cancelled, not this task: nobody asked for its end.
            error = cancelled
        except Exception as failed:  # noqa: BLE001 - a failing task must not end the others
            error = failed
        finally:
            if calm is not None:
                calm.cancel()
        detail = "ended" if error is None else f"{type(error).__name__}: {error}"
        log = _log.debug if failing else _log.warning
        log("task failed", task=name, error=detail, exc_info=error if not failing else None)
        now = clock.monotonic_ns()
        queue.put(SystemTrouble(now, f"task:{name}", active=True, detail=detail))
        failing = True
        if clock.monotonic_ns() - started_ns > STABLE_S * NS_PER_S:
            backoff_s = BACKOFF_FIRST_S
        await asyncio.sleep(backoff_s * rng.uniform(0.5, 1.0))
        backoff_s = min(2.0 * backoff_s, BACKOFF_MAX_S)


def _wanted() -> bool:
    """Whether somebody has asked for the end of the task that runs now."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _calm_down(name: str, queue: EventQueue, clock: Clock) -> None:
    queue.put(SystemTrouble(clock.monotonic_ns(), f"task:{name}", active=False))
