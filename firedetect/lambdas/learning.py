"""When a model should be trained anew, and from what. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from firedetect.lambdas.analysis import drift_of
from firedetect.lambdas.watching import Past

FALSE_ALARM: Final = "false-alarm"
FALSE_ALARMS: Final = 5
"""So many labelled false alarms since the last request are a reason."""
DRIFTING: Final = 3
"""So are so many detectors whose score has drifted."""
PAUSE: Final = timedelta(days=7)
"""Between two requests: a person has to look at what came of the first."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be learnt from: incidents that were none, detectors that drift, and why."""

    false_alarms: tuple[str, ...]
    drifting: tuple[str, ...]
    models: tuple[str, ...]

    @property
    def why(self) -> str:
        """The reason in words."""
        return (
            f"{len(self.false_alarms)} labelled false alarms, {len(self.drifting)} detectors whose "
            "score drifts"
        )

    def as_record(self, now: datetime) -> dict[str, Any]:
        """Return the order for training: nothing in it changes a model by itself."""
        return {
            "v": 1,
            "at": now.isoformat(timespec="seconds"),
            "why": self.why,
            "false_alarms": list(self.false_alarms),
            "drifting": list(self.drifting),
            "models": list(self.models),
            "next": "train, evaluate, sign, then roll out by the job install-model",
        }


def wanted(
    rows: Iterable[Mapping[str, Any]],
    incidents: Iterable[Mapping[str, Any]],
    asked_at: datetime | None,
    now: datetime,
) -> Request | None:
    """Return what should be learnt, None while there is too little or the last request is fresh."""
    if asked_at is not None and now - asked_at < PAUSE:
        return None
    known = list(rows)
    since = "" if asked_at is None else asked_at.isoformat()
    false = tuple(
        sorted(
            str(one["incident_id"])
            for one in incidents
            if one.get("label") == FALSE_ALARM and str(one.get("labelled_at", "")) > since
        )
    )
    drifting = tuple(
        sorted(
            str(row["thing"])
            for row in known
            if row.get("kind") == "watch" and drift_of(Past.of(row)) is not None
        )
    )
    if len(false) < FALSE_ALARMS and len(drifting) < DRIFTING:
        return None
    models = {str(row["model"]) for row in known if row.get("kind") == "beat" and row.get("model")}
    return Request(false, drifting, tuple(sorted(models)))
