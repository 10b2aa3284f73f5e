"""Turns what tasks report of themselves into events, each change once."""

import structlog

from firedetect.clock import Clock
from firedetect.daemon.queue import EventQueue
from firedetect.readings import SystemTrouble

_log = structlog.get_logger()


class Troubles:
    """Troubles by name. Those found while the daemon is put together wait for `release`."""

    def __init__(self, queue: EventQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._active: dict[str, str] = {}
        self._held: list[SystemTrouble] | None = []

    def release(self) -> None:
        """Let the pipeline know, now that it knows who it is and what was remembered."""
        held, self._held = self._held, None
        for event in held or ():
            self._queue.put(event)

    def report(self, name: str, detail: str | None) -> None:
        """Report a trouble by name, or with no detail that it is over."""
        if self._active.get(name) == detail:
            return
        if detail is None:
            del self._active[name]
            _log.info("works again", what=name)
        else:
            log = _log.debug if name in self._active else _log.warning
            log("trouble", what=name, detail=detail)
            self._active[name] = detail
        event = SystemTrouble(
            self._clock.monotonic_ns(), name, active=detail is not None, detail=detail or ""
        )
        if self._held is None:
            self._queue.put(event)
        else:
            self._held.append(event)
