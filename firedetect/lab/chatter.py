"""How often the level changes in nuisances: a detector that flaps is not believed."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.settings import DecisionSettings
from firedetect.decision.confirm import ScoreLevel
from firedetect.lab.dataset import Dataset

_NS_PER_S: Final = 1_000_000_000
_DAY_S: Final = 86_400.0


def chatter(
    data: Dataset,
    facts: Any,  # noqa: ANN401 - a pandas table
    scores: NDArray[np.float64],
    settings: DecisionSettings,
) -> dict[str, Any]:
    """Return the level changes of nuisances per device-day of such episodes, and the worst.

    A day made of nuisances alone: a real one has far fewer.
    """
    harmless = facts[~facts["fire"]]
    changes: dict[str, int] = {}
    seconds: dict[str, float] = {}
    flaps = 0
    for episode, family in zip(harmless["episode"], harmless["family"], strict=True):
        rows = slice(*np.searchsorted(data.episode, [episode, episode + 1]))
        if rows.start == rows.stop:
            continue
        levels = _levels(data.t_s[rows], scores[rows], settings)
        changed = int(np.count_nonzero(np.diff(levels)))
        changes[family] = changes.get(family, 0) + changed
        seconds[family] = seconds.get(family, 0.0) + float(np.ptp(data.t_s[rows]))
        rises = int(np.count_nonzero(np.diff(levels) > 0))
        flaps += rises > int(levels.max(initial=0))
    total_s = sum(seconds.values())
    worst = {
        family: round(changes[family] / max(seconds[family], 1.0) * _DAY_S, 2) for family in changes
    }
    return {
        "changes_a_day": round(sum(changes.values()) / max(total_s, 1.0) * _DAY_S, 3),
        "episodes_that_flap": flaps,
        "hours": round(total_s / 3600.0, 2),
        "by_family": dict(sorted(worst.items(), key=lambda item: -item[1])),
    }


def _levels(
    t_s: NDArray[np.float32], scores: NDArray[np.float64], settings: DecisionSettings
) -> NDArray[np.int64]:
    """Return the confirmed level after each second."""
    second = np.floor(t_s).astype(np.int64)
    found, start = np.unique(second, return_index=True)
    highest = np.fmax.reduceat(scores, start)
    machine = ScoreLevel(settings)
    return np.array(
        [
            int(machine.fold(int(at) * _NS_PER_S, float(score)))
            for at, score in zip(found, highest, strict=True)
        ],
        np.int64,
    )
