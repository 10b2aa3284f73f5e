"""Incidents in DynamoDB: every change is whole or not at all."""

from typing import Any, Final

from firedetect.contract.messages import DetectorMessage
from firedetect.errors import FiredetectError
from firedetect.lambdas.policy import Incident, changed
from firedetect.lambdas.rows import packed, unpacked

ATTEMPTS: Final = 5


class BusyError(FiredetectError):
    """Others change the same row all the time: the event comes again."""


class Incidents:
    """The table of incidents."""

    def __init__(
        self,
        dynamodb: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        table: str,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def find(self, incident_id: str) -> Incident | None:
        """Return an incident as it is now."""
        answer = self._dynamodb.get_item(
            TableName=self._table,
            Key=packed({"incident_id": incident_id}),
            ConsistentRead=True,
        )
        item = answer.get("Item")
        return None if item is None else Incident.model_validate(unpacked(item))

    def record(self, message: DetectorMessage) -> Incident:
        """Bring a message into its incident; raises BusyError if others are always faster."""
        for _ in range(ATTEMPTS):
            before = self.find(message.incident_id or "")
            after = changed(before, message)
            if after == before or self._put(before, after):
                return after
        raise BusyError(f"incident {message.incident_id} is changed all the time")

    def _put(self, before: Incident | None, after: Incident) -> bool:
        """Write if nobody else has written since; returns whether that was so."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(revision)"}
        if before is not None:
            condition = {
                "ConditionExpression": "revision = :revision",
                "ExpressionAttributeValues": packed({":revision": before.revision}),
            }
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=packed(after.model_dump(mode="json")),
                **condition,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True
