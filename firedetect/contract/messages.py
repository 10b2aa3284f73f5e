"""Messages between detector and cloud: versioned, idempotent by `event_id`."""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from firedetect.contract.contributions import MOST_SENT
from firedetect.contract.level import Health, LevelName

MessageKind = Literal["alarm", "trouble", "event"]
PRIORITY: dict[MessageKind, int] = {"alarm": 0, "trouble": 1, "event": 2}
"""Lower goes first; telemetry comes after all of these."""


class ContractMessage(BaseModel):
    """What every message has: a version, and no key that the contract does not name."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    v: Literal[1] = 1


_Column = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]
FEATURES_MAX = 64
"""More columns than any model has: a message stays small."""


class DetectorMessage(ContractMessage):
    """One thing that changed at a detector.

    `contributions` (log odds by column) are there when the score has just raised the level: the
    strongest of what the score is made of. `picture` is where the picture of an alarm will be in
    the bucket; without it the site did not opt in, or there is no image. `features` are those that
    the model judged, of an alarm only: a second opinion is asked about them.
    """

    kind: MessageKind
    event_id: str
    incident_id: str | None
    device: str
    site: str
    ts: str
    t_s: float
    level: LevelName
    current: LevelName
    score: float | None
    reasons: tuple[str, ...]
    health: Health
    troubles: tuple[str, ...]
    alarm: str
    drill: bool
    model: str | None
    contributions: Annotated[
        dict[_Column, float],
        Field(default_factory=dict, max_length=MOST_SENT, exclude_if=lambda found: not found),
    ]
    picture: Annotated[str, StringConstraints(max_length=512)] | None = Field(
        default=None, exclude_if=lambda key: key is None
    )

    features: Annotated[
        dict[_Column, float | None],
        Field(default_factory=dict, max_length=FEATURES_MAX, exclude_if=lambda found: not found),
    ]

    @field_validator("features", mode="wrap")
    @classmethod
    def _only_of_an_alarm(
        cls, given: object, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> dict[str, float | None]:
        """Leave them out of all else, and what is not understood: no alarm is refused for them."""
        if info.data.get("kind") != "alarm":
            return {}
        try:
            found: dict[str, float | None] = validate(given)
        except ValidationError:
            return {}
        return found

    @field_validator("contributions", mode="wrap")
    @classmethod
    def _never_refuse_for_them(
        cls, given: object, validate: ValidatorFunctionWrapHandler
    ) -> dict[str, float]:
        """Leave out what is not understood: an alarm is not refused for its explanation."""
        try:
            found: dict[str, float] = validate(given)
        except ValidationError:
            return {}
        return found

    @field_validator("picture", mode="wrap")
    @classmethod
    def _never_refuse_for_it(
        cls, given: object, validate: ValidatorFunctionWrapHandler
    ) -> str | None:
        """Leave out what can be no picture's key: an alarm is not refused for its picture."""
        try:
            key: str | None = validate(given)
        except ValidationError:
            return None
        return key


class LinkLost(ContractMessage):
    """The last will: the broker sends it when the detector's connection ends without a goodbye."""

    kind: Literal["lost"] = "lost"
    event_id: str
    device: str
    site: str
    boot: int


class SensorBeat(BaseModel):
    """Proof that one sensor is read: a cached or frozen reading cannot produce it.

    `age_s` is the age of the last fresh reading, None if there was none; `fresh` counts fresh
    readings since the start; `noise` is how far the last reading differs from the one before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    age_s: float | None
    fresh: int
    noise: float | None


class Beat(ContractMessage):
    """Proof of sensing, every 20 s.

    `known_answer` tells whether a fire that was put through the model just now scored as a fire.
    """

    kind: Literal["beat"] = "beat"
    device: str
    site: str
    boot: int
    seq: int
    ts: str
    uptime_s: float
    level: LevelName
    health: Health
    score: float | None
    troubles: tuple[str, ...]
    sensors: dict[str, SensorBeat]
    known_answer: bool | None
    waiting: int
    model: str | None
    config_version: int | None


class Receipt(ContractMessage):
    """The cloud has stored an alarm and handed it to people: only now it counts as delivered."""

    kind: Literal["receipt"] = "receipt"
    device: str
    event_id: str
    incident_id: str | None
    ts: str


class Lease(ContractMessage):
    """The tier behind the broker works; the device may rely on it for `valid_s`."""

    kind: Literal["lease"] = "lease"
    device: str
    ts: str
    valid_s: Annotated[float, Field(gt=0, le=86_400)]
