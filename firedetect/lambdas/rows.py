"""Rows of a table as plain values: DynamoDB's numbers and sets stay in here."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config

CALL = Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 2})
"""A call that hangs must leave time for the function to say so."""
QUICK = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2})
"""For what stands before people hear of a fire, and for what is done again soon."""


def packed(row: dict[str, object]) -> dict[str, Any]:
    """Return a row as DynamoDB takes it."""
    plain = json.loads(json.dumps(row), parse_float=Decimal)
    return {name: TypeSerializer().serialize(value) for name, value in plain.items()}


def unpacked(item: dict[str, Any]) -> dict[str, object]:
    """Return a row as plain JSON values."""
    values = {name: TypeDeserializer().deserialize(value) for name, value in item.items()}
    plain: dict[str, object] = json.loads(json.dumps(values, default=_number))
    return plain


def every_row(dynamodb: Any, table: str) -> Iterator[dict[str, object]]:  # noqa: ANN401 - boto3
    """Read a whole table, page by page."""
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            yield unpacked(item)


def client(service: str, config: Config = CALL) -> Any:  # noqa: ANN401 - made at run time
    """Return a client; where it talks to is the environment's business."""
    return boto3.client(service, config=config)


def _number(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is no value of a row")
