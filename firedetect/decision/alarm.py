"""The latched alarm: its level, incident, and what people do with it."""

import math
from dataclasses import dataclass

from firedetect.contract.level import LATCHING_FROM, Level
from firedetect.contract.settings import DecisionSettings
from firedetect.decision.machine import ALARM_TABLE, SILENCED, AlarmInput, AlarmState
from firedetect.readings import Command, CommandSource, Restored

NS_PER_S = 1_000_000_000
DRILL_S = 60.0
DRILL_MAX_S = 3600.0
"""A drill ends by itself, at the latest after an hour."""
_NO_DURATION = "the duration is no number of seconds"


@dataclass(slots=True)
class Alarm:
    """Latches levels, follows the alarm table, ends silence and drill on time."""

    settings: DecisionSettings
    state: AlarmState = AlarmState.CLEAR
    level: Level = Level.NORMAL
    incident_id: str | None = None
    reasons: tuple[str, ...] = ()
    _silent_until_ns: int | None = None
    _drill_until_ns: int | None = None

    @property
    def drill(self) -> bool:
        """Whether a drill is running."""
        return self._drill_until_ns is not None

    def declare(self, current: Level, reasons: tuple[str, ...], event_id: str) -> bool:
        """Latch `current` if it must be; returns whether the latched level rose."""
        if current < LATCHING_FROM or current <= self.level:
            return False
        if self.state is AlarmState.CLEAR:
            self.incident_id = event_id
            self._apply(AlarmInput.LATCH)
        else:
            self._apply(AlarmInput.RISE)
            self._silent_until_ns = None
        self.level = current
        self.reasons = reasons
        # A real alarm ends every drill: nobody may take it for one.
        self._drill_until_ns = None
        return True

    def restore(self, event: Restored) -> None:
        """Take over the alarm of before a restart; a silence does not survive it."""
        if event.level < LATCHING_FROM:
            return
        self.level = event.level
        self.incident_id = event.incident_id
        self.reasons = event.reasons
        self.state = AlarmState.ACKNOWLEDGED if event.acknowledged else AlarmState.SOUNDING

    def acknowledge(self) -> str:
        """Somebody has seen the alarm; returns why not, or nothing."""
        return self._apply(AlarmInput.ACKNOWLEDGE)

    def silence(self, command: Command) -> str:
        """Silence the sounders for a while, or end a drill; returns why not, or nothing."""
        remote = command.source is CommandSource.REMOTE
        if remote and self.level is Level.EMERGENCY and not self.settings.remote_emergency_silence:
            return "an emergency cannot be silenced from afar"
        limit_s = self.settings.silence_max_s
        ends_ns = _end_ns(command, limit_s, limit_s)
        if ends_ns is None:
            return _NO_DURATION
        if self.drill and self.state is AlarmState.CLEAR:
            self._drill_until_ns = None
            return ""
        refused = self._apply(AlarmInput.SILENCE)
        if not refused:
            self._silent_until_ns = ends_ns
        return refused

    def reset(self) -> str:
        """End the alarm; returns why not, or nothing. The caller has checked the inputs."""
        refused = self._apply(AlarmInput.RESET)
        if not refused:
            self.level = Level.NORMAL
            self.incident_id = None
            self.reasons = ()
            self._silent_until_ns = None
        return refused

    def start_drill(self, command: Command) -> str:
        """Sound the outputs as a drill; a real alarm ends it, and none begins in one."""
        if self.state is not AlarmState.CLEAR:
            return "there is a real alarm: nobody may take it for a drill"
        ends_ns = _end_ns(command, DRILL_S, DRILL_MAX_S)
        if ends_ns is None:
            return _NO_DURATION
        self._drill_until_ns = ends_ns
        return ""

    def advance(self, t_ns: int) -> None:
        """End a silence or drill whose time is over."""
        if self._silent_until_ns is not None and t_ns >= self._silent_until_ns:
            self._silent_until_ns = None
            if self.state in SILENCED:
                self._apply(AlarmInput.SILENCE_ENDS)
        if self._drill_until_ns is not None and t_ns >= self._drill_until_ns:
            self._drill_until_ns = None

    def _apply(self, happened: AlarmInput) -> str:
        step = ALARM_TABLE[self.state, happened]
        self.state = step.state
        return step.refused


def _end_ns(command: Command, default_s: float, limit_s: float) -> int | None:
    """Return when what was asked for ends, at the latest after the limit; None for no number."""
    wanted_s = default_s if command.duration_s is None else command.duration_s
    if not math.isfinite(wanted_s):
        return None
    return command.t_ns + round(min(max(wanted_s, 1.0), limit_s) * NS_PER_S)
