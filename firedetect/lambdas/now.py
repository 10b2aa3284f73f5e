"""The time of the functions: a value that tests pass in."""

from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time of the machine."""
    return datetime.now(UTC)  # noqa: TID251 - the one place where the functions read a clock


def in_ms(moment: datetime) -> int:
    """Return a time as milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def iso(moment: datetime) -> str:
    """Return a time as every message writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
