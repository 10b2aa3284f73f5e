"""What people are told of an incident again: nobody has answered, or it is not over yet. Pure."""

from typing import Final

from firedetect.contract.level import LevelName
from firedetect.lambdas.escalation import Climb
from firedetect.lambdas.incident import Acknowledgement, Incident
from firedetect.lambdas.notices import ACT, DRILL, Notice, because, fit, place

REMINDER: Final = "reminder"
UNANSWERED: Final = "unanswered"
_WHO: Final = {
    "device": "somebody at the detector",
    "reset": "somebody who reset it at the detector",
    "link": "somebody with the link in a message",
}


def call_of(climb: Climb, incident: Incident | None, now_ms: int) -> Notice:
    """Return what the next tier is told."""
    known = incident or _told_by(climb)
    return unanswered(known, climb.level, climb.tier, now_ms - climb.told_ms)


def unanswered(incident: Incident, level: LevelName, tier: int, for_ms: int) -> Notice:
    """Return that nobody has acknowledged an alarm for so long."""
    how_long = duration(for_ms)
    where = f"{incident.thing} at {place(incident.site)}"
    subject = f"UNANSWERED {how_long}: FIRE {level.upper()}: {where}"
    lines = [f"Nobody has taken over this alarm for {how_long}.", *_story(incident, level)]
    lines.append(ACT[level])
    return _notice(incident, level, UNANSWERED, subject, lines, tier)


def reminder(incident: Incident, for_ms: int) -> Notice:
    """Return that an incident which somebody took over is still not over."""
    how_long = duration(for_ms)
    where = f"{incident.thing} at {place(incident.site)}"
    subject = f"Still not over after {how_long}: {where}"
    taken = incident.taken_over
    by = f" by {who(taken)}" if taken else ""
    lines = [
        f"This alarm was taken over {how_long} ago{by}, but the detector is not back to normal.",
        *_story(incident, incident.level),
        "Go and see what it needs, then reset the alarm at the detector.",
    ]
    return _notice(incident, incident.level, REMINDER, subject, lines, 0)


def who(taken: Acknowledgement) -> str:
    """Return who acknowledged, in words."""
    return _WHO.get(taken.source, taken.source)


def duration(ms: int) -> str:
    """Return a time in words for somebody in a hurry."""
    minutes = max(0, round(ms / 60_000))
    if minutes < 1:
        return f"{max(0, round(ms / 1000))} s"
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 72 else f"{hours // 24} days"


def _story(incident: Incident, level: LevelName) -> list[str]:
    return [
        f"Where: {place(incident.site)}, detector {incident.thing}.",
        f"How severe: {level} (now {incident.current}).",
        f"Why: {because(incident.reasons)}.",
        f"Since: {incident.levels.get(level, incident.opened_at)}.",
    ]


def _notice(
    incident: Incident, level: str, kind: str, subject: str, lines: list[str], tier: int
) -> Notice:
    marked = f"[DRILL] {subject}" if incident.drill else subject
    text = "\n".join([DRILL, *lines] if incident.drill else lines)
    return Notice(
        level,
        incident.site,
        incident.thing,
        kind,
        fit(marked),
        text,
        incident_id=incident.incident_id,
        tier=tier,
        drill=incident.drill,
    )


def _told_by(climb: Climb) -> Incident:
    """Return what is known of an incident without its row."""
    return Incident(
        incident_id=climb.incident_id,
        thing=climb.thing,
        site=climb.site,
        level=climb.level,
        current=climb.level,
        reasons=climb.reasons,
        drill=False,
        opened_at=climb.since,
        changed_at=climb.since,
        acknowledged=False,
        acknowledged_level="normal",
        event_ids=(),
        revision=0,
    )
