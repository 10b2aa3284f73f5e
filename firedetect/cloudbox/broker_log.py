"""What mosquitto says, read from its pipe: at any moment everything that it has said so far."""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

_LINES_KEPT: Final = 30
_PIECE: Final = 65_536
_RUNNING: Final = " running"
_RELOADING: Final = "Reloading config"
"""Said before it reads its files again, one line for each time."""


class BrokerLog:
    """The output of one run of mosquitto, whose end of the pipe for reading is `pipe`.

    The loop takes what arrives, so that a full pipe never stops mosquitto. `read` may be called
    from any thread: what is counted after it was said after whatever the caller did before.
    """

    def __init__(self, pipe: int) -> None:
        os.set_blocking(pipe, False)
        self.running = False
        self.reloads = 0
        self._pipe = pipe
        self._reading = threading.Lock()
        self._rest = b""
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe, self._arrived)

    def read(self) -> bool:
        """Take what has been said and return whether more may come; from any thread."""
        with self._reading:
            while self._pipe >= 0:
                try:
                    piece = os.read(self._pipe, _PIECE)
                except BlockingIOError:
                    return True
                if not piece:
                    break
                *whole, self._rest = (self._rest + piece).split(b"\n")
                for line in whole:
                    self._said(line.decode(errors="replace").rstrip())
                self._loop.call_soon_threadsafe(self._news.set)
        return False

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when `holds()` about what it has said, or when it says no more."""
        while not holds() and self._pipe >= 0:
            self._news.clear()
            await self._news.wait()

    def last_words(self) -> str:
        """Return its last error, else the last line."""
        with self._reading:
            lines = list(self._lines)
        errors = [line for line in lines if "Error" in line]
        return (errors or lines or ["it says nothing"])[-1]

    def close(self) -> None:
        """Read no more; once it has ended, everything was read."""
        self.read()
        with self._reading:
            pipe, self._pipe = self._pipe, -1
        if pipe >= 0:
            self._loop.remove_reader(pipe)
            os.close(pipe)
            self._news.set()

    def _arrived(self) -> None:
        if not self.read():
            self.close()

    def _said(self, line: str) -> None:
        self._lines.append(line)
        self.running = self.running or _RUNNING in line
        self.reloads += _RELOADING in line
