"""What becomes of an incident by messages and by what people do, in whatever order. Pure."""

from typing import Final

from pydantic import BaseModel, ConfigDict

from firedetect.contract.level import LATCHING_FROM, Level, LevelName
from firedetect.contract.messages import DetectorMessage
from firedetect.errors import MessageRefusedError
from firedetect.lambdas.policy import is_drill, pictured

EVENT_IDS_KEPT: Final = 200
"""Of an incident: a row has room for 400 KB."""
DEVICE: Final = "device"
"""Somebody acknowledged at the detector or through it: button, page, command line, shadow."""
RESET: Final = "reset"
"""Somebody reset the alarm at the detector: that is more than an acknowledgement."""
LINK: Final = "link"
"""Somebody used the link in a message."""
_ACKNOWLEDGED: Final = frozenset({"acknowledged", "acknowledged-silenced"})
_TO_MS: Final = 23
"""So many characters of a time are the same from everybody: `2026-01-01T00:00:00.000`."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Acknowledgement(_Value):
    """Who took over which level, and when by their own clock."""

    level: LevelName
    source: str
    at: str
    by: str = ""


class LogLine(_Value):
    """One thing that happened."""

    at: str
    what: str


class Incident(_Value):
    """The row of an incident; `revision` rises with every change.

    `levels` says when each level was first declared, `told` when people heard of what;
    `acknowledgements` are in order of time: the first that covers the level counts, the others
    are history. `picture` is the key of its picture in the bucket. `label` is what a person found
    it to be afterwards. Times in ms and `unacknowledged_at` are the cloud's, the others whoever
    says it.
    """

    incident_id: str
    thing: str
    site: str
    level: LevelName
    current: LevelName
    reasons: tuple[str, ...]
    drill: bool
    opened_at: str
    changed_at: str
    acknowledged: bool
    acknowledged_level: LevelName
    event_ids: tuple[str, ...]
    revision: int
    received_ms: int = 0
    levels: dict[str, str] = {}
    acknowledgements: tuple[Acknowledgement, ...] = ()
    told: dict[str, str] = {}
    picture: str = ""
    unacknowledged_at: str = ""
    told_again_ms: int = 0
    reminded_ms: int = 0
    reset_at: str = ""
    closed_at: str = ""
    label: str = ""
    labelled_at: str = ""
    log: tuple[LogLine, ...] = ()

    @property
    def declared(self) -> bool:
        """Whether it is a fire, not a suspicion."""
        return Level.from_label(self.level) >= LATCHING_FROM

    @property
    def taken_over(self) -> Acknowledgement | None:
        """Who took it over as severe as it is: the first, None if nobody has."""
        level = Level.from_label(self.level)
        covering = (one for one in self.acknowledgements if Level.from_label(one.level) >= level)
        return next(covering, None)

    def covered(self, level: LevelName) -> bool:
        """Whether somebody has acknowledged this level or a higher one."""
        seen = self.acknowledged_level
        return seen != "normal" and Level.from_label(seen) >= Level.from_label(level)


def says_acknowledged(message: DetectorMessage) -> bool:
    """Whether somebody has acknowledged at the detector, by what it says."""
    return message.alarm in _ACKNOWLEDGED


def changed(before: Incident | None, message: DetectorMessage, received_ms: int = 0) -> Incident:
    """Return the incident after a message; the order of messages does not matter.

    The level only rises. It counts as acknowledged up to the level that somebody acknowledged.
    Raises MessageRefusedError if the incident belongs to another device.
    """
    if message.incident_id is None:
        raise MessageRefusedError(f"{message.device}: {message.event_id} has no incident")
    if before is None:
        return _with(_opened(message, received_ms), _said(message))
    if before.thing != message.device:
        raise MessageRefusedError(
            f"{message.device}: incident {message.incident_id} belongs to {before.thing}"
        )
    # One that is later than all that is known is another of the same name: see `occurrence`.
    if message.event_id in before.event_ids and message.ts <= before.changed_at:
        return before
    return _with(_folded(before, message, received_ms), _said(message))


def acknowledged(before: Incident, given: Acknowledgement) -> Incident:
    """Return the incident after an acknowledgement; the same one again changes nothing."""
    after = _with(before, given)
    return after if after == before else after.model_copy(update={"revision": before.revision + 1})


def reset(before: Incident, ts: str) -> Incident:
    """Return the incident after somebody reset the alarm at the detector."""
    after = _with(before, Acknowledgement(level=before.level, source=RESET, at=ts))
    first = min(before.reset_at or ts, ts)
    if after == before and first == before.reset_at:
        return before
    return after.model_copy(update={"reset_at": first, "revision": before.revision + 1})


def noted(before: Incident, what: str, ts: str) -> Incident:
    """Return the incident with what people were told; the first time counts."""
    if what in before.told:
        return before
    told = before.told | {what: ts}
    return before.model_copy(update={"told": told, "revision": before.revision + 1})


def closed(before: Incident, ts: str) -> Incident:
    """Return the incident with its log, over."""
    if before.closed_at:
        return before
    changes = {"closed_at": ts, "log": _log(before, ts), "revision": before.revision + 1}
    return before.model_copy(update=changes)


def _opened(message: DetectorMessage, received_ms: int) -> Incident:
    return Incident(
        incident_id=message.incident_id or "",
        thing=message.device,
        site=message.site,
        level=message.level,
        current=message.current,
        reasons=message.reasons,
        drill=is_drill(message),
        opened_at=message.ts,
        changed_at=message.ts,
        acknowledged=False,
        acknowledged_level="normal",
        event_ids=(message.event_id,),
        revision=1,
        received_ms=received_ms,
        levels={message.level: message.ts},
        picture=pictured(message),
    )


def _folded(before: Incident, message: DetectorMessage, received_ms: int) -> Incident:
    newest = message.ts >= before.changed_at
    latest = message if newest else before
    # A fire that comes back after the incident was closed is the same one: it is latched.
    again = newest and Level.from_label(message.current) >= LATCHING_FROM
    over = {"closed_at": "", "log": ()} if again else {}
    first = min(before.levels.get(message.level, message.ts), message.ts)
    return before.model_copy(
        update={
            "level": higher(before.level, message.level),
            "current": latest.current,
            "reasons": latest.reasons or before.reasons,
            "site": latest.site,
            "drill": is_drill(message) and before.drill,
            "opened_at": min(before.opened_at, message.ts),
            "changed_at": max(before.changed_at, message.ts),
            "event_ids": (*before.event_ids, message.event_id)[-EVENT_IDS_KEPT:],
            "received_ms": min(before.received_ms or received_ms, received_ms),
            "levels": before.levels | {message.level: first},
            "picture": before.picture or pictured(message),
            "revision": before.revision + 1,
            **over,
        }
    )


def _said(message: DetectorMessage) -> Acknowledgement | None:
    """Return what a message says of an acknowledgement."""
    if not says_acknowledged(message):
        return None
    return Acknowledgement(level=message.level, source=DEVICE, at=message.ts)


def _with(incident: Incident, given: Acknowledgement | None) -> Incident:
    """Return the incident with an acknowledgement in its place: the earliest word of each."""
    known = {(one.level, one.source, one.by): one for one in incident.acknowledgements}
    seen = incident.acknowledged_level
    if given is not None:
        name = (given.level, given.source, given.by)
        known[name] = min(known.get(name, given), given, key=_when)
        seen = higher(seen, given.level)
    update = {
        "acknowledgements": tuple(sorted(known.values(), key=_when)),
        "acknowledged_level": seen,
    }
    after = incident.model_copy(update=update)
    return after.model_copy(update={"acknowledged": after.covered(after.level)})


def _when(one: Acknowledgement) -> tuple[str, str, str, str]:
    return one.at[:_TO_MS], one.source, one.by, one.level


def _log(incident: Incident, ts: str) -> tuple[LogLine, ...]:
    """Return what happened, in order of the times that were said."""
    lines = [LogLine(at=at, what=f"level {level}") for level, at in incident.levels.items()]
    lines += [LogLine(at=at, what=f"people told: {step}") for step, at in incident.told.items()]
    lines += [
        LogLine(at=one.at, what=f"{one.level} acknowledged: {one.source} {one.by}".strip())
        for one in incident.acknowledgements
    ]
    if incident.unacknowledged_at:
        lines.append(LogLine(at=incident.unacknowledged_at, what="nobody has acknowledged"))
    if incident.reset_at:
        lines.append(LogLine(at=incident.reset_at, what="reset at the detector"))
    lines.append(LogLine(at=incident.changed_at, what=f"last word: now {incident.current}"))
    lines = sorted(lines, key=lambda line: line.at[:_TO_MS])
    return (*lines, LogLine(at=ts, what="closed"))


def higher(one: LevelName, other: LevelName) -> LevelName:
    """Return the more severe of two levels."""
    return one if Level.from_label(one) >= Level.from_label(other) else other
