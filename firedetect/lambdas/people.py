"""Tells people by SNS, other services by the event bus, and devices on their `down` topic."""

import json
from typing import Any, Final

from firedetect.contract.messages import ContractMessage
from firedetect.contract.names import down_topic
from firedetect.errors import FiredetectError
from firedetect.lambdas import metrics
from firedetect.lambdas.notices import Notice
from firedetect.lambdas.sms import sms_of

SOURCE: Final = "firedetect"
DETAIL_TYPE: Final = "notice"


class BusRefusedError(FiredetectError):
    """The event bus took a request but not the event in it; the message holds its code."""


class Speaker:
    """Where people and other services listen; without a bus there are no other services."""

    def __init__(
        self,
        sns: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        topic_arn: str,
        events: Any = None,  # noqa: ANN401
        bus: str = "",
    ) -> None:
        self._sns = sns
        self._topic_arn = topic_arn
        self._events = events
        self._bus = bus

    def tell(self, notice: Notice, facts: dict[str, str]) -> str:
        """Hand a notice to SNS and return its message id; `facts` become attributes too.

        Whatever SNS says against it is raised: people have not been told then.
        """
        attributes = {
            "level": notice.level,
            "site": notice.site,
            "thing": notice.thing,
            "kind": notice.kind,
            **facts,
        }
        answer = self._sns.publish(
            TopicArn=self._topic_arn,
            Subject=notice.subject,
            Message=json.dumps({"default": notice.text, "sms": sms_of(notice)}),
            MessageStructure="json",
            MessageAttributes={
                # SNS takes no empty value.
                name: {"DataType": "String", "StringValue": value or "-"}
                for name, value in attributes.items()
            }
            | {"tier": _tiers(notice)},
        )
        message_id: str = answer["MessageId"]
        metrics.count("Told")
        return message_id

    @property
    def posts(self) -> bool:
        """Whether there is a bus."""
        return bool(self._bus)

    def post(self, notice: Notice) -> str | None:
        """Put a notice on the bus and return the event's id, after people were told."""
        if not self.posts:
            return None
        entry = {
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Detail": json.dumps(detail_of(notice)),
            "EventBusName": self._bus,
        }
        (one,) = self._events.put_events(Entries=[entry])["Entries"]
        if "EventId" not in one:
            raise BusRefusedError(f"{self._bus}: {one.get('ErrorCode')}: {one.get('ErrorMessage')}")
        return str(one["EventId"])


def detail_of(notice: Notice) -> dict[str, object]:
    """Return a notice as rules of the bus see it; one incident has one `dedup_key`."""
    return {
        "subject": notice.subject,
        "text": notice.text,
        "level": notice.level,
        "site": notice.site,
        "thing": notice.thing,
        "kind": notice.kind,
        "incident_id": notice.incident_id,
        "tier": notice.tier,
        "drill": notice.drill,
        "link": notice.link,
        "picture": notice.picture_link,
        "dedup_key": notice.incident_id or f"{notice.thing}:{notice.level}",
    }


def _tiers(notice: Notice) -> dict[str, str]:
    """Return who is told as an attribute: a filter matches if it has any of several tiers."""
    if not notice.others:
        return {"DataType": "String", "StringValue": str(notice.tier)}
    tiers = [str(tier) for tier in (notice.tier, *notice.others)]
    return {"DataType": "String.Array", "StringValue": json.dumps(tiers)}


def send_down(iot: Any, thing: str, message: ContractMessage) -> None:  # noqa: ANN401 - boto3
    """Publish a message to a device, at least once."""
    iot.publish(topic=down_topic(thing), qos=1, payload=message.model_dump_json().encode())
