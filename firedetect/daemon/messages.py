"""Outcomes that changed something become messages for the outbox."""

from collections.abc import Callable

from firedetect.contract.contributions import to_send
from firedetect.contract.level import LATCHING_FROM
from firedetect.contract.messages import PRIORITY, DetectorMessage, MessageKind
from firedetect.decision.outcome import Outcome
from firedetect.storage.store import Message


def no_picture(_outcome: Outcome) -> str | None:
    """Name no picture: the site did not opt in."""
    return None


def message_of(
    outcome: Outcome,
    before: Outcome | None,
    device: str,
    site: str,
    picture_of: Callable[[Outcome], str | None] = no_picture,
) -> Message | None:
    """Return the message about an outcome, None if nothing changed with it.

    `picture_of` is asked for the picture of an alarm.
    """
    if outcome.event_id is None:
        return None
    kind = _kind(outcome, before)
    record = outcome.as_record()
    fields = {name: record[name] for name in DetectorMessage.model_fields if name in record}
    fields["contributions"] = to_send(outcome.contributions)
    if kind == "alarm":
        fields["picture"] = picture_of(outcome)
    body = DetectorMessage(kind=kind, device=device, site=site, **fields)
    return Message(outcome.event_id, PRIORITY[kind], kind, body.model_dump_json())


def _kind(outcome: Outcome, before: Outcome | None) -> MessageKind:
    rose = before is None or outcome.level > before.level
    if rose and outcome.level >= LATCHING_FROM:
        return "alarm"
    if before is None or (outcome.health, outcome.troubles) != (before.health, before.troubles):
        return "trouble"
    return "event"
