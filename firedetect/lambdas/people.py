"""Tells people by SNS, and devices on their `down` topic."""

from typing import Any

from firedetect.contract.messages import ContractMessage
from firedetect.contract.names import down_topic
from firedetect.lambdas.notices import Notice


def tell(sns: Any, topic_arn: str, notice: Notice, facts: dict[str, str]) -> str:  # noqa: ANN401
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
    answer = sns.publish(
        TopicArn=topic_arn,
        Subject=notice.subject,
        Message=notice.text,
        MessageAttributes={
            # SNS takes no empty value.
            name: {"DataType": "String", "StringValue": value or "-"}
            for name, value in attributes.items()
        },
    )
    message_id: str = answer["MessageId"]
    return message_id


def send_down(iot: Any, thing: str, message: ContractMessage) -> None:  # noqa: ANN401 - boto3
    """Publish a message to a device, at least once."""
    iot.publish(topic=down_topic(thing), qos=1, payload=message.model_dump_json().encode())
