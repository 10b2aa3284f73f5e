"""What a message is: whose it is, what it follows, what becomes of its incident. Pure."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from firedetect.contract.level import LATCHING_FROM, Level, LevelName
from firedetect.contract.messages import DetectorMessage, LinkLost
from firedetect.contract.problems import problem_of
from firedetect.errors import MessageRefusedError

EVENT_IDS_KEPT: Final = 200
"""Of an incident: a row has room for 400 KB."""
_ACKNOWLEDGED: Final = "acknowledged"
_SEQUENCE: Final = "-[0-9]{1,15}-[0-9]{1,15}"

Message = DetectorMessage | LinkLost
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


class Incident(BaseModel):
    """The row of an incident; `revision` rises with every change."""

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


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message with what the rule added: who sent it, and when AWS had it."""

    message: Message
    thing: str
    received_ms: int


def understood(event: object) -> Arrival:
    """Return the message in an event of the rule.

    Raises MessageRefusedError if it breaks the contract, or names another device than its topic or
    an event or incident that cannot be this device's own.
    """
    if not isinstance(event, dict):
        raise MessageRefusedError("the event is no object")
    body = dict(event)
    thing, received_ms = body.pop("thing", None), body.pop("received_ms", None)
    if not isinstance(thing, str) or type(received_ms) is not int:
        raise MessageRefusedError("the rule did not add thing and received_ms")
    try:
        message = _MESSAGE.validate_python(body)
    except ValidationError as error:
        raise MessageRefusedError(f"{thing}: {problem_of(error)}") from error
    if message.device != thing:
        raise MessageRefusedError(f"{thing}: speaks in the name of {message.device}")
    _own_names(message)
    return Arrival(message, thing, received_ms)


def order_of(event_id: str) -> tuple[int, int]:
    """Return boot and number of a detector's event: its own sequence, whatever way it took."""
    _, boot, number = event_id.rsplit("-", 2)
    return int(boot), int(number)


def older(message: DetectorMessage, event_id: object, ts: object) -> bool:
    """Whether a message is not newer than the event that was kept; the rules' time is no order.

    A lower boot with a later time is a detector whose memory was replaced: it counts anew.
    """
    if not isinstance(event_id, str) or re.search(_SEQUENCE + "$", event_id) is None:
        return False
    (boot, number), (kept_boot, kept_number) = order_of(message.event_id), order_of(event_id)
    if boot == kept_boot:
        return number <= kept_number
    return boot < kept_boot and message.ts <= str(ts)


def is_drill(message: DetectorMessage) -> bool:
    """Whether a message is a drill's: a declared fire and a trouble are always real."""
    declared = Level.from_label(message.level) >= LATCHING_FROM
    return message.drill and message.kind == "event" and not declared


def occurrence(arrival: Arrival) -> str:
    """Return what names an occurrence among those of its device.

    The last will is the same for all connections of one boot: the time tells them apart. So it
    does if a detector that lost its memory counts anew: its fire must not be taken for a trouble
    of the same number, of which people know.
    """
    message = arrival.message
    if isinstance(message, LinkLost):
        return f"{message.event_id}@{arrival.received_ms}"
    return f"{message.kind}:{message.event_id}@{message.ts}"


def receipt_needed(message: Message) -> bool:
    """Whether the device waits for word that people were told."""
    return isinstance(message, DetectorMessage) and message.kind == "alarm"


def changed(before: Incident | None, message: DetectorMessage) -> Incident:
    """Return the incident after a message; the order of messages does not matter.

    The level only rises. It counts as acknowledged up to the level that somebody acknowledged.
    Raises MessageRefusedError if the incident belongs to another device.
    """
    if message.incident_id is None:
        raise MessageRefusedError(f"{message.device}: {message.event_id} has no incident")
    if before is not None and before.thing != message.device:
        raise MessageRefusedError(
            f"{message.device}: incident {message.incident_id} belongs to {before.thing}"
        )
    known = before is not None and message.event_id in before.event_ids
    # One that is later than all that is known is another of the same name: see `occurrence`.
    if before is not None and known and message.ts <= before.changed_at:
        return before
    level = _higher(before.level if before else "normal", message.level)
    seen: LevelName = message.level if message.alarm == _ACKNOWLEDGED else "normal"
    seen = _higher(before.acknowledged_level if before else "normal", seen)
    newest = before is None or message.ts >= before.changed_at
    latest = message if before is None or newest else before
    return Incident(
        incident_id=message.incident_id,
        thing=message.device,
        site=message.site,
        level=level,
        current=latest.current,
        reasons=latest.reasons or (before.reasons if before else ()),
        drill=is_drill(message) and (before is None or before.drill),
        opened_at=min(before.opened_at, message.ts) if before else message.ts,
        changed_at=max(before.changed_at, message.ts) if before else message.ts,
        acknowledged=seen != "normal" and Level.from_label(seen) >= Level.from_label(level),
        acknowledged_level=seen,
        event_ids=((*before.event_ids, message.event_id) if before else (message.event_id,))[
            -EVENT_IDS_KEPT:
        ],
        revision=before.revision + 1 if before else 1,
    )


def _own_names(message: Message) -> None:
    """Refuse names that could be another's: `<device>-<boot>-<number>`, whole."""
    if isinstance(message, LinkLost):
        if message.event_id != f"{message.device}-{message.boot}-lost":
            raise MessageRefusedError(f"{message.device}: event {message.event_id} is not its own")
        return
    own = re.compile(re.escape(message.device) + _SEQUENCE)
    for what, name in (("event", message.event_id), ("incident", message.incident_id)):
        if name is not None and own.fullmatch(name) is None:
            raise MessageRefusedError(f"{message.device}: {what} {name} is not its own")


def _higher(one: LevelName, other: LevelName) -> LevelName:
    return one if Level.from_label(one) >= Level.from_label(other) else other
