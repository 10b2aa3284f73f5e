"""The evidence of an alarm: a recording from a minute before it to a minute after it."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from firedetect.clock import NS_PER_S
from firedetect.contract.level import LATCHING_FROM
from firedetect.daemon.disk import DiskThread
from firedetect.daemon.incident_files import BYTES_MAX, FOLDER, IncidentFile
from firedetect.daemon.remote.flight import KEPT_S, FlightRecorder
from firedetect.decision.outcome import Outcome
from firedetect.readings import Event

AFTER_S: Final = 60.0
PIECE: Final = 32
"""Events that are written at once: a few milliseconds, between which the others go on."""
PAUSE_S: Final = 0.05
CLOSE_LIMIT_S: Final = 3.0
"""The end of the program waits no longer for a disk."""
UNDER_WAY_MAX: Final = 3
"""Memory stays bounded, however often an alarm is reset and comes back."""
TROUBLE: Final = "recordings"
_SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class _Recording:
    """What the flight recorder follows for an incident, until the time `ends_ns` of events."""

    incident: str
    file: IncidentFile
    events: list[Event]
    ends_ns: int


class IncidentRecordings:
    """Hears of outcomes; `run` writes what is recorded, `close` what there is at the end.

    `data` is the data folder, None where no disk can be used; `kept` is how many recordings stay,
    0 makes none. A recording is in memory until its time is over: a program that does not end well
    loses it.
    """

    def __init__(
        self,
        data: Path | None,
        kept: int,
        flight: FlightRecorder,
        disk: DiskThread,
        report: Callable[[str, str | None], None],
        *,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        self._flight = flight
        self._disk = disk
        self._report = report
        self._folder = None if data is None or kept == 0 else data / FOLDER
        self._kept = kept
        self._bytes_max = bytes_max
        self._last: str | None = None
        self._growing: deque[_Recording] = deque()
        self._whole: deque[_Recording] = deque()
        self._ready = asyncio.Event()

    def heard(self, outcome: Outcome) -> None:
        """Begin a recording with a new incident; end the one whose time is over."""
        while self._growing and outcome.t_ns >= self._growing[0].ends_ns:
            self._end_oldest()
        incident = outcome.incident_id
        if incident is None or outcome.level < LATCHING_FROM or outcome.drill:
            return
        if incident != self._last and self._folder is not None:
            self._last = incident
            self._begin(self._folder, incident, outcome.t_ns)

    async def run(self) -> None:
        """Write what is recorded, for ever; what fails is a trouble until the next one works."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            await self._write_all(PAUSE_S)

    async def close(self) -> None:
        """Write what there is; gives up after 3 s."""
        while self._growing:
            self._end_oldest()
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._write_all(0.0)
        except TimeoutError:
            lost = [recording.incident for recording in self._whole]
            _log.warning("recordings are lost: the disk does not answer", incidents=lost)

    def _begin(self, folder: Path, incident: str, t_ns: int) -> None:
        if not _SAFE.fullmatch(incident):
            # Ours are; one that was remembered may be anything.
            self._report(TROUBLE, f"{incident!r} is no name for a file")
        elif len(self._growing) + len(self._whole) >= UNDER_WAY_MAX:
            self._report(TROUBLE, f"{incident}: {UNDER_WAY_MAX} others are still under way")
        else:
            file = IncidentFile(folder, incident, self._kept, bytes_max=self._bytes_max)
            ends_ns = t_ns + round(AFTER_S * NS_PER_S)
            events = self._flight.begin(KEPT_S)
            self._growing.append(_Recording(incident, file, events, ends_ns))

    def _end_oldest(self) -> None:
        recording = self._growing.popleft()
        self._flight.end(recording.events)
        self._whole.append(recording)
        self._ready.set()

    async def _write_all(self, pause_s: float) -> None:
        while self._whole:
            # Stays in the queue while it is written: what is cut off by `close` is begun anew.
            await self._write(self._whole[0], pause_s)
            self._whole.popleft()

    async def _write(self, recording: _Recording, pause_s: float) -> None:
        ended = False
        try:
            size = await self._written(recording.file, recording.events, pause_s)
            ended = True
        except Exception as error:  # noqa: BLE001 - no evidence is worth the next one
            self._report(TROUBLE, f"{recording.incident}: {error}")
        else:
            if size:
                self._report(TROUBLE, None)
                _log.info("alarm recorded", incident=recording.incident, bytes=size)
        finally:
            if not ended:
                self._disk.later(recording.file.drop, _left_behind)

    async def _written(self, file: IncidentFile, events: list[Event], pause_s: float) -> int:
        """Write a recording in pieces; returns its size (bytes), 0 if it was there before."""
        if not await self._disk.run(file.begin):
            return 0
        for first in range(0, len(events), PIECE):
            await self._disk.run(partial(file.write, events[first : first + PIECE]))
            await asyncio.sleep(pause_s)
        return await self._disk.run(file.end)


def _left_behind(why: str) -> None:
    _log.warning("a file of a recording stays until the next one", error=why)
