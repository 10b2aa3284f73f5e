"""The alarm machine: what latches, sounds, is acknowledged, silenced and reset, as one table."""

from dataclasses import dataclass
from enum import Enum, StrEnum


class AlarmState(StrEnum):
    """Where a latched alarm stands between the detector and people."""

    CLEAR = "clear"
    SOUNDING = "sounding"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    ACKNOWLEDGED_SILENCED = "acknowledged-silenced"


class AlarmInput(Enum):
    """What can happen to an alarm."""

    LATCH = "a latching level is declared"
    RISE = "the latched level rises"
    ACKNOWLEDGE = "somebody acknowledges"
    SILENCE = "somebody silences"
    SILENCE_ENDS = "the silence runs out"
    RESET = "somebody resets, and the inputs are low"


@dataclass(frozen=True, slots=True)
class Step:
    """The next state; `refused` says why nothing changes."""

    state: AlarmState
    refused: str = ""


_S = AlarmState
_I = AlarmInput
_NO_ALARM = "there is no alarm"

ALARM_TABLE: dict[tuple[AlarmState, AlarmInput], Step] = {
    (_S.CLEAR, _I.LATCH): Step(_S.SOUNDING),
    (_S.CLEAR, _I.RISE): Step(_S.CLEAR),
    (_S.CLEAR, _I.ACKNOWLEDGE): Step(_S.CLEAR, _NO_ALARM),
    (_S.CLEAR, _I.SILENCE): Step(_S.CLEAR, _NO_ALARM),
    (_S.CLEAR, _I.SILENCE_ENDS): Step(_S.CLEAR),
    (_S.CLEAR, _I.RESET): Step(_S.CLEAR, _NO_ALARM),
    (_S.SOUNDING, _I.LATCH): Step(_S.SOUNDING),
    (_S.SOUNDING, _I.RISE): Step(_S.SOUNDING),
    (_S.SOUNDING, _I.ACKNOWLEDGE): Step(_S.ACKNOWLEDGED),
    (_S.SOUNDING, _I.SILENCE): Step(_S.SILENCED),
    (_S.SOUNDING, _I.SILENCE_ENDS): Step(_S.SOUNDING),
    (_S.SOUNDING, _I.RESET): Step(_S.CLEAR),
    # An acknowledgement belongs to the level that was seen: a higher one asks for people again.
    (_S.ACKNOWLEDGED, _I.LATCH): Step(_S.ACKNOWLEDGED),
    (_S.ACKNOWLEDGED, _I.RISE): Step(_S.SOUNDING),
    (_S.ACKNOWLEDGED, _I.ACKNOWLEDGE): Step(_S.ACKNOWLEDGED),
    (_S.ACKNOWLEDGED, _I.SILENCE): Step(_S.ACKNOWLEDGED_SILENCED),
    (_S.ACKNOWLEDGED, _I.SILENCE_ENDS): Step(_S.ACKNOWLEDGED),
    (_S.ACKNOWLEDGED, _I.RESET): Step(_S.CLEAR),
    (_S.SILENCED, _I.LATCH): Step(_S.SILENCED),
    (_S.SILENCED, _I.RISE): Step(_S.SOUNDING),
    (_S.SILENCED, _I.ACKNOWLEDGE): Step(_S.ACKNOWLEDGED_SILENCED),
    (_S.SILENCED, _I.SILENCE): Step(_S.SILENCED),
    (_S.SILENCED, _I.SILENCE_ENDS): Step(_S.SOUNDING),
    (_S.SILENCED, _I.RESET): Step(_S.CLEAR),
    (_S.ACKNOWLEDGED_SILENCED, _I.LATCH): Step(_S.ACKNOWLEDGED_SILENCED),
    (_S.ACKNOWLEDGED_SILENCED, _I.RISE): Step(_S.SOUNDING),
    (_S.ACKNOWLEDGED_SILENCED, _I.ACKNOWLEDGE): Step(_S.ACKNOWLEDGED_SILENCED),
    (_S.ACKNOWLEDGED_SILENCED, _I.SILENCE): Step(_S.ACKNOWLEDGED_SILENCED),
    (_S.ACKNOWLEDGED_SILENCED, _I.SILENCE_ENDS): Step(_S.ACKNOWLEDGED),
    (_S.ACKNOWLEDGED_SILENCED, _I.RESET): Step(_S.CLEAR),
}
"""Every state meets every input."""

AUDIBLE = frozenset({AlarmState.SOUNDING, AlarmState.ACKNOWLEDGED})
ACKNOWLEDGED = frozenset({AlarmState.ACKNOWLEDGED, AlarmState.ACKNOWLEDGED_SILENCED})
SILENCED = frozenset({AlarmState.SILENCED, AlarmState.ACKNOWLEDGED_SILENCED})
