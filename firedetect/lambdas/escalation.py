"""Who is told when nobody acknowledges, and how long each waits for the one before. Pure.

The state machine asks for one step after the other; what a step carries is all that it knows.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firedetect.contract.level import Level, LevelName
from firedetect.contract.problems import problem_of
from firedetect.errors import MessageRefusedError
from firedetect.lambdas.facts import nth
from firedetect.lambdas.incident import Incident


@dataclass(frozen=True, slots=True)
class Tier:
    """People who are told together; `wait_s` until the next step; the tier is told `times`."""

    who: str
    wait_s: int
    times: int = 1


TIERS: Final = (
    # The message of the alarm itself: the machine is started when these people know.
    Tier("the people of the site", 60),
    Tier("their deputies", 120),
    Tier("everybody", 600, times=13),
)
LAST: Final = len(TIERS) - 1
LASTS_S: Final = sum(tier.wait_s * tier.times for tier in TIERS)
"""So long after the alarm the escalation is over, acknowledged or not."""
_NAME_LIMIT: Final = 80
_TIER: Final = r"^(\w+), tier (\d+), round \d+(?:, again (\d+))?$"


class Climb(BaseModel):
    """One step: `round` counts within the tier; `told_ms` is when the alarm was told.

    Level, site, reasons are those of the alarm, for when there is no row of the incident yet.
    `again` counts how often the incident had come back if that is what people are called for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    incident_id: Annotated[str, Field(min_length=1, max_length=200)]
    thing: str
    site: str
    level: LevelName
    reasons: tuple[str, ...] = ()
    since: str = ""
    told_ms: int
    tier: Annotated[int, Field(ge=0, le=LAST)] = 0
    round: Annotated[int, Field(ge=0)] = 0
    wait_s: Annotated[int, Field(ge=0)] = 0
    over: bool = False
    again: Annotated[int, Field(ge=0, exclude_if=lambda number: not number)] = 0

    @property
    def step(self) -> str:
        """What names a step within its incident, for rows and logs."""
        return step_of(self.level, self.tier, self.round, self.again)

    @property
    def exhausted(self) -> bool:
        """Whether everybody was told as often as there is to tell."""
        return self.round >= TIERS[self.tier].times


def step_of(level: str, tier: int = 0, turn: int = 0, again: int = 0) -> str:
    """Return the name of a step; without a tier it is the message of the alarm itself."""
    return f"{level}, tier {tier}, round {turn}{nth(again)}"


def called(incident: Incident) -> tuple[int, ...]:
    """Return the tiers that were called for an incident so far, at whatever level.

    Whoever is called was preceded by the tiers before, even if that was not noted. Who was called
    before it was over has heard that.
    """
    found = (re.search(_TIER, step) for step in incident.told)
    tiers = [int(one[2]) for one in found if one and _is_of_now(incident, one[1], one[3])]
    highest = max([*tiers, LAST if incident.told_again_ms else 0])
    return tuple(range(highest + 1))


def _is_of_now(incident: Incident, label: str, again: str | None) -> bool:
    return int(again or 0) == incident.again_at(Level.from_label(label).label)


def climb_of(asked: object) -> Climb:
    """Return the step that the state machine asks for; raises MessageRefusedError."""
    try:
        return Climb.model_validate(asked)
    except ValidationError as error:
        raise MessageRefusedError(f"no step of an escalation: {problem_of(error)}") from error


def following(climb: Climb) -> Climb:
    """Return the step after this one, and how long to wait before it."""
    tier = TIERS[climb.tier]
    if climb.tier < LAST and climb.round + 1 >= tier.times:
        return climb.model_copy(update={"tier": climb.tier + 1, "round": 0, "wait_s": tier.wait_s})
    return climb.model_copy(update={"round": climb.round + 1, "wait_s": tier.wait_s})


def stopped(climb: Climb, incident: Incident | None) -> str:
    """Return why nobody is told any more, nothing if somebody is.

    Without a row nobody can have acknowledged: the alarm is told all the same.
    """
    if incident is None:
        return ""
    if incident.closed_at or incident.reset_at:
        return "over"
    if climb.again < incident.again_at(climb.level):
        return "people were called anew"
    if incident.covered(climb.level):
        return "acknowledged"
    if Level.from_label(incident.level) > Level.from_label(climb.level):
        return "a higher level is told by itself"
    return ""


def execution_name(incident_id: str, level: LevelName, again: int = 0) -> str:
    """Return what the state machine calls the escalation of a level: one each, however often asked.

    A higher level has a name of its own, so it begins with the first people again; so has each
    return of the fire.
    """
    whole = f"{incident_id}-{level}" + (f"-again-{again}" if again else "")
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", whole)
    if plain == whole and len(plain) <= _NAME_LIMIT:
        return plain
    mark = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return f"{plain[: _NAME_LIMIT - len(mark) - 1]}-{mark}"
