"""The three named shadows of a detector as documents: `config`, `state`, `alarm`.

The cloud writes `desired`, the detector writes `reported`; neither ever writes the other's part,
so that the two sides of a partition cannot contradict each other.
"""

import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firedetect.contract.level import Health, LevelName
from firedetect.contract.limits import refused_state
from firedetect.contract.problems import Problem, problem_of
from firedetect.contract.settings import RemoteSettings

DOCUMENT_VERSION: Literal[1] = 1


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    v: Literal[1] = DOCUMENT_VERSION


class LibraryVerdict(_Document):
    """What the settings do with the built-in fires and nuisances.

    `missed` are fires that do not reach `alert`; `delayed_s` how much later than with the
    present settings others do; `false_alarms` nuisances that reach it.
    """

    tried: int
    missed: tuple[str, ...] = ()
    delayed_s: dict[str, float] = {}
    false_alarms: tuple[str, ...] = ()


class HistoryVerdict(_Document):
    """What the settings would have done on this detector's own stored features.

    `problem` is why not all of it could be tried.
    """

    hours: float
    alarms: int
    alarms_before: int
    complete: bool
    problem: Annotated[str, Field(max_length=200)] = ""


class Verdict(_Document):
    """The trial of a change before it is adopted."""

    library: LibraryVerdict
    history: HistoryVerdict
    only_more_sensitive: bool


class Refusal(_Document):
    """Why a desired document was not adopted; `version` is that of the shadow it came in."""

    version: int
    path: Annotated[str, Field(max_length=200)]
    reason: Annotated[str, Field(max_length=400)]


class ReportedConfig(RemoteSettings):
    """What the detector says in shadow `config`: its settings, where `desired` has them.

    `status` is `adopted` while a change proves itself, then `confirmed`; `reverted` when the
    detector went back by itself, with the reason in `refused`. `version` is that of the shadow
    which the settings came with, `verdict_version` of the one that was tried last: a refused
    one has a verdict, too.
    """

    v: Literal[1] = DOCUMENT_VERSION
    version: int | None
    status: Literal["defaults", "adopted", "confirmed", "reverted"]
    verdict: Verdict | None = None
    verdict_version: int | None = None
    refused: Refusal | None = None


class StateDocument(_Document):
    """What the detector says in shadow `state`."""

    level: LevelName
    health: Health
    incident_id: str | None
    troubles: Annotated[tuple[str, ...], Field(max_length=20)]
    program: str
    model: str | None
    schema_id: str
    boot: int
    site: str


class Acknowledge(BaseModel):
    """Somebody has taken over the incident; `level` is the one that they saw, if that is known.

    A detector that has risen above it meanwhile does not count as acknowledged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    incident_id: Annotated[str, Field(min_length=1, max_length=128)]
    by: Annotated[str, Field(max_length=128)] = ""
    level: LevelName | None = None


class Silence(BaseModel):
    """Somebody silences the sounders of the incident until a time (ISO 8601, with offset)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    incident_id: Annotated[str, Field(min_length=1, max_length=128)]
    until: Annotated[str, Field(max_length=40)]
    by: Annotated[str, Field(max_length=128)] = ""


class DesiredAlarm(_Document):
    """What people ask for in shadow `alarm`."""

    acknowledge: Acknowledge | None = None
    silence: Silence | None = None


class ReportedAlarm(_Document):
    """What the detector made of it; `answers` are by request, empty when carried out."""

    incident_id: str | None
    level: LevelName
    alarm: str
    acknowledged: bool
    answers: dict[str, str] = {}


def desired_settings(base: RemoteSettings, desired: object) -> RemoteSettings | Problem:
    """Return `base` with what a `config` shadow desires laid over it, or the first problem.

    The document is judged whole: one bad value and nothing of it is taken.
    """
    document = _plain_object(desired)
    if isinstance(document, Problem):
        return document
    version = document.pop("v", DOCUMENT_VERSION)
    if type(version) is not int or version != DOCUMENT_VERSION:
        return Problem("v", f"this detector understands version {DOCUMENT_VERSION}")
    merged = _overlaid(base.model_dump(), document)
    try:
        return RemoteSettings.model_validate(merged, strict=True)
    except ValidationError as error:
        return problem_of(error)


def desired_alarm(desired: object) -> DesiredAlarm | Problem:
    """Return what an `alarm` shadow desires, or the first problem."""
    document = _plain_object(desired)
    if isinstance(document, Problem):
        return document
    try:
        return DesiredAlarm.model_validate(document)
    except ValidationError as error:
        return problem_of(error)


def _plain_object(document: object) -> dict[str, Any] | Problem:
    """Return a copy of a JSON object within the limits, without NaN, or the problem."""
    if not isinstance(document, dict):
        return Problem("", "is no object")
    refused = refused_state(document)
    if refused:
        return Problem("", refused)
    path = _not_finite(document)
    if path is not None:
        return Problem(path, "is no finite number")
    plain: dict[str, Any] = json.loads(json.dumps(document))
    return plain


def _not_finite(value: object, path: str = "") -> str | None:
    """Return the path of the first NaN or infinity; the depth is limited before."""
    if isinstance(value, float) and not math.isfinite(value):
        return path
    inner: dict[str, object] = {}
    if isinstance(value, dict):
        inner = {str(key): item for key, item in value.items()}
    elif isinstance(value, list):
        inner = {str(index): item for index, item in enumerate(value)}
    for key, item in inner.items():
        found = _not_finite(item, f"{path}.{key}" if path else key)
        if found is not None:
            return found
    return None


def _overlaid(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the leaves of `over`; null leaves the value of `base`."""
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = _overlaid(known, value)
        elif value is not None or key not in merged:
            merged[key] = value
    return merged
