"""What expressions of rules SQL are worth: functions from a message to a value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from firedetect.cloudbox.wire import JsonObject


class Undefined:
    """What a path that does not exist is worth."""


UNDEFINED: Final = Undefined()
Value = JsonValue | Undefined


@dataclass(frozen=True, slots=True)
class Occasion:
    """A message with what the functions may ask about it; `topic` is without basic ingest."""

    topic: str
    message: JsonObject
    timestamp_ms: int


Expression = Callable[[Occasion], Value]


def constant(value: JsonValue) -> Expression:
    """A literal."""
    return lambda _occasion: value


def path(path: Sequence[str]) -> Expression:
    """What lies at a path of the message."""

    def found(occasion: Occasion) -> Value:
        value: JsonValue = occasion.message
        for part in path:
            if not isinstance(value, dict) or part not in value:
                return UNDEFINED
            value = value[part]
        return value

    return found


def topic(level: int) -> Expression:
    """One level of the topic, counted from 1."""

    def said(occasion: Occasion) -> Value:
        levels = occasion.topic.split("/")
        return levels[level - 1] if level <= len(levels) else UNDEFINED

    return said


def timestamp(occasion: Occasion) -> Value:
    """Return the time of the rule in milliseconds since 1970."""
    return occasion.timestamp_ms
