"""Delivery streams: a record becomes an object under the prefix that the stream is set up with.

AWS gathers records for minutes and writes Parquet by the table's columns; here each record is an
object of its own at once, as the JSON line that it is.
"""

import json
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from firedetect.clock import NS_PER_S, Clock
from firedetect.errors import BoxError

_DATE: Final = "!{timestamp:yyyy-MM-dd}"
_KEY: Final = re.compile(r"!\{partitionKeyFromQuery:(\w+)\}")
_QUERY: Final = re.compile(r"(\w+)\s*:\s*\.(\w+)")


class Streams:
    """Writes what streams would deliver."""

    def __init__(self, client_of: Callable[[str], Any], clock: Clock) -> None:
        self._client_of = client_of
        self._clock = clock
        self._known: dict[str, dict[str, Any]] = {}

    def put(self, stream: str, record: bytes, separator: bytes) -> None:
        """Deliver one record; raises BoxError for one that the stream's prefix cannot place."""
        target = self._target(stream)
        day = datetime.fromtimestamp(self._clock.wall_ns() / NS_PER_S, UTC)
        prefix = str(target["Prefix"]).replace(_DATE, f"{day:%Y-%m-%d}")
        keys = _keys(target, record)
        for name in _KEY.findall(prefix):
            if name not in keys:
                raise BoxError(f"stream {stream}: the record has no {name}")
        prefix = _KEY.sub(lambda found: keys[found.group(1)], prefix)
        self._client_of("s3").put_object(
            Bucket=str(target["BucketARN"]).rsplit(":", 1)[-1],
            Key=f"{prefix}{stream}-1-{day:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}",
            Body=record + separator,
        )

    def _target(self, stream: str) -> dict[str, Any]:
        if stream not in self._known:
            made = self._client_of("firehose").describe_delivery_stream(DeliveryStreamName=stream)
            (destination,) = made["DeliveryStreamDescription"]["Destinations"]
            self._known[stream] = destination["ExtendedS3DestinationDescription"]
        return self._known[stream]


def _keys(target: dict[str, Any], record: bytes) -> dict[str, str]:
    """Return the partition keys that the stream's queries take from a record."""
    found = {}
    values = json.loads(record)
    for processor in target.get("ProcessingConfiguration", {}).get("Processors", []):
        for parameter in processor.get("Parameters", []):
            if parameter["ParameterName"] == "MetadataExtractionQuery":
                for name, member in _QUERY.findall(parameter["ParameterValue"]):
                    if isinstance(values.get(member), str):
                        found[name] = values[member]
    return found
