"""Tells those who were called that somebody has taken over, once for each level of an incident."""

from typing import Final

from firedetect.lambdas.calls import taken_over
from firedetect.lambdas.escalation import called, step_of
from firedetect.lambdas.facts import nth
from firedetect.lambdas.failures import Failures
from firedetect.lambdas.incident import Incident, noted
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.now import Now, in_ms, iso
from firedetect.lambdas.once import Once
from firedetect.lambdas.people import Speaker

_WHAT: Final = "taken over"


class StandingDown:
    """Whoever finds an incident taken over asks for it: the same again tells nobody again."""

    def __init__(self, incidents: Incidents, speaker: Speaker, once: Once, now: Now) -> None:
        self._incidents = incidents
        self._speaker = speaker
        self._once = once
        self._now = now

    def tell(self, incident: Incident, failures: Failures) -> None:
        """Tell who was called for an incident, then other services; what fails is in `failures`.

        The row says at last that all of it is done: until then the next one who asks makes it good.
        """
        if not is_due(incident):
            return
        thing, name = incident.thing, f"taken-over:{incident.incident_id}:{incident.level}"
        name += nth(incident.again_at(incident.level))
        notice = taken_over(incident, called(incident))
        ts = iso(self._now())

        def tell() -> str:
            facts = {"incident_id": incident.incident_id, "handled_ms": str(in_ms(self._now()))}
            return self._speaker.tell(notice, facts)

        done = failures.attempt(lambda: self._once.surely(thing, name, tell, failures))
        if done is not None and self._speaker.posts:
            post = f"post:{name}"
            done = failures.attempt(
                lambda: self._once.do(thing, post, lambda: self._speaker.post(notice))
            )
        if done is not None:
            failures.attempt(lambda: self._note(incident, ts))

    def _note(self, incident: Incident, ts: str) -> None:
        step = _step(incident)
        self._incidents.change(incident.incident_id, lambda row: noted(row, step, ts))


def is_due(incident: Incident) -> bool:
    """Whether people were called for an incident as severe as it is, and wait for somebody. Pure.

    If the acknowledgement came before the alarm, they are told after the alarm. If a fire came back
    they wait for somebody since then.
    """
    if not (incident.acknowledged and incident.declared) or incident.closed_at:
        return False
    waited_for = incident.again_at(incident.level) or step_of(incident.level) in incident.told
    return bool(waited_for) and _step(incident) not in incident.told


def _step(incident: Incident) -> str:
    return f"{incident.level}, {_WHAT}{nth(incident.again_at(incident.level))}"
