"""firedetect-acknowledge: the page behind the link in a message, its button, its picture.

Looking at the page changes nothing. The button marks the incident first, then asks the detector by
its shadow `alarm` and tells those who were called: pressed again after a failure, all is made good.
"""

import base64
import binascii
import json
import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode

from aws_lambda_powertools.utilities.idempotency import (
    BasePersistenceLayer,
    DynamoDBPersistenceLayer,
)

from firedetect.contract.level import Level, LevelName
from firedetect.contract.names import SHADOW_ALARM
from firedetect.contract.shadow import Acknowledge, DesiredAlarm
from firedetect.lambdas import pages
from firedetect.lambdas.facts import LINK, Acknowledgement, nth
from firedetect.lambdas.failures import Failures
from firedetect.lambdas.incident import Incident, acknowledged
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.notices import PICTURE_QUERY
from firedetect.lambdas.now import Now, iso, utc_now
from firedetect.lambdas.once import Once
from firedetect.lambdas.people import Speaker
from firedetect.lambdas.pictures import Pictures, pictures_in
from firedetect.lambdas.rows import QUICK, client
from firedetect.lambdas.settings import AcknowledgeSettings
from firedetect.lambdas.standing_down import StandingDown
from firedetect.lambdas.tokens import Claim, TokenRefusedError, Verifier

_log = logging.getLogger(__name__)

Answer = dict[str, object]


def handler(event: Mapping[str, Any], context: object) -> Answer:
    """Answer one request to the function's address (payload 2.0); raises nothing."""
    try:
        return _acknowledging().answer(event, context)
    except Exception:  # noqa: BLE001 - whoever was woken needs words, and the log the reason
        _log.exception("a request could not be answered")
        return pages.failed()


class Acknowledging:
    """The handler with the clients it uses."""

    def __init__(
        self,
        settings: AcknowledgeSettings,
        dynamodb: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        kms: Any,  # noqa: ANN401
        iot: Any,  # noqa: ANN401
        sns: Any,  # noqa: ANN401
        done: BasePersistenceLayer,
        now: Now = utc_now,
        pictures: Pictures | None = None,
        *,
        events: Any = None,  # noqa: ANN401
    ) -> None:
        self._incidents = Incidents(dynamodb, settings.incidents_table)
        self._once = Once(done)
        speaker = Speaker(sns, settings.people_topic_arn, events, settings.event_bus)
        self._standing_down = StandingDown(self._incidents, speaker, self._once, now)
        self._verifier = Verifier(kms, settings.sign_key)
        self._pictures = pictures or pictures_in(settings.data_bucket)
        self._iot = iot
        self._now = now

    def answer(self, event: Mapping[str, Any], context: object) -> Answer:
        """Return the page for a request; raises what AWS refuses."""
        self._once.begin(context)
        method = str(event.get("requestContext", {}).get("http", {}).get("method", ""))
        if method not in {"GET", "HEAD", "POST"}:
            return pages.not_allowed()
        query = event.get("queryStringParameters") or {}
        token = query.get("t", "")
        try:
            claim = self._verifier.claim(str(token), int(self._now().timestamp()))
        except TokenRefusedError as error:
            _log.info("a link is refused: %s", error)
            return pages.refused(str(error))
        picture = f"?{urlencode({'t': token})}&{PICTURE_QUERY}"
        if method == "POST":
            return self._press(claim, _seen(event), picture)
        name, _, wanted = PICTURE_QUERY.partition("=")
        found = self._show(claim) if query.get(name) == wanted else self._look(claim, picture)
        return found | {"body": ""} if method == "HEAD" else found

    def _show(self, claim: Claim) -> Answer:
        incident = self._find(claim)
        if incident is None:
            return pages.unknown()
        address = self._pictures.address(incident.picture)
        return pages.picture(address) if address else pages.no_picture()

    def _look(self, claim: Claim, picture: str) -> Answer:
        incident = self._find(claim)
        if incident is None:
            return pages.unknown()
        if incident.reset_at or incident.closed_at:
            return pages.over(incident, picture)
        if incident.acknowledged:
            return pages.taken(incident, picture, now=False)
        return pages.asking(incident, picture)

    def _press(self, claim: Claim, seen: tuple[str, str], picture: str) -> Answer:
        before = self._find(claim)
        if before is None:
            return pages.unknown()
        if before.reset_at or before.closed_at:
            return pages.over(before, picture)
        level, again = seen
        if not _covers(level, before.level) or again != str(before.again):
            return pages.risen(before, picture)
        given = Acknowledgement(
            level=before.level, source=LINK, at=iso(self._now()), again=before.again
        )
        after = self._incidents.change(claim.incident_id, lambda row: _folded(row, given))
        if after is None:
            return pages.unknown()
        mine = after.taken_over is not None and after.taken_over.source == LINK
        failures = Failures()
        # Also if it was noted before: that request may have ended here.
        if mine:
            failures.attempt(lambda: self._ask_device(after))
        self._standing_down.tell(after, failures)
        failures.settle()
        if not after.acknowledged:
            return pages.risen(after, picture)
        _log.info("%s: %s is acknowledged by link", after.incident_id, after.level)
        return pages.taken(after, picture, now=mine and after.taken_over == given)

    def _find(self, claim: Claim) -> Incident | None:
        incident = self._incidents.find(claim.incident_id)
        return incident if incident is not None and incident.thing == claim.thing else None

    def _ask_device(self, incident: Incident) -> None:
        # The detector carries out each request once: one of a higher level must look different, so
        # must one for a fire that came back.
        by = f"{LINK}, {incident.level}{nth(incident.again)}"
        asked = Acknowledge(incident_id=incident.incident_id, by=by, level=incident.level)
        desired = DesiredAlarm(acknowledge=asked).model_dump(mode="json", exclude_none=True)
        self._iot.update_thing_shadow(
            thingName=incident.thing,
            shadowName=SHADOW_ALARM,
            payload=json.dumps({"state": {"desired": desired}}).encode(),
        )


def _folded(row: Incident, given: Acknowledgement) -> Incident:
    """Acknowledge unless it is over, or back since; who is not the first becomes history."""
    if row.reset_at or row.closed_at or row.again != given.again:
        return row
    return acknowledged(row, given)


def _covers(seen: str, level: LevelName) -> bool:
    try:
        return Level.from_label(seen) >= Level.from_label(level)
    except KeyError:
        return False


def _seen(event: Mapping[str, Any]) -> tuple[str, str]:
    """Return the level that the pressed button stands for, nothing if it says none, and a return.

    A browser that loads a page anew presses again: that was for the fire of before.
    """
    body = str(event.get("body") or "")
    if event.get("isBase64Encoded"):
        try:
            body = base64.b64decode(body, validate=True).decode()
        except (binascii.Error, ValueError):
            return "", ""
    said = parse_qs(body)
    return said.get("level", [""])[0], said.get("again", ["0"])[0]


@cache
def _acknowledging() -> Acknowledging:
    """Return the one of this execution environment: clients are made once."""
    settings = AcknowledgeSettings.read(os.environ)
    done = DynamoDBPersistenceLayer(
        settings.idempotency_table, boto3_client=client("dynamodb", QUICK)
    )
    return Acknowledging(
        settings,
        client("dynamodb"),
        client("kms"),
        client("iot-data"),
        client("sns"),
        done,
        events=client("events", QUICK),
    )
