"""Alarm levels and health, as every message names them."""

from enum import IntEnum, StrEnum
from typing import Literal, cast

LevelName = Literal["normal", "informational", "warning", "alert", "emergency"]


class Level(IntEnum):
    """How severe the fire is judged to be; ordered, so that levels compare."""

    NORMAL = 0
    INFORMATIONAL = 1
    WARNING = 2
    ALERT = 3
    EMERGENCY = 4

    @property
    def label(self) -> LevelName:
        """The name used in every message, recording and command."""
        return cast("LevelName", self.name.lower())

    @classmethod
    def from_label(cls, label: str) -> "Level":
        """Return the level named `label`; raises KeyError for any other word."""
        return cls[label.upper()]


LATCHING_FROM = Level.ALERT
"""This level and every higher one stay until somebody resets them."""


class Health(StrEnum):
    """Whether the detector can see: fire inputs only, never the link, disk or clock."""

    OK = "ok"
    DEGRADED = "degraded"
    BLIND = "blind"
