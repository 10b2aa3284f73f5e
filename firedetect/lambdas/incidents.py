"""Incidents in DynamoDB: every change is whole or not at all."""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from firedetect.contract.messages import DetectorMessage
from firedetect.contract.names import OPEN_INCIDENTS_INDEX
from firedetect.errors import FiredetectError
from firedetect.lambdas.incident import Incident, changed, noted
from firedetect.lambdas.rows import packed, unpacked

ATTEMPTS: Final = 5
_OPEN: Final = "open"

_After = TypeVar("_After", bound=Incident | None)


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

    def open_rows(self) -> Iterator[list[dict[str, object]]]:
        """Read the rows of incidents that nobody has closed, oldest first, page by page.

        The index is a moment behind the table: what is missing now is found at the next look.
        """
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=OPEN_INCIDENTS_INDEX,
            KeyConditionExpression="#open = :open",
            ExpressionAttributeNames={"#open": _OPEN},
            ExpressionAttributeValues=packed({":open": _OPEN}),
        )
        for page in pages:
            yield [unpacked(item) for item in page["Items"]]

    def record(
        self, message: DetectorMessage, received_ms: int = 0, told: tuple[str, str] | None = None
    ) -> Incident:
        """Bring a message into its incident, with what people were `told` of it, and when.

        Raises BusyError if others are always faster.
        """

        def fold(before: Incident | None) -> Incident:
            after = changed(before, message, received_ms)
            after = noted(after, *told) if told else after
            revision = before.revision if before else 0
            # One change of the row, whatever it consists of.
            return after if after == before else after.model_copy(update={"revision": revision + 1})

        return self._changed(message.incident_id or "", fold)

    def change(self, incident_id: str, fold: Callable[[Incident], Incident]) -> Incident | None:
        """Change an incident by what it is now; returns it, None if there is none."""
        return self._changed(incident_id, lambda before: None if before is None else fold(before))

    def _changed(self, incident_id: str, fold: Callable[[Incident | None], _After]) -> _After:
        for _ in range(ATTEMPTS):
            before = self.find(incident_id)
            after = fold(before)
            if after is None or after == before or self._put(before, after):
                return after
        raise BusyError(f"incident {incident_id} is changed all the time")

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
                Item=packed(_row(after)),
                **condition,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _row(incident: Incident) -> dict[str, object]:
    """Return an incident as it is kept: one that is not over is in the index of those."""
    row = incident.model_dump(mode="json")
    return row if incident.closed_at else row | {_OPEN: _OPEN}
