"""A stream that is written to by its own thread: a reader that stops reading holds nobody."""

import contextlib
import queue
import signal
import threading
from typing import TextIO

LINES_MAX = 10_000
"""Lines that wait for a slow reader; after that they are dropped and counted."""
_FLUSH_LIMIT_S = 5.0


class BackgroundStream:
    """Takes what is written at once and hands it on in order.

    Where nobody reads any more, `end_unread` ends the program: a person closed the pipe. Else it
    goes on unheard.
    """

    def __init__(self, out: TextIO, *, end_unread: bool) -> None:
        self._out = out
        self._end_unread = end_unread
        self._waiting: queue.Queue[str | threading.Event] = queue.Queue(LINES_MAX)
        self.dropped = 0
        threading.Thread(target=self._write_all, name="stream", daemon=True).start()

    def write(self, text: str) -> int:
        """Take some text; never waits."""
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            self.dropped += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread flushes after each piece."""

    def isatty(self) -> bool:
        """Whether a person sees this at once."""
        return self._out.isatty()

    def close(self) -> None:
        """Wait until everything is written, but not for a reader that has stopped."""
        done = threading.Event()
        with contextlib.suppress(queue.Full):
            self._waiting.put(done, timeout=_FLUSH_LIMIT_S)
            done.wait(_FLUSH_LIMIT_S)

    def _write_all(self) -> None:
        while True:
            piece = self._waiting.get()
            if isinstance(piece, threading.Event):
                piece.set()
                continue
            try:
                self._out.write(piece)
                self._out.flush()
            except BrokenPipeError:
                if self._end_unread:
                    signal.raise_signal(signal.SIGTERM)
                    self._end_unread = False
            except (OSError, ValueError):
                # A full disk behind the log: nobody is left to be told by this way.
                self.dropped += 1
