"""What is due for an incident that is not over. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from firedetect.lambdas.escalation import LASTS_S, step_of
from firedetect.lambdas.incident import Incident

EVERY_S: Final = 14 * 60
"""Not twice in a quarter of an hour; looks are every 15 min and may be early."""
GRACE_S: Final = 120
"""The state machine is believed to be at work for so long after its planned end."""
REMIND_AFTER_S: Final = 4 * 3600
CALM_S: Final = 15 * 60
"""So long nothing must burn before an incident that nobody has reset is over."""


class Due(Enum):
    """What is to be done."""

    NOTHING = "nothing"
    TELL = "tell again that nobody has taken over"
    REMIND = "remind who took over that it is not over"
    CLOSE = "close"


def due(incident: Incident, now_ms: int) -> Due:
    """Return what is due for an open incident."""
    if incident.acknowledged or not incident.declared:
        if restored(incident, now_ms):
            return Due.CLOSE
        return Due.REMIND if _is_to_be_reminded(incident, now_ms) else Due.NOTHING
    # Where people could not be called that it is back, there is no machine at work.
    lasts_s = GRACE_S + (0 if is_to_be_called_again(incident) else LASTS_S)
    machine_works = not incident.unacknowledged_at and not _is_past(
        since_ms(incident), lasts_s, now_ms
    )
    told_lately = not _is_past(incident.told_again_ms, EVERY_S, now_ms)
    return Due.NOTHING if machine_works or told_lately else Due.TELL


def is_to_be_called_again(incident: Incident) -> bool:
    """Whether a fire came back and people were not called for it yet.

    A level that was not declared before has an alarm of its own.
    """
    if not incident.again_at(incident.level) or incident.acknowledged:
        return False
    if incident.closed_at or incident.reset_at or incident.drill:
        return False
    return step_of(incident.level, again=incident.again) not in incident.told


def restored(incident: Incident, now_ms: int) -> bool:
    """Whether the detector is back to normal: reset, or calm for a while."""
    if incident.reset_at:
        return True
    return incident.current == "normal" and _is_past(_ms(incident.changed_at), CALM_S, now_ms)


def since_ms(incident: Incident) -> int:
    """Return when its highest level was heard of, as far as the cloud can say.

    A detector whose clock is wrong says nonsense: never before the cloud had a message.
    """
    heard_ms = incident.back.received_ms if incident.back else 0
    return max(_ms(incident.since(incident.level)), incident.received_ms, heard_ms)


def taken_over_ms(incident: Incident) -> int:
    """Return when it was taken over, 0 if that is not known."""
    first = incident.taken_over
    return max(_ms(first.at), incident.received_ms) if first else 0


def again(now_ms: int) -> Callable[[Incident], Incident]:
    """Return the change that says that people were told again."""
    return lambda row: row.model_copy(
        update={"told_again_ms": now_ms, "revision": row.revision + 1}
    )


def reminded(now_ms: int) -> Callable[[Incident], Incident]:
    """Return the change that says that people were reminded."""
    return lambda row: row.model_copy(update={"reminded_ms": now_ms, "revision": row.revision + 1})


def _is_to_be_reminded(incident: Incident, now_ms: int) -> bool:
    if incident.reminded_ms or not incident.declared:
        return False
    return _is_past(taken_over_ms(incident), REMIND_AFTER_S, now_ms)


def _is_past(since: int, wait_s: float, now_ms: int) -> bool:
    """Whether a time is so long ago; one in the future says nothing."""
    return not 0 <= now_ms - since < wait_s * 1000


def _ms(ts: str) -> int:
    """Return a time as ms since 1970, 0 if it is none; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(ts)
    except ValueError:
        return 0
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
