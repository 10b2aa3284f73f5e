"""Work in several processes; what interrupts the parent is the parent's to tell."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Work = TypeVar("Work")
Done = TypeVar("Done")


def run_all(
    function: Callable[[Work], Done], work: Sequence[Work], jobs: int, *, in_order: bool = False
) -> Iterator[Done]:
    """Yield what a function makes of each piece of work, as it is done or in order."""
    if jobs <= 1 or len(work) <= 1:
        yield from map(function, work)
        return
    # Forked children would share the parent's threads: start them fresh.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(jobs, len(work)), initializer=_leave_interrupts) as pool:
        each = pool.imap if in_order else pool.imap_unordered
        yield from each(function, work, chunksize=1)


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the parent ends its workers, silently."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
