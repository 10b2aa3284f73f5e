"""The escalation of an alarm: starts its state machine, carries out the steps that it asks for."""

import json
import logging
from functools import cache
from typing import Any

from firedetect.lambdas.calls import call_of
from firedetect.lambdas.escalation import Climb, climb_of, execution_name, following, stopped
from firedetect.lambdas.facts import nth
from firedetect.lambdas.failures import Failures
from firedetect.lambdas.incident import Incident, noted
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.notices import Notice
from firedetect.lambdas.now import Now, in_ms, iso
from firedetect.lambdas.once import Once
from firedetect.lambdas.people import Speaker
from firedetect.lambdas.tokens import Signer

_log = logging.getLogger(__name__)


class Starter:
    """Starts the state machine; without one nobody is called again."""

    def __init__(self, states: Any, machine_arn: str) -> None:  # noqa: ANN401 - boto3
        self._states = states
        self._machine_arn = machine_arn

    def start(self, climb: Climb) -> None:
        """Start the escalation of a level of an incident, if it was not started already.

        The alarm itself was the first step: the machine begins with the wait before the second.
        """
        if not self._machine_arn:
            return
        try:
            self._states.start_execution(
                stateMachineArn=self._machine_arn,
                name=execution_name(climb.incident_id, climb.level, climb.again),
                input=json.dumps(answer_of(following(climb))),
            )
        except self._states.exceptions.ExecutionAlreadyExists:
            _log.info("%s: its escalation was started before", climb.incident_id)


class Climber:
    """Carries out the steps."""

    def __init__(
        self, incidents: Incidents, speaker: Speaker, signer: Signer, once: Once, now: Now
    ) -> None:
        self._incidents = incidents
        self._speaker = speaker
        self._signer = signer
        self._once = once
        self._now = now

    def step(self, asked: object) -> dict[str, object]:
        """Tell the tier whose turn it is unless somebody has taken over; returns the next step.

        Raises only what SNS says: then the machine asks again. Whatever else fails is logged, for
        people must be called even if nothing can be read, kept or posted.
        """
        climb = climb_of(asked)
        failures = Failures()
        incident = failures.attempt(lambda: self._incidents.find(climb.incident_id))
        why = stopped(climb, incident)
        if climb.over or why or climb.exhausted:
            if not why and not climb.over:
                failures.attempt(lambda: self._nobody(climb))
            _log.info("%s: %s: over: %s", climb.incident_id, climb.step, why or "unacknowledged")
            return answer_of(climb.model_copy(update={"over": True}))
        if climb.tier:
            self._call(climb, incident, failures)
        for failure in failures:
            _log.error("%s: %s: %s", climb.incident_id, climb.step, failure)
        return answer_of(following(climb))

    def _call(self, climb: Climb, incident: Incident | None, failures: Failures) -> None:
        name = f"climb:{climb.incident_id}:{climb.level}:{climb.tier}:{climb.round}"
        name += nth(climb.again)

        @cache
        def notice() -> Notice:
            now_ms = in_ms(self._now())
            link = failures.attempt(
                lambda: self._signer.link(climb.incident_id, climb.thing, now_ms // 1000)
            )
            pictured = incident is not None and bool(incident.picture)
            return call_of(climb, incident, now_ms).with_link(link or "", pictured=pictured)

        def tell() -> str:
            facts = {
                "incident_id": climb.incident_id,
                "ts": climb.since,
                "handled_ms": str(in_ms(self._now())),
            }
            return self._speaker.tell(notice(), facts)

        self._once.surely(climb.thing, name, tell, failures)
        failures.attempt(lambda: self._note(climb))
        if self._speaker.posts:
            post = f"post:{name}"
            failures.attempt(
                lambda: self._once.do(climb.thing, post, lambda: self._speaker.post(notice()))
            )

    def _note(self, climb: Climb) -> None:
        ts = iso(self._now())
        self._incidents.change(climb.incident_id, lambda row: noted(row, climb.step, ts))

    def _nobody(self, climb: Climb) -> None:
        ts = iso(self._now())

        def fold(before: Incident) -> Incident:
            changes = {"unacknowledged_at": ts, "revision": before.revision + 1}
            return before if before.unacknowledged_at else before.model_copy(update=changes)

        self._incidents.change(climb.incident_id, fold)


def answer_of(climb: Climb) -> dict[str, object]:
    """Return a step as the state machine carries it."""
    return {"climb": climb.model_dump(mode="json")}
