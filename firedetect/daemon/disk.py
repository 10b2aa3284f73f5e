"""Small files are written in a thread of its own: a disk that hangs holds up no event."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from firedetect.errors import StorageError
from firedetect.sensors.bus import DaemonExecutor

LIMIT_S = 10.0
"""Longer than any healthy disk takes for a small file and its directory."""
_PENDING_MAX = 32

_T = TypeVar("_T")


class DiskThread:
    """Runs calls one after the other, in the order in which they were given."""

    def __init__(self, name: str = "disk") -> None:
        self._thread = DaemonExecutor(name)
        self._pending: set[asyncio.Future[object]] = set()

    async def run(self, call: Callable[[], _T], limit_s: float = LIMIT_S) -> _T:
        """Return what `call` returns, or raise what it raises.

        Raises StorageError if the disk does not answer in time; the call may still be done later.
        """
        asked = self._begin(call)
        done, _ = await asyncio.wait([asked], timeout=limit_s)
        if not done:
            raise StorageError("the disk does not answer")
        return asked.result()

    def later(self, call: Callable[[], object], failed: Callable[[str], None]) -> None:
        """Run `call` without waiting; `failed` hears in the loop why it came to nothing."""
        try:
            asked = self._begin(call)
        except StorageError as error:
            failed(str(error))
            return

        def tell(ended: "asyncio.Future[object]") -> None:
            error = None if ended.cancelled() else ended.exception()
            if error is not None:
                failed(str(error))

        asked.add_done_callback(tell)

    def close(self) -> None:
        """Let the thread end once it is idle."""
        self._thread.shutdown(wait=False)

    def _begin(self, call: Callable[[], _T]) -> "asyncio.Future[_T]":
        if len(self._pending) >= _PENDING_MAX:
            raise StorageError("the disk does not answer")
        asked = asyncio.get_running_loop().run_in_executor(self._thread, call)
        self._pending.add(asked)  # type: ignore[arg-type]
        asked.add_done_callback(self._ended)
        return asked

    def _ended(self, asked: "asyncio.Future[_T]") -> None:
        self._pending.discard(asked)
        if not asked.cancelled():
            # Looked at here, in case that nobody waits for it any more.
            asked.exception()
