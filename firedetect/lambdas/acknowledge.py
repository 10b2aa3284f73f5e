"""firedetect-acknowledge: the page behind the link in a message, its button, its picture.

Looking at the page changes nothing. The button marks the incident first, then asks the detector by
its shadow `alarm`: pressed again after a failure, both are made good.
"""

import base64
import binascii
import json
import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from firedetect.contract.level import Level, LevelName
from firedetect.contract.names import SHADOW_ALARM
from firedetect.contract.shadow import Acknowledge, DesiredAlarm
from firedetect.lambdas import pages
from firedetect.lambdas.incident import LINK, Acknowledgement, Incident, acknowledged
from firedetect.lambdas.incidents import Incidents
from firedetect.lambdas.notices import PICTURE_QUERY
from firedetect.lambdas.now import Now, iso, utc_now
from firedetect.lambdas.pictures import Pictures, pictures_in
from firedetect.lambdas.rows import client
from firedetect.lambdas.settings import AcknowledgeSettings
from firedetect.lambdas.tokens import Claim, TokenRefusedError, Verifier

_log = logging.getLogger(__name__)

Answer = dict[str, object]


def handler(event: Mapping[str, Any], context: object) -> Answer:  # noqa: ARG001 - AWS's shape
    """Answer one request to the function's address (payload 2.0); raises nothing."""
    try:
        return _acknowledging().answer(event)
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
        now: Now = utc_now,
        pictures: Pictures | None = None,
    ) -> None:
        self._incidents = Incidents(dynamodb, settings.incidents_table)
        self._verifier = Verifier(kms, settings.sign_key)
        self._pictures = pictures or pictures_in(settings.data_bucket)
        self._iot = iot
        self._now = now

    def answer(self, event: Mapping[str, Any]) -> Answer:
        """Return the page for a request; raises what AWS refuses."""
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
        if method == "POST":
            return self._press(claim, _level_seen(event))
        name, _, wanted = PICTURE_QUERY.partition("=")
        found = self._show(claim) if query.get(name) == wanted else self._look(claim)
        return found | {"body": ""} if method == "HEAD" else found

    def _show(self, claim: Claim) -> Answer:
        incident = self._find(claim)
        if incident is None:
            return pages.unknown()
        address = self._pictures.address(incident.picture)
        return pages.picture(address) if address else pages.no_picture()

    def _look(self, claim: Claim) -> Answer:
        incident = self._find(claim)
        if incident is None:
            return pages.unknown()
        return _standing(incident) or pages.asking(incident)

    def _press(self, claim: Claim, seen: str) -> Answer:
        before = self._find(claim)
        if before is None:
            return pages.unknown()
        if before.reset_at or before.closed_at:
            return pages.over(before)
        if not _covers(seen, before.level):
            return pages.risen(before)
        given = Acknowledgement(level=before.level, source=LINK, at=iso(self._now()))
        after = self._incidents.change(claim.incident_id, lambda row: _folded(row, given))
        if after is None:
            return pages.unknown()
        mine = after.taken_over is not None and after.taken_over.source == LINK
        if mine:
            # Also if it was noted before: that request may have ended here.
            self._ask_device(after)
        if not after.acknowledged:
            return pages.risen(after)
        _log.info("%s: %s is acknowledged by link", after.incident_id, after.level)
        return pages.taken(after, now=mine and after.taken_over == given)

    def _find(self, claim: Claim) -> Incident | None:
        incident = self._incidents.find(claim.incident_id)
        return incident if incident is not None and incident.thing == claim.thing else None

    def _ask_device(self, incident: Incident) -> None:
        # The detector carries out each request once: one of a higher level must look different.
        asked = Acknowledge(
            incident_id=incident.incident_id, by=f"{LINK}, {incident.level}", level=incident.level
        )
        desired = DesiredAlarm(acknowledge=asked).model_dump(mode="json", exclude_none=True)
        self._iot.update_thing_shadow(
            thingName=incident.thing,
            shadowName=SHADOW_ALARM,
            payload=json.dumps({"state": {"desired": desired}}).encode(),
        )


def _folded(row: Incident, given: Acknowledgement) -> Incident:
    """Acknowledge unless it is over; who is not the first becomes history."""
    return row if row.reset_at or row.closed_at else acknowledged(row, given)


def _standing(incident: Incident) -> Answer | None:
    """Return what there is to say if nobody has to do anything any more."""
    if incident.reset_at or incident.closed_at:
        return pages.over(incident)
    return pages.taken(incident, now=False) if incident.acknowledged else None


def _covers(seen: str, level: LevelName) -> bool:
    try:
        return Level.from_label(seen) >= Level.from_label(level)
    except KeyError:
        return False


def _level_seen(event: Mapping[str, Any]) -> str:
    """Return the level that the pressed button stands for, nothing if it says none."""
    body = str(event.get("body") or "")
    if event.get("isBase64Encoded"):
        try:
            body = base64.b64decode(body, validate=True).decode()
        except (binascii.Error, ValueError):
            return ""
    return parse_qs(body).get("level", [""])[0]


@cache
def _acknowledging() -> Acknowledging:
    """Return the one of this execution environment: clients are made once."""
    settings = AcknowledgeSettings.read(os.environ)
    return Acknowledging(settings, client("dynamodb"), client("kms"), client("iot-data"))
