"""What a message is: whose it is, what it follows, whether it is a drill. Pure."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from firedetect.contract.level import LATCHING_FROM, Level
from firedetect.contract.messages import DetectorMessage, LinkLost
from firedetect.contract.names import picture_key
from firedetect.contract.problems import problem_of
from firedetect.errors import MessageRefusedError

_SEQUENCE: Final = "-[0-9]{1,15}-[0-9]{1,15}"

Message = DetectorMessage | LinkLost
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


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
    """Whether a message is not newer than the event that was kept; the rules' time is no order."""
    return not_newer(message.event_id, message.ts, event_id, ts)


def not_newer(event_id: str, ts: str, kept_id: object, kept_ts: object) -> bool:
    """Whether an event is not newer than a kept one of the same detector.

    A lower boot with a later time is a detector whose memory was replaced: it counts anew.
    """
    if not isinstance(kept_id, str) or re.search(_SEQUENCE + "$", kept_id) is None:
        return False
    (boot, number), (kept_boot, kept_number) = order_of(event_id), order_of(kept_id)
    if boot == kept_boot:
        return number <= kept_number
    return boot < kept_boot and ts <= str(kept_ts)


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


def pictured(message: DetectorMessage) -> str:
    """Return the key of a message's picture: one that is its own, else nothing."""
    own = picture_key(message.device, message.incident_id or "")
    return own if message.incident_id and message.picture == own else ""


def refuse_foreign_picture(message: DetectorMessage) -> None:
    """Raise MessageRefusedError if a message names a picture that is not its incident's own."""
    if message.picture is not None and not pictured(message):
        raise MessageRefusedError(f"{message.device}: picture {message.picture!r} is not its own")


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
