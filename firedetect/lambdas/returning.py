"""Calls people anew when a fire is measured again of which they were told that it is over.

Nothing but the row knows that they were told, so it comes first here: until it says that all of
this is done, each later message of the detector makes it good.
"""

import logging
from functools import cache

from firedetect.lambdas.calls import back_again
from firedetect.lambdas.climbing import Starter
from firedetect.lambdas.escalation import Climb, step_of
from firedetect.lambdas.facts import nth
from firedetect.lambdas.failures import Failures
from firedetect.lambdas.incident import Incident, noted
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.notices import Notice
from firedetect.lambdas.now import Now, in_ms, iso
from firedetect.lambdas.once import Once
from firedetect.lambdas.people import Speaker
from firedetect.lambdas.response import is_to_be_called_again
from firedetect.lambdas.tokens import Signer

_log = logging.getLogger(__name__)


class Returning:
    """Whoever finds that a fire came back asks for it: people are called once for each return."""

    def __init__(
        self,
        incidents: Incidents,
        speaker: Speaker,
        signer: Signer,
        starter: Starter,
        once: Once,
        now: Now,
    ) -> None:
        self._incidents = incidents
        self._speaker = speaker
        self._signer = signer
        self._starter = starter
        self._once = once
        self._now = now

    def call(self, incident: Incident, failures: Failures) -> None:
        """Call the first people, then let the escalation begin anew; what fails is in `failures`.

        Other services hear of it next, and the row says at last that all of it is done.
        """
        if not is_to_be_called_again(incident):
            return
        thing, name = incident.thing, f"alarm:{incident.incident_id}{nth(incident.again)}"
        told_ms = in_ms(self._now())

        @cache
        def notice() -> Notice:
            link = failures.attempt(
                lambda: self._signer.link(incident.incident_id, thing, told_ms // 1000)
            )
            pictured = bool(incident.picture)
            return back_again(incident).with_link(link or "", pictured=pictured)

        def tell() -> str:
            facts = {
                "incident_id": incident.incident_id,
                "ts": incident.since(incident.level),
                "handled_ms": str(told_ms),
            }
            return self._speaker.tell(notice(), facts)

        told = failures.attempt(lambda: self._once.surely(thing, name, tell, failures))
        if told is None:
            return
        _log.warning("%s: it is back%s", incident.incident_id, nth(incident.again))
        done = failures.attempt(lambda: self._start(incident, told_ms))
        if self._speaker.posts:
            post = f"post:{name}"
            posted = failures.attempt(
                lambda: self._once.do(thing, post, lambda: self._speaker.post(notice()))
            )
            done = done and posted is not None
        if done:
            failures.attempt(lambda: self._note(incident))

    def _start(self, incident: Incident, told_ms: int) -> bool:
        self._starter.start(
            Climb(
                incident_id=incident.incident_id,
                thing=incident.thing,
                site=incident.site,
                level=incident.level,
                reasons=incident.reasons,
                since=incident.since(incident.level),
                told_ms=told_ms,
                again=incident.again,
            )
        )
        return True

    def _note(self, incident: Incident) -> None:
        step = step_of(incident.level, again=incident.again)
        ts = iso(self._now())
        self._incidents.change(incident.incident_id, lambda row: noted(row, step, ts))
