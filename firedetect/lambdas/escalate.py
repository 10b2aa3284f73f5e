"""firedetect-escalate: people are told of a detector's message, tables keep it, the device hears.

An alarm goes to people before any table that may refuse it. The same event twice has one effect;
the receipt of an alarm, which means that people were told, is sent each time, because the device
asks again only if it did not get it.
"""

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.utilities.idempotency import (
    BasePersistenceLayer,
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
)

from firedetect.contract.messages import DetectorMessage, LinkLost, Receipt
from firedetect.lambdas.devices import Devices
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.keeping import Keeping
from firedetect.lambdas.notices import Notice, notice_of
from firedetect.lambdas.now import Now, in_ms, iso, utc_now
from firedetect.lambdas.people import send_down, tell
from firedetect.lambdas.policy import Arrival, occurrence, receipt_needed, understood
from firedetect.lambdas.rows import QUICK, client
from firedetect.lambdas.settings import EscalateSettings

REMEMBERED_S: Final = 7 * 24 * 3600
"""Longer than a detector keeps an alarm that nobody acknowledged (72 h)."""

_log = logging.getLogger(__name__)


def handler(event: object, context: object) -> dict[str, object]:
    """Carry out one event of a rule; raises if it is malformed or AWS refuses something."""
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
    ) -> None:
        self._settings = settings
        self._incidents = Incidents(dynamodb, settings.incidents_table)
        self._keeping = Keeping(Devices(dynamodb, settings.devices_table), self._tell)
        self._sns = sns
        self._iot = iot
        self._now = now
        self._config = IdempotencyConfig(
            # Only its own device can name an event: the id alone could be another's.
            event_key_jmespath="[thing, occurrence]",
            raise_on_no_idempotency_key=True,
            expires_after_seconds=REMEMBERED_S,
        )
        self._once = idempotent_function(
            self._told, data_keyword_argument="key", persistence_store=done, config=self._config
        )

    def handle(self, event: object, context: object) -> dict[str, object]:
        """Tell people, keep the message, send the receipt: an alarm in this order.

        What fails after people were told of an alarm is raised when the receipt is sent: the retry
        keeps the message without telling again.
        """
        self._config.register_lambda_context(context)  # type: ignore[arg-type]
        arrival = understood(event)
        message = arrival.message
        failures: list[Exception] = []
        if isinstance(message, DetectorMessage) and message.kind == "alarm":
            told = self._tell_surely(arrival, failures)
            _try(lambda: self._record(message), failures)
        else:
            told = self._once(key=_key(arrival), arrival=arrival, tried=[])
        if isinstance(message, DetectorMessage):
            _try(lambda: self._keeping.returned(arrival), failures)
            if receipt_needed(message):
                self._send_receipt(message)
        _log.info("%s of %s: told %s", message.event_id, arrival.thing, told)
        if failures:
            raise failures[0]
        return {"event_id": message.event_id, "told": told}

    def _tell_surely(self, arrival: Arrival, failures: list[Exception]) -> str | None:
        """Tell of an alarm once, or more than once if nobody knows; raises only what SNS says."""
        tried: list[str | None] = []
        try:
            told: str | None = self._once(key=_key(arrival), arrival=arrival, tried=tried)
        except IdempotencyAlreadyInProgressError:
            # Somebody else is telling; if that fails, the retry finds it over.
            raise
        except Exception as error:
            if tried and tried[-1] is None:
                raise
            _log.warning("%s: it is not kept that people know: %s", arrival.thing, error)
            failures.append(error)
            return tried[-1] if tried else self._tell(arrival, notice_of(arrival.message))
        # No alarm gets its receipt without a message that SNS took.
        return told or self._tell(arrival, notice_of(arrival.message))

    def _told(
        self,
        *,
        key: dict[str, str],  # noqa: ARG002 - what powertools knows the event by
        arrival: Arrival,
        tried: list[str | None],
    ) -> str | None:
        """Do what must be done once, and return the message id of SNS if people were told.

        `tried` gets None when an alarm goes to SNS, then the answer.
        """
        message = arrival.message
        if isinstance(message, LinkLost):
            return self._keeping.lost(arrival, message)
        if message.kind == "alarm":
            tried.append(None)
            tried.append(self._tell(arrival, notice_of(message)))
            return tried[-1]
        self._record(message)
        if message.kind == "trouble":
            return self._keeping.trouble(arrival, message)
        return self._tell(arrival, notice_of(message))

    def _record(self, message: DetectorMessage) -> None:
        if message.incident_id is not None:
            self._incidents.record(message)

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
        message = arrival.message
        facts = {
            "event_id": message.event_id,
            "received_ms": str(arrival.received_ms),
            "handled_ms": str(in_ms(self._now())),
        }
        if isinstance(message, DetectorMessage):
            facts["ts"] = message.ts
        return tell(self._sns, self._settings.people_topic_arn, notice, facts)


def _key(arrival: Arrival) -> dict[str, str]:
    return {"thing": arrival.thing, "occurrence": occurrence(arrival)}


def _try(do: Callable[[], object], failures: list[Exception]) -> None:
    """Do what must not stop what comes after it."""
    try:
        do()
    except Exception as error:  # noqa: BLE001 - it is raised when the rest is done
        _log.warning("not kept: %s", error)
        failures.append(error)


@cache
def _escalation() -> Escalation:
    """Return the one of this execution environment: clients are made once."""
    settings = EscalateSettings.read(os.environ)
    dynamodb = client("dynamodb")
    done = DynamoDBPersistenceLayer(
        settings.idempotency_table, boto3_client=client("dynamodb", QUICK)
    )
    return Escalation(settings, dynamodb, client("sns"), client("iot-data"), done)
