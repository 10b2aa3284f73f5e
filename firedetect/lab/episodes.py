"""Figures per episode: what a model does with whole fires and whole nuisances, not with rows."""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.settings import Confirmation
from firedetect.lab.dataset import Dataset

FIRE_HAZARD: Final = 0.6
"""An episode that gets this hazardous is one that must reach the level alert."""

QUIET_HAZARD: Final = 0.2
"""An episode that stays below this hazard must not reach the level alert."""


@dataclass(frozen=True, slots=True)
class EpisodeFigures:
    """Counts of episodes, and the mean squared difference of score and hazard over all rows."""

    fires: int
    fires_detected: int
    quiet: int
    false_alarms: int
    brier: float

    def as_metrics(self) -> dict[str, float]:
        """Return the figures as a manifest holds them; a rate without episodes is left out."""
        metrics: dict[str, float] = asdict(self)
        if self.fires:
            metrics["detection_rate"] = round(self.fires_detected / self.fires, 6)
        if self.quiet:
            metrics["false_alarm_rate"] = round(self.false_alarms / self.quiet, 6)
        return metrics


def episode_figures(
    data: Dataset, score: NDArray[np.float64], *, threshold: float, confirm: Confirmation
) -> EpisodeFigures:
    """Return the figures of `score`, shape (n,), at one level's threshold and confirmation."""
    raised = alarmed_episodes(data, score, threshold=threshold, confirm=confirm)
    episodes, codes = np.unique(data.episode, return_inverse=True)
    hazard = np.zeros(len(episodes), np.float32)
    np.maximum.at(hazard, codes, data.label)
    alarmed = np.isin(episodes, raised)
    fire, quiet = hazard >= FIRE_HAZARD, hazard < QUIET_HAZARD
    known = ~np.isnan(score)
    error = score[known] - data.label[known]
    return EpisodeFigures(
        fires=int(fire.sum()),
        fires_detected=int((fire & alarmed).sum()),
        quiet=int(quiet.sum()),
        false_alarms=int((quiet & alarmed).sum()),
        brier=round(float(np.mean(error**2)), 6) if known.any() else 0.0,
    )


def alarmed_episodes(
    data: Dataset, score: NDArray[np.float64], *, threshold: float, confirm: Confirmation
) -> NDArray[np.int32]:
    """Return the episodes in which `k` of some `n` seconds in a row reached `threshold`."""
    reached = score >= threshold
    seconds = np.floor(data.t_s[reached]).astype(np.int64)
    pairs = np.unique(np.stack((data.episode[reached], seconds), axis=1), axis=0)
    first, last = pairs[: max(len(pairs) - confirm.k + 1, 0)], pairs[confirm.k - 1 :]
    confirmed = (first[:, 0] == last[:, 0]) & (last[:, 1] - first[:, 1] < confirm.n)
    return np.unique(first[confirmed, 0]).astype(np.int32)
