"""Plays the people: reads the queue that is subscribed to their topic, says what arrived."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from firedetect.clock import Clock
from firedetect.cloudbox.aws import PEOPLE_QUEUE, Aws

_WAIT_S: Final = 1
_PAUSE_S: Final = 0.5
_NS_PER_MS: Final = 1_000_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Told:
    """A message that reached people, and when it passed the places on its way (ms since 1970)."""

    subject: str
    text: str
    attributes: Mapping[str, str]
    passed_ms: Mapping[str, int]

    def as_record(self) -> dict[str, Any]:
        """Return it as one JSON line says it, with the time of each hop."""
        places = list(self.passed_ms.items())
        hops = {
            f"{one}_to_{other}_ms": until - since
            for (one, since), (other, until) in pairwise(places)
        }
        message = {"subject": self.subject, "text": self.text, "attributes": dict(self.attributes)}
        return {"sns": message | {"passed_ms": dict(self.passed_ms), "hops": hops}}


class People:
    """Reads in a thread of its own until stopped; `hear` is called in that thread.

    So is `failed`, with what ended the reading.
    """

    def __init__(
        self,
        aws: Aws,
        clock: Clock,
        hear: Callable[[Told], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._aws = aws
        self._clock = clock
        self._hear = hear
        self._failed = failed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="people", daemon=True)

    def start(self) -> None:
        """Begin to read; the queue must exist."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; blocks until the last request is answered."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(3.0 * _WAIT_S)

    def _read(self) -> None:
        while not self._stopped.is_set():
            try:
                self._take()
            except (BotoCoreError, ClientError) as error:
                if not self._stopped.is_set():
                    _log.warning("people do not hear", error=str(error))
                self._stopped.wait(_PAUSE_S)
            except Exception as error:  # noqa: BLE001 - whoever started us says it
                if not self._stopped.is_set():
                    self._failed(error)
                return

    def _take(self) -> None:
        sqs, url = self._aws.client("sqs"), self._aws.queue_url(PEOPLE_QUEUE)
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=_WAIT_S, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            self._hear(_told(json.loads(message["Body"]), self._clock))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _told(notification: dict[str, Any], clock: Clock) -> Told:
    said = notification.get("MessageAttributes", {})
    attributes = {name: str(value["Value"]) for name, value in said.items()}
    passed = {}
    if "ts" in attributes:
        passed["detector"] = _ms(attributes["ts"])
    if "received_ms" in attributes:
        passed["rule"] = int(attributes["received_ms"])
    if "handled_ms" in attributes:
        passed["function"] = int(attributes["handled_ms"])
    passed["sns"] = _ms(notification["Timestamp"])
    passed["people"] = clock.wall_ns() // _NS_PER_MS
    return Told(notification.get("Subject", ""), notification["Message"], attributes, passed)


def _ms(stamp: str) -> int:
    try:
        return round(datetime.fromisoformat(stamp).timestamp() * 1000)
    except ValueError:
        return 0
