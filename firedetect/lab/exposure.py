"""False alarms a device-year by class of site: shares per nuisance, weighted by their rates."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.level import Level
from firedetect.lab.dataset import Dataset
from firedetect.lab.statistics import upper_share
from firedetect.lab.verdicts import LEVELS, Verdicts
from firedetect.simulation.families import Rate

QUIET_HAZARD: Final = 0.4
"""Where CO itself is so high, an alarm is no false one, whatever it comes from."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Episodes (m,) with what became of them: `first_s` (m, 4) in the order of LEVELS, inf = never.

    `worst` is the highest hazard of each.
    """

    family: NDArray[np.str_]
    fire: NDArray[np.bool_]
    in_view: NDArray[np.bool_]
    beyond: NDArray[np.bool_]
    worst: NDArray[np.float64]
    first_s: NDArray[np.float64]


def judged_episodes(
    data: Dataset,
    facts: Any,  # noqa: ANN401 - a pandas table
    verdicts: Verdicts,
) -> Judged:
    """Return what became of each episode of a set."""
    worst = np.zeros(int(facts["episode"].max()) + 1)
    np.maximum.at(worst, data.episode, data.label)
    told = facts.set_index("episode").loc[verdicts.episode]
    return Judged(
        family=told["family"].to_numpy().astype(str),
        fire=told["fire"].to_numpy(bool),
        in_view=told["in_view"].to_numpy(bool),
        beyond=told["beyond"].to_numpy(bool),
        worst=worst[verdicts.episode],
        first_s=verdicts.first_s,
    )


def false_alarm_table(judged: Judged, rates: tuple[Rate, ...]) -> dict[str, Any]:
    """Return false alarms a year by level, with bounds and exposure, and a record per nuisance.

    The bound of the sum is the sum of the bounds of the classes, which is more than sure. The
    exposure is that of the nuisance that was tried least often.
    """
    harmless = ~judged.fire & (judged.worst < QUIET_HAZARD)
    table = []
    for rate in rates:
        if rate.per_year <= 0.0:
            continue
        chosen = harmless & (judged.family == rate.family) & (judged.beyond == rate.beyond)
        if not rate.in_view:
            chosen &= ~judged.in_view
        table.append(_nuisance(rate, judged.first_s[chosen]))
    total: dict[str, Any] = {"nuisances": sorted(table, key=lambda row: -row["alert"]["a_year"])}
    for level in LEVELS:
        rows = [row[level.label] for row in table]
        total[level.label] = {
            "a_year": round(sum(row["a_year"] for row in rows), 4),
            "at_most": round(sum(row["at_most"] for row in rows), 3),
        }
    tried = [row["tried"] / row["per_year"] for row in table]
    total["exposure_years"] = round(min(tried, default=0.0), 4)
    total["untried"] = [row["family"] for row in table if not row["tried"]]
    return total


def _nuisance(rate: Rate, first_s: NDArray[np.float64]) -> dict[str, Any]:
    tried = len(first_s)
    row: dict[str, Any] = {
        "family": rate.family,
        "per_year": rate.per_year,
        "in_view": rate.in_view,
        "tried": tried,
    }
    for i, level in enumerate(LEVELS):
        alarms = int(np.isfinite(first_s[:, i]).sum())
        row[level.label] = {
            "alarms": alarms,
            "share": round(alarms / tried, 6) if tried else None,
            "a_year": rate.per_year * alarms / tried if tried else 0.0,
            "at_most": rate.per_year * upper_share(alarms, tried),
        }
    return row


def worst_share(table: dict[str, Any], level: Level = Level.ALERT) -> tuple[str, float]:
    """Return the nuisance with the largest share of alarms at a level."""
    rows = [row for row in table["nuisances"] if row["tried"]]
    worst = max(rows, key=lambda row: row[level.label]["share"])
    return str(worst["family"]), float(worst[level.label]["share"])
