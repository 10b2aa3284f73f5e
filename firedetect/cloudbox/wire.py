"""What the services of the box hear and say: JSON on topics."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from pydantic import JsonValue, TypeAdapter

JsonObject = dict[str, JsonValue]
_OBJECT: TypeAdapter[JsonObject] = TypeAdapter(JsonObject)


class NotJsonError(ValueError):
    """The payload is no JSON object."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A message that a service publishes."""

    topic: str
    body: JsonObject

    @property
    def payload(self) -> bytes:
        """The message as it goes over the wire."""
        return encoded(self.body)


class Service(Protocol):
    """Answers requests that arrive on its topics."""

    filters: Sequence[str]

    async def answer(self, topic: str, payload: bytes) -> list[Reply]:
        """Return the messages that this request causes, in order."""


def encoded(value: JsonValue) -> bytes:
    """Return a value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def decoded(payload: bytes) -> JsonObject:
    """Return the JSON object of a payload; an empty payload is an empty object.

    Raises UnicodeDecodeError if it is no UTF-8, NotJsonError if it is no JSON object. NaN and
    infinities are no JSON.
    """
    text = payload.decode("utf-8")
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(str(error)) from error
    if not isinstance(value, dict):
        raise NotJsonError("is no object")
    return value


def json_object(value: object) -> JsonObject:
    """Return a value of unknown origin as JSON object; raises pydantic's ValidationError."""
    return _OBJECT.validate_python(value)


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic matches a filter with `+` and `#`, as MQTT defines it."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if given[0].startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for place, part in enumerate(wanted):
        if part == "#":
            return True
        if place >= len(given) or part not in {"+", given[place]}:
            return False
    return len(wanted) == len(given)


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
