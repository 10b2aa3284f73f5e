"""Rows of devices in DynamoDB: a change that was judged by an older row is not written."""

from typing import Any, Final

from firedetect.lambdas.rows import packed, unpacked

LINK: Final = "link"
TROUBLE: Final = "trouble"
ALARM: Final = "alarm"

Row = dict[str, object]


class Devices:
    """The table of devices: one row of each kind per thing, `revision` rises with every change."""

    def __init__(
        self,
        dynamodb: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        table: str,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def kept(self, thing: str, kind: str) -> Row:
        """Return a row as it is now, empty if there is none."""
        answer = self._dynamodb.get_item(
            TableName=self._table,
            Key=packed({"thing": thing, "kind": kind}),
            ConsistentRead=True,
        )
        return unpacked(answer.get("Item", {}))

    def keep(self, before: Row, after: Row) -> bool:
        """Write a row if it is still as it was read; returns whether that was so."""
        revision = before.get("revision")
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(revision)"}
        if isinstance(revision, int):
            condition = {
                "ConditionExpression": "revision = :revision",
                "ExpressionAttributeValues": packed({":revision": revision}),
            }
        number = revision + 1 if isinstance(revision, int) else 1
        try:
            self._dynamodb.put_item(
                TableName=self._table, Item=packed(after | {"revision": number}), **condition
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def put(self, row: Row) -> None:
        """Write a row whatever was there: only for kinds with a single writer."""
        self._dynamodb.put_item(TableName=self._table, Item=packed(row))
