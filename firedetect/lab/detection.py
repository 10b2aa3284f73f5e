"""How surely and how soon fires are found: per family, and for the promises that are made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.level import Level
from firedetect.lab.dataset import Dataset
from firedetect.lab.statistics import Share, censored_quantiles
from firedetect.lab.verdicts import LEVELS, NEVER, Verdicts

FLAMING_KW: Final = 5.0
OCCLUDED_KW: Final = 250.0
OCCLUDED_AIM_KW: Final = 100.0
SMOULDER_CO_PPM: Final = 100.0
DANGEROUS: Final = 0.6
"""A fire that never gets so hazardous need not be told."""
OCCLUDED_M3: Final = 60.0
QUANTILES: Final = (0.5, 0.9, 0.99)
IN_VIEW_FLAMING: Final = ("flaming", "liquid", "candle-to-curtain", "small")
SMOULDERS: Final = ("smoulder", "smoulder-hidden", "TF3", "TF9", "UL-pu-smoulder")
TEST_FIRES: Final = ("TF1", "TF2", "TF3", "TF4", "TF5", "TF6")
HARD_FIRES: Final = ("TF1", "TF4", "TF5", "TF6")


@dataclass(frozen=True, slots=True, eq=False)
class FireTimes:
    """Facts of fire episodes (m,), in order: when what was reached (s, inf = never)."""

    episode: NDArray[np.int32]
    family: NDArray[np.str_]
    ignition_s: NDArray[np.float64]
    end_of_test_s: NDArray[np.float64]
    last_s: NDArray[np.float64]
    in_view: NDArray[np.bool_]
    volume_m3: NDArray[np.float64]
    worst: NDArray[np.float64]
    reached_kw: Mapping[float, NDArray[np.float64]]
    co_s: NDArray[np.float64]


def fire_times(data: Dataset, facts: Any) -> FireTimes:  # noqa: ANN401 - a pandas table
    """Return when each fire of a set of whole episodes reached what; `facts` tells of each."""
    episodes = np.unique(data.episode)
    told = facts.set_index("episode").loc[episodes]
    fires = told["fire"].to_numpy()
    told, episodes = told[fires], episodes[fires]
    worst = np.zeros(int(facts["episode"].max()) + 1)
    np.maximum.at(worst, data.episode, data.label)
    limits = (FLAMING_KW, OCCLUDED_AIM_KW, OCCLUDED_KW)
    return FireTimes(
        episode=episodes,
        family=told["family"].to_numpy().astype(str),
        ignition_s=told["ignition_s"].to_numpy(float),
        end_of_test_s=told["end_of_test_s"].to_numpy(float),
        last_s=told["to_s"].to_numpy(float),
        in_view=told["in_view"].to_numpy(bool),
        volume_m3=told["volume_m3"].to_numpy(float),
        worst=worst[episodes],
        reached_kw={kw: _first(data, data.heat_kw >= kw, episodes) for kw in limits},
        co_s=_first(data, data.co_ppm >= SMOULDER_CO_PPM, episodes),
    )


def family_table(times: FireTimes, verdicts: Verdicts) -> list[dict[str, Any]]:
    """Return one record per family of fires: found at `alert`, and when; the worst first."""
    first = _rows(verdicts, times.episode)
    table = []
    for family in np.unique(times.family):
        chosen = (times.family == family) & (times.worst >= DANGEROUS)
        alert_s = first[chosen, LEVELS.index(Level.ALERT)]
        from_5kw = times.reached_kw[FLAMING_KW][chosen]
        burns = np.isfinite(from_5kw)
        table.append(
            {
                "family": str(family),
                "fires": int(chosen.sum()),
                "harmless": int(((times.family == family) & (times.worst < DANGEROUS)).sum()),
                "found": Share(int(np.isfinite(alert_s).sum()), int(chosen.sum())).as_record(),
                "from_ignition_s": _by_level(first[chosen] - times.ignition_s[chosen][:, None]),
                "from_5kw_s": _by_level(first[chosen][burns] - from_5kw[burns][:, None]),
            }
        )
    return sorted(table, key=lambda row: share_or(row["found"], 1.0))


def share_or(record: dict[str, Any], otherwise: float) -> float:
    """Return the share of a record, or another value for a share of none."""
    share = record["share"]
    return otherwise if share is None else float(share)


def promises(times: FireTimes, verdicts: Verdicts) -> dict[str, Any]:
    """Return the figures that the product is held to."""
    alert_s = _rows(verdicts, times.episode)[:, LEVELS.index(Level.ALERT)]
    five = times.reached_kw[FLAMING_KW]
    view = np.isin(times.family, IN_VIEW_FLAMING) & times.in_view & np.isfinite(five)
    late = alert_s[view] - five[view]
    p50, p90, p99 = censored_quantiles(late, QUANTILES)
    missed = Share(int((~np.isfinite(late)).sum()), len(late))
    told: dict[str, Any] = {
        "in_view": {"p50_s": p50, "p90_s": p90, "p99_s": p99, "missed": missed.as_record()}
    }
    hidden = (times.family == "occluded") & (times.volume_m3 <= OCCLUDED_M3)
    for limit in (OCCLUDED_AIM_KW, OCCLUDED_KW):
        told[f"occluded_by_{limit:.0f}kw"] = _before(
            alert_s, times.reached_kw[limit], hidden
        ).as_record()
    smoulders = np.isin(times.family, SMOULDERS)
    told["smoulder_by_100ppm"] = _before(alert_s, times.co_s, smoulders).as_record()
    standard = np.isin(times.family, TEST_FIRES)
    told["test_fires_in_time"] = _before(alert_s, times.end_of_test_s, standard).as_record()
    for family in TEST_FIRES:
        chosen = times.family == family
        told[f"{family}_in_time"] = _before(alert_s, times.end_of_test_s, chosen).as_record()
    return told


def smoulders_found(times: FireTimes, verdicts: Verdicts) -> Share:
    """Return how many smoulders are at `alert` when CO reaches 100 ppm."""
    alert_s = _rows(verdicts, times.episode)[:, LEVELS.index(Level.ALERT)]
    return _before(alert_s, times.co_s, np.isin(times.family, SMOULDERS))


def found_share(
    times: FireTimes, verdicts: Verdicts, families: tuple[str, ...], *, in_view: bool = False
) -> Share:
    """Return how many dangerous fires of some families reach `alert` at all."""
    alert_s = _rows(verdicts, times.episode)[:, LEVELS.index(Level.ALERT)]
    chosen = np.isin(times.family, families) & (times.worst >= DANGEROUS)
    if in_view:
        chosen &= times.in_view
    return Share(int(np.isfinite(alert_s[chosen]).sum()), int(chosen.sum()))


def _before(
    alert_s: NDArray[np.float64], limit_s: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> Share:
    """Return how many were told in time, of those whose limit comes at all."""
    with np.errstate(invalid="ignore"):
        due = chosen & np.isfinite(limit_s)
        return Share(int((alert_s[due] <= limit_s[due]).sum()), int(due.sum()))


def _by_level(late_s: NDArray[np.float64]) -> dict[str, list[float | None]]:
    return {
        level.label: censored_quantiles(late_s[:, i], QUANTILES) for i, level in enumerate(LEVELS)
    }


def _rows(verdicts: Verdicts, episodes: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the first times of these episodes."""
    return verdicts.first_s[np.searchsorted(verdicts.episode, episodes)]


def _first(
    data: Dataset, reached: NDArray[np.bool_], episodes: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return when each episode first reached something."""
    rows = np.flatnonzero(reached)
    found, at = np.unique(data.episode[rows], return_index=True)
    first = np.full(len(episodes), NEVER)
    known = np.isin(found, episodes)
    first[np.searchsorted(episodes, found[known])] = data.t_s[rows[at[known]]]
    return first


Scores = Callable[[NDArray[np.float32]], NDArray[np.float64]]
