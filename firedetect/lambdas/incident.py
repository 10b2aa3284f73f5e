"""What becomes of an incident by messages and by what people do, in whatever order. Pure."""

from typing import Final

from pydantic import BaseModel, ConfigDict

from firedetect.contract.level import LATCHING_FROM, Level, LevelName
from firedetect.contract.messages import DetectorMessage
from firedetect.errors import MessageRefusedError
from firedetect.lambdas.facts import (
    DEVICE,
    RESET,
    Acknowledgement,
    Back,
    LogLine,
    Opinion,
    Word,
    counting,
    higher,
    in_order,
    merged,
    newest,
    word_of,
)
from firedetect.lambdas.policy import is_drill, pictured

EVENT_IDS_KEPT: Final = 200
"""Of an incident: a row has room for 400 KB."""
_ACKNOWLEDGED: Final = frozenset({"acknowledged", "acknowledged-silenced"})


class Incident(BaseModel):
    """The row of an incident; `revision` rises with every change.

    `levels` says when each level was first declared, `told` when people heard of what;
    `acknowledgements` are in order of time: the first that covers the level counts, the others
    are history. `picture` is the key of its picture in the bucket. `label` is what a person found
    it to be afterwards. `over` is the last word of the detector when people were told that it is
    over; `back` says that it has measured a fire since: only what is acknowledged after that counts
    then. `opinion` is a second one on its score, if the cloud has an endpoint. Times in ms and
    `unacknowledged_at` are the cloud's, the others whoever says it.
    """

    model_config = ConfigDict(frozen=True)

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
    over: Word | None = None
    back: Back | None = None
    opinion: Opinion | None = None

    @property
    def again(self) -> int:
        """How often it came back after people were told that it is over."""
        return self.back.number if self.back else 0

    def again_at(self, level: LevelName) -> int:
        """Return the return that people are called for at a level.

        0 for a level that was not declared before it: that is an alarm of its own.
        """
        is_old = self.back and Level.from_label(level) <= Level.from_label(self.back.level)
        return self.again if is_old else 0

    def since(self, level: LevelName) -> str:
        """Return since when it is as severe: since it came back if it was so before."""
        if self.back and self.again_at(level):
            return self.back.first.at
        return self.levels.get(level, self.opened_at)

    @property
    def declared(self) -> bool:
        """Whether it is a fire, not a suspicion."""
        return Level.from_label(self.level) >= LATCHING_FROM

    @property
    def taken_over(self) -> Acknowledgement | None:
        """Who took it over as severe as it is: the first, None if nobody has."""
        level = Level.from_label(self.level)
        given = counting(self.acknowledgements, self.back)
        return next((one for one in given if Level.from_label(one.level) >= level), None)

    def covered(self, level: LevelName) -> bool:
        """Whether somebody has acknowledged this level or a higher one."""
        seen = self.acknowledged_level
        return seen != "normal" and Level.from_label(seen) >= Level.from_label(level)


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
    given = Acknowledgement(level=before.level, source=RESET, at=ts, again=before.again)
    after = _with(before, given)
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


def ending(before: Incident) -> Incident:
    """Return the incident just before people are told that it is over.

    Whatever the detector measures after what is known now is news to them.
    """
    last = newest(before.event_ids, before.changed_at)
    if before.over == last:
        return before
    return before.model_copy(update={"over": last, "revision": before.revision + 1})


def closed(before: Incident, ts: str) -> Incident:
    """Return the incident with its log, over."""
    if before.closed_at:
        return before
    changes = {
        "closed_at": ts,
        "log": _log(before, ts),
        "over": before.over or newest(before.event_ids, before.changed_at),
        "revision": before.revision + 1,
    }
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
    # By its number: a detector's clock may be set back.
    last = newest(before.event_ids, before.changed_at)
    latest = message if last.is_before(message.event_id, message.ts) else before
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
            **_reopened(before, message, received_ms),
        }
    )


def _reopened(before: Incident, message: DetectorMessage, received_ms: int) -> dict[str, object]:
    """Return what changes if a message measures a fire which people believe to be over.

    It is the same fire: it is latched. After a reset the next one is another.
    """
    if Level.from_label(message.current) < LATCHING_FROM or before.reset_at:
        return {}
    last = before.over
    if last is None and before.closed_at:
        last = newest(before.event_ids, before.changed_at)
    if last is None or not last.is_before(message.event_id, message.ts):
        return {"back": before.back.earlier(message)} if before.back else {}
    changes: dict[str, object] = {"closed_at": "", "over": None}
    if not before.declared:
        return changes
    number, first = before.again + 1, word_of(message)
    line = LogLine(at=message.ts, what=f"measured again: {message.current}")
    return changes | {
        "back": Back(
            number=number, level=before.level, first=first, after=last, received_ms=received_ms
        ),
        "log": (*before.log, line),
        "unacknowledged_at": "",
        "told_again_ms": 0,
        "reminded_ms": 0,
    }


def _said(message: DetectorMessage) -> Acknowledgement | None:
    """Return what a message says of an acknowledgement."""
    if message.alarm not in _ACKNOWLEDGED:
        return None
    return Acknowledgement(
        level=message.level, source=DEVICE, at=message.ts, event_id=message.event_id
    )


def _with(incident: Incident, given: Acknowledgement | None) -> Incident:
    """Return the incident with an acknowledgement in its place."""
    known = merged(incident.acknowledgements, given)
    # A row of an earlier version has only the level.
    seen: LevelName = "normal" if incident.back else incident.acknowledged_level
    for one in counting(known, incident.back):
        seen = higher(seen, one.level)
    update = {"acknowledgements": known, "acknowledged_level": seen}
    after = incident.model_copy(update=update)
    return after.model_copy(update={"acknowledged": after.covered(after.level)})


def _log(incident: Incident, ts: str) -> tuple[LogLine, ...]:
    """Return what happened, in order of the times that were said."""
    lines = list(incident.log)
    lines += [LogLine(at=at, what=f"level {level}") for level, at in incident.levels.items()]
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
    return (*in_order(lines), LogLine(at=ts, what="closed"))
