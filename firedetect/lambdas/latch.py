"""Which alarm of a detector is the newest, and whether it was reset since. Pure.

A reset names no incident: its message says only that nothing is latched any more. So the row of
the device knows the newest alarm and the newest all-clear, whichever arrives first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from firedetect.contract.messages import DetectorMessage
from firedetect.lambdas.policy import not_newer, older, order_of

_CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Over:
    """An incident that a later all-clear of its detector has ended."""

    incident_id: str
    event_id: str
    ts: str


def speaks_of_it(message: DetectorMessage) -> bool:
    """Whether a message says that something is latched now, or that nothing is."""
    return message.kind == "alarm" or (message.incident_id is None and message.alarm == _CLEAR)


def after(row: Mapping[str, object], message: DetectorMessage) -> dict[str, object]:
    """Return the row after a message; an older word changes nothing."""
    what = "alarm" if message.kind == "alarm" else _CLEAR
    if older(message, row.get(f"{what}_id"), row.get(f"{what}_ts")):
        return dict(row)
    changes: dict[str, object] = {f"{what}_id": message.event_id, f"{what}_ts": message.ts}
    if what == "alarm":
        changes["incident_id"] = message.incident_id
    return dict(row) | changes


def over(row: Mapping[str, object]) -> Over | None:
    """Return the incident of the newest alarm if the newest all-clear is later."""
    incident_id, event_id, ts = (row.get(name) for name in ("incident_id", "clear_id", "clear_ts"))
    if not (isinstance(incident_id, str) and isinstance(event_id, str)):
        return None
    if not_newer(event_id, str(ts), row.get("alarm_id"), row.get("alarm_ts")):
        return None
    return Over(incident_id, event_id, str(ts))


def known_to(event_ids: Iterable[str], found: Over) -> bool:
    """Whether the detector knew of the incident in the boot in which it said all-clear.

    One that lost its memory in the fire says so too, and nobody has reset anything.
    """
    boot, _ = order_of(found.event_id)
    return any(order_of(event_id)[0] == boot for event_id in event_ids)
