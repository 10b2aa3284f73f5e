"""What expressions of rules SQL are worth: functions from a message to a value."""

import math
import operator
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue
from typing_extensions import TypeIs

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
    client_id: str = ""
    principal: str = ""


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


def topic(level: int | None) -> Expression:
    """The whole topic, or one level of it counted from 0."""

    def said(occasion: Occasion) -> Value:
        if level is None:
            return occasion.topic
        levels = occasion.topic.split("/")
        return levels[level] if level < len(levels) else UNDEFINED

    return said


def either(one: Expression, other: Expression) -> Expression:
    """OR."""
    return lambda occasion: one(occasion) is True or other(occasion) is True


def both(one: Expression, other: Expression) -> Expression:
    """AND."""
    return lambda occasion: one(occasion) is True and other(occasion) is True


def negated(inner: Expression) -> Expression:
    """NOT."""

    def turned(occasion: Occasion) -> Value:
        value = inner(occasion)
        return not value if isinstance(value, bool) else UNDEFINED

    return turned


COMPARISONS: Final[Mapping[str, Callable[[float | str, float | str], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compared(sign: str, one: Expression, other: Expression) -> Expression:
    """A comparison of two numbers or two texts."""
    compare = COMPARISONS[sign]

    def told(occasion: Occasion) -> Value:
        left, right = one(occasion), other(occasion)
        if isinstance(left, Undefined) or isinstance(right, Undefined):
            return UNDEFINED
        if _is_number(left) and _is_number(right):
            return compare(left, right)
        if isinstance(left, str) and isinstance(right, str):
            return compare(left, right)
        if sign in {"=", "<>"}:
            same = type(left) is type(right) and left == right
            return same is (sign == "=")
        return UNDEFINED

    return told


def contained(one: Expression, other: Expression) -> Expression:
    """IN."""

    def told(occasion: Occasion) -> Value:
        value, values = one(occasion), other(occasion)
        if isinstance(value, Undefined) or not isinstance(values, list):
            return UNDEFINED
        return any(type(value) is type(item) and value == item for item in values)

    return told


def calculated(sign: str, one: Expression, other: Expression) -> Expression:
    """Arithmetic on numbers."""

    def result(occasion: Occasion) -> Value:
        left, right = one(occasion), other(occasion)
        if not (_is_number(left) and _is_number(right)):
            return UNDEFINED
        try:
            value = _arithmetic(sign, left, right)
        except (OverflowError, ZeroDivisionError):
            return UNDEFINED
        return value if math.isfinite(value) else UNDEFINED

    return result


def _arithmetic(sign: str, left: float, right: float) -> float:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case _:
            return left % right


def _is_number(value: Value) -> TypeIs[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


FUNCTIONS: Final[Mapping[str, Expression]] = {
    "timestamp": lambda occasion: occasion.timestamp_ms,
    "clientid": lambda occasion: occasion.client_id or UNDEFINED,
    "principal": lambda occasion: occasion.principal or UNDEFINED,
    "newuuid": lambda _occasion: str(uuid.uuid4()),
}
