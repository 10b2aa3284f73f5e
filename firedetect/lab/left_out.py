"""How each family fares with a model that never saw it, with and without a second opinion."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from firedetect.contract.level import Level
from firedetect.lab.boost import Learner, forest_scores
from firedetect.lab.dataset import Dataset
from firedetect.lab.detection import found_share, share_or
from firedetect.lab.ensemble import Anomaly
from firedetect.lab.exposure import QUIET_HAZARD, judged_episodes
from firedetect.lab.statistics import Share, expected_calibration_error
from firedetect.lab.trial_set import Trial
from firedetect.lab.verdicts import LEVELS, Verdicts
from firedetect.simulation.families import NUISANCES
from firedetect.simulation.fires import FIRES

LEFT_OUT_ROWS: Final = 300_000
"""Rows that the models are trained on which leave a family out: there are some sixty of them."""


def left_out(
    trial: Trial, teaching: Dataset, seed: int, tell: Callable[[float], None]
) -> dict[str, Any]:
    """Return how each family fares with a model that never saw it; the worst first."""
    fires: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    pooled: list[Any] = []
    families = [*FIRES, *NUISANCES]
    # It learns quiet rows alone, so it has seen none of the families that are left out.
    second = Anomaly.of(teaching)
    # Rows of one episode are alike: with fewer of each, every family still teaches all it has.
    stride = max(round(len(teaching) / LEFT_OUT_ROWS), 1)
    teaching = teaching.take(np.arange(0, len(teaching), stride))
    for done, family in enumerate(families, start=1):
        forest = Learner(seed).forest(
            teaching.take(np.flatnonzero(teaching.family != family)), np.random.default_rng(seed)
        )
        part = trial.of_family(family)
        scores = forest_scores(forest, part.data.rows)
        known = ~np.isnan(scores)
        pooled.append(np.stack((scores[known], part.data.label[known].astype(np.float64))))
        alone, both = part.judged(scores), part.judged(second.raised(scores, part.data.rows))
        if family in FIRES:
            found, raised = (found_share(part.fires, one, (family,)) for one in (alone, both))
            fires.append({"family": family, "found": found.as_record()} | _with(raised))
        else:
            false, raised = _false_share(part, alone), _false_share(part, both)
            others.append({"family": family, "false": false.as_record()} | _with(raised))
        tell(done / len(families))
    score, hazard = np.concatenate(pooled, axis=1)
    return {
        "fires": sorted(fires, key=lambda row: share_or(row["found"], 1.0)),
        "nuisances": sorted(others, key=lambda row: -share_or(row["false"], 0.0)),
        "ece": round(expected_calibration_error(score, hazard), 5),
    }


def _with(raised: Share) -> dict[str, Any]:
    return {"with_second": raised.as_record()}


def _false_share(part: Trial, verdicts: Verdicts) -> Share:
    """Return how many harmless episodes reach `alert`, wherever the nuisance stands."""
    judged = judged_episodes(part.data, part.facts, verdicts)
    first_s = judged.first_s[judged.worst < QUIET_HAZARD, LEVELS.index(Level.ALERT)]
    return Share(int(np.isfinite(first_s).sum()), len(first_s))
