"""firedetect-escalate: people are told of a detector's message, tables keep it, the device hears.

An alarm goes to people before anything that may refuse it. The same event twice has one effect;
the receipt of an alarm, which means that people were told, is sent each time, because the device
asks again only if it did not get it. The steps of the escalation of an alarm come here, too.
"""

import logging
import os
from datetime import datetime
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    BasePersistenceLayer,
    DynamoDBPersistenceLayer,
)

from firedetect.contract.messages import DetectorMessage, LinkLost, Receipt
from firedetect.lambdas import latch, metrics
from firedetect.lambdas.climbing import Climber, Starter
from firedetect.lambdas.devices import Devices
from firedetect.lambdas.escalation import Climb, step_of
from firedetect.lambdas.failures import Failures
from firedetect.lambdas.incident import Incident, reset
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.keeping import Keeping
from firedetect.lambdas.notices import Notice, alarm_of, notice_of
from firedetect.lambdas.now import Now, in_ms, iso, utc_now
from firedetect.lambdas.once import Once
from firedetect.lambdas.people import Speaker, send_down
from firedetect.lambdas.policy import (
    Arrival,
    occurrence,
    pictured,
    receipt_needed,
    refuse_foreign_picture,
    understood,
)
from firedetect.lambdas.returning import Returning
from firedetect.lambdas.rows import QUICK, client
from firedetect.lambdas.second_opinion import SHORT, SecondOpinion
from firedetect.lambdas.settings import EscalateSettings
from firedetect.lambdas.standing_down import StandingDown
from firedetect.lambdas.tokens import Signer

_log = logging.getLogger(__name__)


def handler(event: object, context: object) -> dict[str, object]:
    """Carry out one event of a rule or one step; raises if it is malformed or AWS refuses."""
    return _escalation().handle(event, context)


class Escalation:
    """The handler with the clients it uses."""

    def __init__(
        self,
        settings: EscalateSettings,
        dynamodb: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        sns: Any,  # noqa: ANN401
        iot: Any,  # noqa: ANN401
        done: BasePersistenceLayer,
        now: Now = utc_now,
        *,
        states: Any = None,  # noqa: ANN401
        events: Any = None,  # noqa: ANN401
        kms: Any = None,  # noqa: ANN401
        sagemaker: Any = None,  # noqa: ANN401
    ) -> None:
        self._incidents = Incidents(dynamodb, settings.incidents_table)
        self._keeping = Keeping(Devices(dynamodb, settings.devices_table), self._tell)
        self._speaker = Speaker(sns, settings.people_topic_arn, events, settings.event_bus)
        self._signer = Signer(kms, settings.sign_key, settings.acknowledge_url)
        self._starter = Starter(states, settings.escalation_arn)
        self._once = Once(done)
        self._climber = Climber(self._incidents, self._speaker, self._signer, self._once, now)
        self._standing_down = StandingDown(self._incidents, self._speaker, self._once, now)
        self._returning = Returning(
            self._incidents, self._speaker, self._signer, self._starter, self._once, now
        )
        self._opinion = SecondOpinion(sagemaker, settings.second_opinion_endpoint, self._incidents)
        self._iot = iot
        self._now = now
        self._told: list[Notice] = []

    def handle(self, event: object, context: object) -> dict[str, object]:
        """Tell people, keep the message, send the receipt: an alarm in this order.

        What fails after people were told of an alarm is raised when the receipt is sent: the retry
        keeps the message without telling again.
        """
        self._once.begin(context)
        # With anything beside it, it is a detector's message: that is no step of ours.
        if isinstance(event, dict) and event.keys() == {"climb"}:
            return self._climber.step(event["climb"])
        arrival = understood(event)
        message = arrival.message
        failures = Failures()
        if isinstance(message, DetectorMessage) and message.kind == "alarm":
            told = self._alarm(arrival, message, failures)
        else:
            told = self._other(arrival, failures)
        _log.info("%s of %s: told %s", message.event_id, arrival.thing, told)
        failures.settle()
        if isinstance(message, DetectorMessage) and message.kind == "alarm":
            self._opinion.note(message)
        return {"event_id": message.event_id, "told": told}

    def _alarm(self, arrival: Arrival, message: DetectorMessage, failures: Failures) -> str | None:
        name = occurrence(arrival)

        @cache
        def notice() -> Notice:
            link = failures.attempt(lambda: self._link(message))
            return alarm_of(message).with_link(link or "", pictured=bool(pictured(message)))

        def tell() -> str:
            told = self._hand_over(arrival, notice())
            _say_latency(message, in_ms(self._now()))
            return told

        told = self._once.surely(arrival.thing, name, tell, failures)
        known = (step_of(message.level), iso(self._now()))
        recorded = failures.attempt(lambda: self._record(arrival, message, known))
        failures.attempt(lambda: self._start(message))
        # People know by now, without that picture; whoever looks after the tier must hear of it.
        failures.attempt(lambda: refuse_foreign_picture(message))
        settled = self._keep(arrival, message, failures)
        if self._speaker.posts:
            post = f"post:{name}"
            failures.attempt(
                lambda: self._once.do(arrival.thing, post, lambda: self._speaker.post(notice()))
            )
        self._call_again(recorded, failures)
        self._stand_down(settled or recorded, failures)
        return told

    def _other(self, arrival: Arrival, failures: Failures) -> str | None:
        self._told = []
        message, found = arrival.message, None
        if isinstance(message, DetectorMessage):
            # Each time, not once: this may be a fire that came back, and people come first.
            found = failures.attempt(lambda: self._record(arrival, message))
            self._call_again(found, failures)
        told = self._once.do(arrival.thing, occurrence(arrival), lambda: self._judged(arrival))
        if isinstance(message, DetectorMessage):
            found = self._keep(arrival, message, failures) or found
        for notice in self._told:
            failures.attempt(partial(self._speaker.post, notice))
        self._stand_down(found, failures)
        return told

    def _call_again(self, incident: Incident | None, failures: Failures) -> None:
        if incident is not None:
            self._returning.call(incident, failures)

    def _stand_down(self, incident: Incident | None, failures: Failures) -> None:
        if incident is not None:
            self._standing_down.tell(incident, failures)

    def _judged(self, arrival: Arrival) -> str | None:
        """Do what must be done once, and return the message id of SNS if people were told."""
        message = arrival.message
        if isinstance(message, LinkLost):
            return self._keeping.lost(arrival, message)
        if message.kind == "trouble":
            return self._keeping.trouble(arrival, message)
        return self._tell(arrival, notice_of(message))

    def _keep(
        self, arrival: Arrival, message: DetectorMessage, failures: Failures
    ) -> Incident | None:
        """Keep what a message says of its detector, then answer it; returns what was reset."""
        failures.attempt(lambda: self._keeping.returned(arrival))
        settled = failures.attempt(lambda: self._settle(message))
        if receipt_needed(message):
            self._send_receipt(message)
        return settled

    def _settle(self, message: DetectorMessage) -> Incident | None:
        """Note it if a reset at the detector has ended an incident, and return that."""
        found = self._keeping.settled(message)
        if found is None:
            return None
        return self._incidents.change(
            found.incident_id,
            lambda row: reset(row, found.ts) if latch.known_to(row.event_ids, found) else row,
        )

    def _record(
        self, arrival: Arrival, message: DetectorMessage, told: tuple[str, str] | None = None
    ) -> Incident | None:
        if message.incident_id is None:
            return None
        return self._incidents.record(message, arrival.received_ms, told)

    def _start(self, message: DetectorMessage) -> None:
        climb = Climb(
            incident_id=message.incident_id or message.event_id,
            thing=message.device,
            site=message.site,
            level=message.level,
            reasons=message.reasons,
            since=message.ts,
            told_ms=in_ms(self._now()),
        )
        self._starter.start(climb)

    def _link(self, message: DetectorMessage) -> str:
        if message.incident_id is None:
            return ""
        return self._signer.link(message.incident_id, message.device, in_ms(self._now()) // 1000)

    def _send_receipt(self, message: DetectorMessage) -> None:
        receipt = Receipt(
            device=message.device,
            event_id=message.event_id,
            incident_id=message.incident_id,
            ts=iso(self._now()),
        )
        send_down(self._iot, message.device, receipt)

    def _tell(self, arrival: Arrival, notice: Notice | None) -> str | None:
        if notice is None:
            return None
        told = self._hand_over(arrival, notice)
        self._told.append(notice)
        return told

    def _hand_over(self, arrival: Arrival, notice: Notice) -> str:
        message = arrival.message
        facts = {
            "event_id": message.event_id,
            "received_ms": str(arrival.received_ms),
            "handled_ms": str(in_ms(self._now())),
        }
        if isinstance(message, DetectorMessage):
            facts["ts"] = message.ts
        return self._speaker.tell(notice, facts)


def _say_latency(message: DetectorMessage, now_ms: int) -> None:
    """Say how long it took from the detector to SNS, if its clock lets anybody know."""
    try:
        since_ms = now_ms - in_ms(datetime.fromisoformat(message.ts))
    except ValueError:
        return
    if since_ms >= 0:
        metrics.milliseconds("AlarmLatencyMs", since_ms)


@cache
def _escalation() -> Escalation:
    """Return the one of this execution environment: clients are made once."""
    settings = EscalateSettings.read(os.environ)
    done = DynamoDBPersistenceLayer(
        settings.idempotency_table, boto3_client=client("dynamodb", QUICK)
    )
    return Escalation(
        settings,
        client("dynamodb"),
        client("sns"),
        client("iot-data"),
        done,
        states=client("stepfunctions", QUICK),
        events=client("events", QUICK),
        kms=client("kms", QUICK),
        # Made only to be used: the first alarm waits for every client.
        sagemaker=client("sagemaker-runtime", SHORT) if settings.second_opinion_endpoint else None,
    )
