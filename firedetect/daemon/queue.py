"""The one queue of events: bounded, in order of time; readings give way, everything else stays."""

import asyncio
import dataclasses
from collections import deque

from firedetect.readings import (
    AirReading,
    Co2Reading,
    Event,
    FrameRejected,
    GasCounts,
    SubPage,
    ThermalImage,
    Tick,
)

CAPACITY = 512
"""About a minute of readings: more can only pile up if the detector hangs."""
_EXPENDABLE = (SubPage, ThermalImage, GasCounts, Co2Reading, AirReading, FrameRejected, Tick)


class EventQueue:
    """Put never waits; when full, the oldest reading is dropped and counted."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._filled = asyncio.Event()
        self._last_ns = -(1 << 62)
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Add an event."""
        if len(self._events) >= self._capacity:
            self._drop_oldest_reading()
        self._events.append(event)
        self._filled.set()

    async def get(self) -> Event:
        """Return the next event; its time stamp never lies before that of the one before."""
        while not self._events:
            self._filled.clear()
            await self._filled.wait()
        event = self._events.popleft()
        # Two sensors may be stamped in another order than they arrive: time must not go back.
        if event.t_ns < self._last_ns:
            event = dataclasses.replace(event, t_ns=self._last_ns)
        self._last_ns = event.t_ns
        return event

    def __len__(self) -> int:
        return len(self._events)

    def _drop_oldest_reading(self) -> None:
        for position, event in enumerate(self._events):
            if isinstance(event, _EXPENDABLE):
                del self._events[position]
                self.dropped += 1
                return
