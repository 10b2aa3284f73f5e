"""What the detector concludes from an event, and how it is written down."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from firedetect.contract.contributions import strongest
from firedetect.contract.level import Health, Level
from firedetect.decision.machine import AlarmState
from firedetect.readings import CommandAction

_DIGITS = 9
"""Significant digits of a printed feature: enough to tell any two float32 apart."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to a command: accepted, or refused with the reason."""

    command_id: str
    action: CommandAction
    accepted: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One conclusion of the pipeline.

    `level` is the latched level, `current` the one of this moment; `score` is NaN when there is
    none. `event_id` is set when something changed: level, health, troubles or the alarm's state.
    `contributions` are there when the score has just raised the level: what each column added to
    the log odds of the score; with a constant of the model they make them up.
    """

    t_ns: int
    t_s: float
    wall_ns: int
    level: Level
    current: Level
    score: float
    reasons: tuple[str, ...]
    incident_id: str | None
    health: Health
    troubles: tuple[str, ...]
    alarm: AlarmState
    model: str | None
    event_id: str | None
    drill: bool = False
    features: Mapping[str, float] = field(default_factory=dict)
    answer: Answer | None = None
    contributions: Mapping[str, float] = field(default_factory=dict)

    @property
    def latched(self) -> bool:
        """Whether the level stays until somebody resets it."""
        return self.alarm is not AlarmState.CLEAR

    def as_record(self) -> dict[str, Any]:
        """Return the object that commands print, recordings hold and pages show."""
        record: dict[str, Any] = {
            "t_s": self.t_s,
            "ts": iso_time(self.wall_ns),
            "level": self.level.label,
            "score": number(self.score),
            "reasons": list(self.reasons),
            "current": self.current.label,
            "latched": self.latched,
            "incident_id": self.incident_id,
            "health": self.health.value,
            "troubles": list(self.troubles),
            "alarm": self.alarm.value,
            "drill": self.drill,
            "features": {name: number(value) for name, value in self.features.items()},
            "model": self.model,
            "event_id": self.event_id,
        }
        if self.contributions:
            ordered = strongest(self.contributions)
            record["contributions"] = {name: number(value) for name, value in ordered.items()}
        if self.answer is not None:
            record["command"] = {
                "action": self.answer.action.value,
                "accepted": self.answer.accepted,
                "detail": self.answer.detail,
            }
        return record

    def as_json(self) -> str:
        """Return the record as one line of JSON; NaN is written as null."""
        return json.dumps(self.as_record(), allow_nan=False, separators=(", ", ": "))


def number(value: float) -> float | None:
    """Return `value` with nine significant digits, None for anything that is no number."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def iso_time(wall_ns: int) -> str:
    """Return wall time as ISO 8601 in UTC with milliseconds."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest_ns // 1_000_000:03d}Z"
