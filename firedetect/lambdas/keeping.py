"""Troubles and links of devices: people are told of what is new, then the row says so."""

from collections.abc import Callable
from typing import Final

from firedetect.contract.messages import DetectorMessage, LinkLost
from firedetect.lambdas import latch, link
from firedetect.lambdas.devices import ALARM, LINK, TROUBLE, Devices, Row
from firedetect.lambdas.incidents import ATTEMPTS, BusyError
from firedetect.lambdas.notices import Notice, notice_of
from firedetect.lambdas.policy import Arrival, older

Tell = Callable[[Arrival, Notice | None], str | None]
"""Tells people and returns the message id; None if there is nothing to tell."""

_BUSY: Final = "its row is changed all the time"


class Keeping:
    """Judges a message by the row that is kept, again if the row has changed meanwhile."""

    def __init__(self, devices: Devices, tell: Tell) -> None:
        self._devices = devices
        self._tell = tell

    def lost(self, arrival: Arrival, message: LinkLost) -> str | None:
        """Keep a lost link; returns the message id if people were told."""
        told: str | None = None
        for _ in range(ATTEMPTS):
            before = self._devices.kept(arrival.thing, LINK)
            if arrival.received_ms < link.at_ms(before):
                return told
            if told is None and link.news(before, arrival.received_ms):
                # People first, the note that they were told after: better twice than never.
                told = self._tell(arrival, notice_of(message))
            changes = link.lost(before, arrival.received_ms, told=told is not None)
            if self._devices.keep(before, before | _facts(arrival, LINK) | changes):
                return told
        raise BusyError(f"{arrival.thing}: {_BUSY}")

    def trouble(self, arrival: Arrival, message: DetectorMessage) -> str | None:
        """Keep the troubles unless newer ones are kept; returns the message id if told."""
        told: str | None = None
        for _ in range(ATTEMPTS):
            before = self._devices.kept(arrival.thing, TROUBLE)
            if older(message, before.get("event_id"), before.get("ts")):
                # If it was told before a newer one was kept, that one was judged without it.
                return told and (self._correct(arrival, message, before) or told)
            if told is None:
                told = self._tell(arrival, notice_of(message, _troubles(before)))
            after = _facts(arrival, TROUBLE) | {
                "troubles": message.troubles,
                "health": message.health.value,
                "ts": message.ts,
            }
            if self._devices.keep(before, after):
                return told
        raise BusyError(f"{arrival.thing}: {_BUSY}")

    def _correct(self, arrival: Arrival, message: DetectorMessage, kept: Row) -> str | None:
        newest = message.model_dump() | {name: kept[name] for name in ("health", "ts")}
        newest |= {"troubles": _troubles(kept)}
        notice = notice_of(DetectorMessage.model_validate(newest), message.troubles)
        return self._tell(arrival, notice)

    def returned(self, arrival: Arrival) -> None:
        """Keep that a detector whose link was lost has spoken since."""
        for _ in range(ATTEMPTS):
            before = self._devices.kept(arrival.thing, LINK)
            is_news = before.get("state") == link.LOST and arrival.received_ms > link.at_ms(before)
            after = before | {"state": link.RETURNED, "received_ms": arrival.received_ms}
            if not is_news or self._devices.keep(before, after):
                return
        raise BusyError(f"{arrival.thing}: {_BUSY}")

    def settled(self, message: DetectorMessage) -> latch.Over | None:
        """Keep the newest alarm or all-clear; returns the incident that is over by it."""
        if not latch.speaks_of_it(message):
            return None
        for _ in range(ATTEMPTS):
            before = self._devices.kept(message.device, ALARM)
            after = latch.after(before, message) | {"thing": message.device, "kind": ALARM}
            if after == before or self._devices.keep(before, after):
                return latch.over(after)
        raise BusyError(f"{message.device}: {_BUSY}")


def _facts(arrival: Arrival, kind: str) -> Row:
    return {
        "thing": arrival.thing,
        "kind": kind,
        "site": arrival.message.site,
        "event_id": arrival.message.event_id,
        "received_ms": arrival.received_ms,
    }


def _troubles(row: Row) -> tuple[str, ...]:
    kept = row.get("troubles", ())
    return tuple(str(name) for name in kept) if isinstance(kept, list) else ()
