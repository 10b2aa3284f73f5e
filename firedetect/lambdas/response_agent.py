"""firedetect-response-agent: every 15 min, what becomes of the incidents that are not over.

It calls people where the escalation has ended without an answer, reminds who took over, and closes
with a log what is over. What waits longest goes first, as much as there is time for.
"""

import logging
import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

from pydantic import ValidationError

from firedetect.errors import FiredetectError
from firedetect.lambdas import metrics
from firedetect.lambdas.calls import back_again, over, reminder, unanswered
from firedetect.lambdas.escalation import LAST
from firedetect.lambdas.facts import nth
from firedetect.lambdas.failures import Failures
from firedetect.lambdas.incident import Incident, closed, ending, noted
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.notices import Notice
from firedetect.lambdas.now import Now, in_ms, iso, utc_now
from firedetect.lambdas.people import Speaker
from firedetect.lambdas.response import Due, again, due, reminded, since_ms, taken_over_ms
from firedetect.lambdas.rows import QUICK, client
from firedetect.lambdas.settings import ResponseSettings
from firedetect.lambdas.tokens import Signer

RESERVE_MS: Final = 20_000
"""Nothing is begun with less time than calls that hang may take."""
_ORDER: Final = (Due.TELL, Due.REMIND, Due.CLOSE)

_log = logging.getLogger(__name__)


class FollowUpError(FiredetectError):
    """Not every incident could be followed up; the message names them."""


def handler(event: object, context: Any) -> dict[str, object]:  # noqa: ANN401, ARG001 - AWS's shape
    """Look at every open incident once; raises FollowUpError after trying them all."""
    return _agent().look(context.get_remaining_time_in_millis)


class ResponseAgent:
    """The handler with the clients it uses."""

    def __init__(
        self,
        settings: ResponseSettings,
        dynamodb: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        sns: Any,  # noqa: ANN401
        now: Now = utc_now,
        *,
        events: Any = None,  # noqa: ANN401
        kms: Any = None,  # noqa: ANN401
    ) -> None:
        self._incidents = Incidents(dynamodb, settings.incidents_table)
        self._speaker = Speaker(sns, settings.people_topic_arn, events, settings.event_bus)
        self._signer = Signer(kms, settings.sign_key, settings.acknowledge_url)
        self._now = now

    def look(self, remaining_ms: Callable[[], int]) -> dict[str, object]:
        """Do what is due of every open incident, calls first."""
        now_ms = in_ms(self._now())
        failed: list[str] = []
        found = self._open(remaining_ms, failed)
        counts = dict.fromkeys(_ORDER, 0)
        work = [(due(incident, now_ms), incident) for incident in found]
        todo = [one for one in work if one[0] is not Due.NOTHING]
        for what, incident in sorted(todo, key=_urgency):
            if remaining_ms() < RESERVE_MS:
                _log.warning(
                    "%d incidents wait for the next look", len(todo) - sum(counts.values())
                )
                break
            counts[what] += 1
            self._try(incident.incident_id, failed, partial(self._do, what, incident, now_ms))
        still = len(found) - counts[Due.CLOSE]
        metrics.count("OpenIncidents", still)
        if failed:
            raise FollowUpError(f"not followed up: {', '.join(failed)}")
        return {
            "open": still,
            "told": counts[Due.TELL],
            "reminded": counts[Due.REMIND],
            "closed": counts[Due.CLOSE],
        }

    def _open(self, remaining_ms: Callable[[], int], failed: list[str]) -> list[Incident]:
        found = []
        for rows in self._incidents.open_rows():
            for row in rows:
                try:
                    found.append(Incident.model_validate(row))
                except ValidationError as error:
                    _log.warning("%s: not understood: %s", row.get("incident_id"), error)
                    failed.append(str(row.get("incident_id")))
            if remaining_ms() < 2 * RESERVE_MS:
                _log.error("the table of incidents is too long to be read in the time there is")
                failed.append("the rest of the table")
                break
        return found

    def _try(self, incident_id: str, failed: list[str], do: Callable[[], None]) -> bool:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - the others must be followed up, too
            _log.warning("%s: %s", incident_id, error)
            failed.append(incident_id)
            return False
        return True

    def _do(self, what: Due, incident: Incident, now_ms: int) -> None:
        if what is Due.TELL:
            self._call(incident, now_ms)
        elif what is Due.REMIND:
            self._say(reminder(incident, now_ms - taken_over_ms(incident)), reminded(now_ms))
        else:
            self._close(incident.incident_id, now_ms)

    def _close(self, incident_id: str, now_ms: int) -> None:
        # It may have flared up since the index was read. The row first: what is measured from now
        # on calls people, and would not if they heard that it is over before the row says so.
        incident = self._incidents.change(
            incident_id, lambda row: ending(row) if due(row, now_ms) is Due.CLOSE else row
        )
        if incident is None or due(incident, now_ms) is not Due.CLOSE:
            return
        if incident.declared:
            since = incident.reset_at or incident.changed_at
            notice, known = over(incident), f"over since {since}{nth(incident.again)}"
            if known not in incident.told:
                self._tell(notice, lambda row: noted(row, known, iso(self._now())))
            # Closed at last: what is closed is not looked at again, and services must hear of it.
            self._speaker.post(notice)
        after = self._incidents.change(incident_id, partial(self._closed, now_ms))
        if after is not None and after.again > incident.again:
            # They were called while they were told that it is over: the last word must be true.
            self._say_linked(back_again(after), after, lambda row: row, now_ms)

    def _call(self, incident: Incident, now_ms: int) -> None:
        notice = unanswered(incident, incident.level, LAST, now_ms - since_ms(incident))
        self._say_linked(notice, incident, again(now_ms), now_ms)

    def _say_linked(
        self, notice: Notice, incident: Incident, told: Callable[[Incident], Incident], now_ms: int
    ) -> None:
        failures = Failures()
        link = failures.attempt(
            lambda: self._signer.link(incident.incident_id, incident.thing, now_ms // 1000)
        )
        self._say(notice.with_link(link or "", pictured=bool(incident.picture)), told)
        failures.settle()

    def _say(self, notice: Notice, told: Callable[[Incident], Incident]) -> None:
        self._tell(notice, told)
        self._speaker.post(notice)

    def _tell(self, notice: Notice, told: Callable[[Incident], Incident]) -> None:
        # People first, the note that they were told after: better twice than never.
        facts = {"incident_id": notice.incident_id, "handled_ms": str(in_ms(self._now()))}
        self._speaker.tell(notice, facts)
        self._incidents.change(notice.incident_id, told)

    def _closed(self, now_ms: int, row: Incident) -> Incident:
        # It may have flared up since it was read.
        return closed(row, iso(self._now())) if due(row, now_ms) is Due.CLOSE else row


def _urgency(one: tuple[Due, Incident]) -> tuple[int, int, str]:
    what, incident = one
    return _ORDER.index(what), incident.told_again_ms, incident.incident_id


@cache
def _agent() -> ResponseAgent:
    """Return the one of this execution environment: clients are made once."""
    settings = ResponseSettings.read(os.environ)
    return ResponseAgent(
        settings,
        client("dynamodb"),
        client("sns"),
        events=client("events", QUICK),
        kms=client("kms", QUICK),
    )
