"""The flight recorder: the last minute of raw readings, always in memory."""

from collections import deque
from collections.abc import Callable

from firedetect.clock import NS_PER_S
from firedetect.readings import (
    ClockSet,
    Event,
    GasCalibrated,
    MaskApproved,
    Restored,
    SensorOpened,
    SettingsChanged,
    Started,
    SystemTrouble,
)

KEPT_S = 60.0
_EVENTS_MAX = 4000
"""A minute at 32 sub-pages a second, with room: memory stays bounded whatever comes."""
_FOLLOWED_MAX = 40_000
"""Ten minutes at 32 sub-pages a second, with room: about 70 MB."""
_LASTING = (Started, ClockSet, SettingsChanged, Restored, GasCalibrated, MaskApproved)
"""What holds until another one of its type comes."""
_About = tuple[object, ...]


class FlightRecorder:
    """Hears of every raw event; a recording made from it can be replayed.

    `remembered` returns what would survive a restart at a time (ns): unless a recording holds the
    start, it begins with the clean air that is known now. A replay would else learn the smoke of
    its first minute as clean air, or begin with an alarm that was reset since.
    """

    def __init__(self, remembered: Callable[[int], Restored] | None = None) -> None:
        self._remembered = remembered
        self._events: deque[Event] = deque()
        self._before: dict[_About, Event] = {}
        self._following: list[list[Event]] = []

    def heard(self, event: Event) -> None:
        """Keep an event for a minute; what a replay begins with is kept for ever."""
        for events in self._following:
            if len(events) < _FOLLOWED_MAX:
                events.append(event)
        self._events.append(event)
        oldest_ns = event.t_ns - round(KEPT_S * NS_PER_S)
        while len(self._events) > _EVENTS_MAX or self._events[0].t_ns < oldest_ns:
            _leave(self._events.popleft(), self._before)

    def begin(self, last_s: float) -> list[Event]:
        """Return what a recording of the last seconds holds; it grows until `end`."""
        newest_ns = self._events[-1].t_ns if self._events else 0
        begin_ns = newest_ns - round(last_s * NS_PER_S)
        before = dict(self._before)
        recent = []
        for event in self._events:
            if event.t_ns < begin_ns:
                _leave(event, before)
            else:
                recent.append(event)
        self._know(before, newest_ns)
        events = [*before.values(), *recent]
        self._following.append(events)
        return events

    def _know(self, before: dict[_About, Event], newest_ns: int) -> None:
        start = before.get((Restored,))
        if self._remembered is None or start is None:
            return
        now = self._remembered(newest_ns)
        before.pop((GasCalibrated,), None)
        before[(Restored,)] = Restored(
            start.t_ns,
            gas_baseline=now.gas_baseline,
            gas_tracked=now.gas_tracked,
            gas_activity=now.gas_activity,
            co2_clean_ppm=now.co2_clean_ppm,
            co2_cleanest_ppm=now.co2_cleanest_ppm,
        )

    def end(self, events: list[Event]) -> None:
        """Let a recording grow no longer."""
        self._following = [known for known in self._following if known is not events]


def _leave(event: Event, before: dict[_About, Event]) -> None:
    """Note of an event that is too old what a replay must begin with, in the order of time."""
    about: _About = (type(event),)
    if isinstance(event, SensorOpened):
        about += (event.sensor,)
    elif isinstance(event, SystemTrouble):
        about += (event.name,)
    elif not isinstance(event, _LASTING):
        return
    before.pop(about, None)
    if not isinstance(event, SystemTrouble) or event.active:
        before[about] = event
