"""What an incident was, as people say afterwards: the agents count by it and learn from it."""

from typing import Any, Final

from deploy import names
from deploy.session import DeployError
from firedetect.lambdas.now import Now, iso, utc_now

LABELS: Final = ("false-alarm", "fire", "drill")


def label(
    dynamodb: Any,  # noqa: ANN401 - boto3 makes its clients at run time
    incident_id: str,
    word: str,
    now: Now = utc_now,
) -> str:
    """Label an incident and return the label before; raises DeployError if there is none such.

    The row's revision rises with it: a function that has read the row before reads it again.
    """
    if word not in LABELS:
        raise DeployError(f"{word} is no label: {', '.join(LABELS)}")
    try:
        answer = dynamodb.update_item(
            TableName=names.INCIDENTS,
            Key={"incident_id": {"S": incident_id}},
            UpdateExpression="SET #label = :label, labelled_at = :now ADD revision :one",
            ConditionExpression="attribute_exists(incident_id)",
            ExpressionAttributeNames={"#label": "label"},
            ExpressionAttributeValues={
                ":label": {"S": word},
                ":now": {"S": iso(now())},
                ":one": {"N": "1"},
            },
            ReturnValues="UPDATED_OLD",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        raise DeployError(f"there is no incident {incident_id}") from error
    return str(answer.get("Attributes", {}).get("label", {}).get("S", ""))
