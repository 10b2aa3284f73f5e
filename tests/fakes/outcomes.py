"""Outcomes of a detector that has an alarm, for whoever listens to them."""

from firedetect.contract.level import Health, Level
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Outcome

NS = 1_000_000_000


def alarming(t_s, incident, level=Level.ALERT, **changes):
    """Return the outcome of a sounding alarm; its event has the incident's name."""
    values = {
        "t_ns": round(t_s * NS),
        "t_s": t_s,
        "wall_ns": 1_800_000_000 * NS,
        "level": level,
        "current": level,
        "score": 0.9,
        "reasons": ("score",),
        "incident_id": incident,
        "health": Health.OK,
        "troubles": (),
        "alarm": AlarmState.SOUNDING,
        "model": "1.0.0",
        "event_id": incident,
    }
    return Outcome(**values | changes)
