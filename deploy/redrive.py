"""Brings what failed back to where it failed: events to their function, messages to their topic.

A message leaves its queue only when it was taken; what fails again, or is not understood, stays.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from deploy import names
from deploy.session import ClientOf, DeployError, brief
from firedetect.contract.names import BEAT_RULE, TELEMETRY_RULE

MOST: Final = 200
"""At a time: they are all held before the first is handed on, so none can come round twice."""
HELD_S: Final = 900
_BASIC_INGEST: Final = "$aws/rules/"
_BY_RULE: Final = frozenset({BEAT_RULE, TELEMETRY_RULE})
_OURS: Final = "firedetect-"
_BATCH: Final = 10

Message = dict[str, Any]
Say = Callable[[str], None]


class Redrive:
    """Both queues; `dry` only says what lies there."""

    def __init__(self, client_of: ClientOf, say: Say, *, dry: bool = False) -> None:
        self._client_of = client_of
        self._sqs = client_of("sqs")
        self._say = say
        self._dry = dry

    def run(self, most: int = MOST) -> Counter[str]:
        """Go through both queues; return how many were handed on, dropped and left."""
        counts: Counter[str] = Counter(handed_on=0, dropped=0, left=0)
        for queue, handle in (
            (names.RULE_ERRORS, self._republish),
            (names.FUNCTION_ERRORS, self._invoke),
        ):
            url = self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            for message in list(self._held(url, most)):
                counts[self._one(url, message, handle)] += 1
        return counts

    def _one(self, url: str, message: Message, handle: Callable[[Message], str]) -> str:
        try:
            outcome = handle(json.loads(message["Body"]))
        except (BotoCoreError, ClientError) as error:
            outcome = self._left(brief(error))
        except (DeployError, KeyError, TypeError, ValueError, AttributeError) as error:
            outcome = self._left(f"{message['MessageId']}: {error!r}")
        receipt = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        if outcome == "left" or self._dry:
            self._sqs.change_message_visibility(**receipt, VisibilityTimeout=0)
        else:
            self._sqs.delete_message(**receipt)
        return outcome

    def _held(self, url: str, most: int) -> Iterator[Message]:
        """Yield the messages of a queue, held so that nobody else gets them meanwhile."""
        seen = 0
        while seen < most:
            answer = self._sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(_BATCH, most - seen),
                VisibilityTimeout=HELD_S,
                # Long polling asks every server of the queue.
                WaitTimeSeconds=1,
            )
            found = answer.get("Messages", ())
            if not found:
                return
            seen += len(found)
            yield from found

    def _republish(self, report: Message) -> str:
        rule, topic = str(report["ruleName"]), str(report["topic"])
        payload = base64.b64decode(report["base64OriginalPayload"], validate=True)
        if not topic.startswith(("firedetect/", _BASIC_INGEST)):
            raise DeployError(f"{topic} is no topic of a detector")
        if rule == BEAT_RULE:
            # A later one has long come; an old one would count as fresh proof of sensing.
            self._say(f"{topic}: an old beat is dropped, it must not look like a new one")
            return "dropped"
        if rule in _BY_RULE and not topic.startswith(_BASIC_INGEST):
            topic = f"{_BASIC_INGEST}{rule}/{topic}"
        self._say(f"{topic}: published again ({len(payload)} bytes)")
        if not self._dry:
            self._client_of("iot-data").publish(topic=topic, qos=1, payload=payload)
        return "handed_on"

    def _invoke(self, record: Message) -> str:
        name = str(record["requestContext"]["functionArn"]).partition(":function:")[2]
        name = name.partition(":")[0]
        if not name.startswith(_OURS):
            raise DeployError(f"{name or 'a record without a name'} is no function of ours")
        payload = json.dumps(record["requestPayload"]).encode()
        self._say(f"{name}: run again ({len(payload)} bytes)")
        if self._dry:
            return "handed_on"
        # Waited for: only what has succeeded leaves the queue.
        answer = self._client_of("lambda").invoke(FunctionName=name, Payload=payload)
        if answer.get("FunctionError"):
            return self._left(f"{name}: {answer['Payload'].read().decode()[:200]}")
        return "handed_on"

    def _left(self, why: str) -> str:
        self._say(f"left where it is: {why}")
        return "left"
