"""What becomes of the row of a link: lost by a last will, returned by anything newer. Pure.

`told` says whether people believe that the detector is not connected.
"""

from collections.abc import Mapping
from typing import Final

LOST: Final = "lost"
RETURNED: Final = "returned"
"""A message came after the loss; the supervisor has not said so yet."""
BACK: Final = "back"
TOLD_AGAIN_AFTER_S: Final = 300.0
"""A link that flaps must not call people all the time; the silence check sees who stays away."""

Row = Mapping[str, object]


def at_ms(row: Row) -> int:
    """Time of a row, 0 if there is none."""
    return ms(row.get("received_ms"))


def ms(value: object) -> int:
    """Return a time of a row, 0 if it is none."""
    return int(value) if isinstance(value, int | float) else 0


def believed_lost(row: Row) -> bool:
    """Whether people believe that the detector is not connected."""
    return row.get("state") in {LOST, RETURNED} and row.get("told", True) is not False


def news(row: Row, received_ms: int) -> bool:
    """Whether a loss at this time is to be told: once per loss, and seldom."""
    if row.get("state") == LOST or received_ms < at_ms(row):
        return False
    told_ms = ms(row.get("told_ms"))
    return not told_ms or received_ms - told_ms >= TOLD_AGAIN_AFTER_S * 1000


def lost(row: Row, received_ms: int, *, told: bool) -> dict[str, object]:
    """Return what changes in the row by a loss."""
    changes: dict[str, object] = {"state": LOST, "received_ms": received_ms}
    if told:
        return changes | {"told": True, "told_ms": received_ms}
    return changes | {"told": believed_lost(row)}
