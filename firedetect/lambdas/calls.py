"""What people are told of an incident later: nobody answers, somebody does, it is over. Pure."""

from dataclasses import replace
from typing import Final

from firedetect.contract.level import LevelName
from firedetect.lambdas.escalation import Climb
from firedetect.lambdas.facts import RESET, Acknowledgement, Back, Word
from firedetect.lambdas.incident import Incident
from firedetect.lambdas.notices import ACT, DRILL, Notice, because, fit, place

ALARM: Final = "alarm"
REMINDER: Final = "reminder"
UNANSWERED: Final = "unanswered"
TAKEN_OVER: Final = "taken-over"
CLOSED: Final = "closed"
STAY: Final = {
    "alert": "It is not over: stay out of the building. Call the fire service if nobody has.",
    "emergency": (
        "It is not over: stay out of the building, do not go back in. "
        "Call the fire service if nobody has."
    ),
}
"""What to do when somebody else has taken over."""
AFTER_RESET: Final = "Go back in only if whoever reset it, or the fire service, says so."
AFTER_CALM: Final = (
    "Look with care, then reset the alarm at the detector: if it measures a fire again, you are "
    "called again."
)
_GO_AND_SEE: Final = "Go and see what it needs, then reset the alarm at the detector."
_WHO: Final = {
    "device": "somebody at the detector",
    "reset": "somebody who reset it at the detector",
    "link": "somebody with the link in a message",
}


def call_of(climb: Climb, incident: Incident | None, now_ms: int) -> Notice:
    """Return what the next tier is told."""
    known = incident or _told_by(climb)
    return unanswered(known, climb.level, climb.tier, now_ms - climb.told_ms)


def back_again(incident: Incident) -> Notice:
    """Return that a fire is measured again of which people were told that it is over."""
    act = ACT[incident.level]
    lines = [
        "This alarm was over, but the detector measures a fire again.",
        *_story(incident, incident.level),
        act,
    ]
    notice = _notice(incident, incident.level, ALARM, _title(incident), lines, act)
    return replace(notice, reasons=incident.reasons)


def unanswered(incident: Incident, level: LevelName, tier: int, for_ms: int) -> Notice:
    """Return that nobody has acknowledged an alarm for so long."""
    how_long = duration(for_ms)
    subject = f"UNANSWERED {how_long}: {_title(incident, level)}"
    lines = [f"Nobody has taken over this alarm for {how_long}.", *_story(incident, level)]
    act = ACT[level]
    notice = _notice(incident, level, UNANSWERED, subject, [*lines, act], act)
    return replace(notice, tier=tier, reasons=incident.reasons)


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
        _GO_AND_SEE,
    ]
    return _notice(incident, incident.level, REMINDER, subject, lines, _GO_AND_SEE)


def taken_over(incident: Incident, tiers: tuple[int, ...]) -> Notice:
    """Return that somebody has taken over an incident, for whoever was called."""
    taken = incident.taken_over
    by, at = (who(taken), f", at {taken.at}") if taken else ("somebody", "")
    was_reset = taken is not None and taken.source == RESET
    act = AFTER_RESET if was_reset else STAY[incident.level]
    lines = [
        f"{by[:1].upper()}{by[1:]} has taken over this alarm{at}. Nobody else is called.",
        act,
        *_story(incident, incident.level),
        f"Incident: {incident.incident_id}.",
    ]
    subject = f"Taken over: {_title(incident)}"
    notice = _notice(incident, incident.level, TAKEN_OVER, subject, lines, act)
    return replace(notice, tier=tiers[0], others=tiers[1:])


def over(incident: Incident) -> Notice:
    """Return that an incident is over: reset at the detector, or calm for a while."""
    if incident.reset_at:
        act, why = AFTER_RESET, f"it was reset at the detector, at {incident.reset_at}"
    else:
        act = AFTER_CALM
        why = (
            "it was taken over, and the last word of the detector, at "
            f"{incident.changed_at}, is that it measures nothing like a fire"
        )
    lines = [
        f"This alarm is over: {why}.",
        act,
        *_story(incident, incident.level),
        f"Incident: {incident.incident_id}.",
    ]
    subject = f"Over: {_title(incident)}"
    return _notice(incident, incident.level, CLOSED, subject, lines, act)


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


def _title(incident: Incident, level: LevelName | None = None) -> str:
    level = level or incident.level
    fire = "FIRE AGAIN:" if incident.again_at(level) else "FIRE"
    return f"{fire} {level.upper()}: {incident.thing} at {place(incident.site)}"


def _story(incident: Incident, level: LevelName) -> list[str]:
    return [
        f"Where: {place(incident.site)}, detector {incident.thing}.",
        f"How severe: {level} (now {incident.current}).",
        f"Why: {because(incident.reasons)}.",
        f"Since: {incident.since(level)}.",
    ]


def _notice(
    incident: Incident, level: str, kind: str, subject: str, lines: list[str], act: str
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
        drill=incident.drill,
        act=act,
    )


def _told_by(climb: Climb) -> Incident:
    """Return what is known of an incident without its row."""
    said = Word(event_id="", at=climb.since)
    back = Back(number=climb.again, level=climb.level, first=said, after=said)
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
        back=back if climb.again else None,
    )
