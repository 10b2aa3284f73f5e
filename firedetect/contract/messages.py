"""Messages from the detector to the cloud: versioned, idempotent by `event_id`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from firedetect.contract.level import Health

MESSAGE_VERSION = 1
MessageKind = Literal["alarm", "trouble", "event"]
PRIORITY: dict[MessageKind, int] = {"alarm": 0, "trouble": 1, "event": 2}
"""Lower goes first; telemetry comes after all of these."""


class DetectorMessage(BaseModel):
    """One thing that changed at a detector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    kind: MessageKind
    event_id: str
    incident_id: str | None
    device: str
    site: str
    ts: str
    t_s: float
    level: Literal["normal", "informational", "warning", "alert", "emergency"]
    current: Literal["normal", "informational", "warning", "alert", "emergency"]
    score: float | None
    reasons: tuple[str, ...]
    health: Health
    troubles: tuple[str, ...]
    alarm: str
    drill: bool
    model: str | None
