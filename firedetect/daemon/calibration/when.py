"""The date that every calibration file carries."""

from datetime import UTC, datetime

from firedetect.clock import NS_PER_S, Clock, SystemClock


def now_text(clock: Clock | None = None) -> str:
    """Return the wall clock as ISO 8601 in UTC."""
    when = datetime.fromtimestamp((clock or SystemClock()).wall_ns() / NS_PER_S, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
