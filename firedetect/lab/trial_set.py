"""Whole episodes to judge on, with what the hard rules say of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.settings import DecisionSettings
from firedetect.lab.dataset import Dataset, read_dataset
from firedetect.lab.detection import FireTimes, fire_times
from firedetect.lab.generate import read_facts
from firedetect.lab.verdicts import Verdicts, earliest, judge_hard, judge_scores


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A set of whole episodes with its facts, and how decisions are made on it."""

    data: Dataset
    facts: Any
    fires: FireTimes
    hard: Verdicts
    settings: DecisionSettings
    rates: Path | None

    def judged(self, scores: NDArray[np.float64]) -> Verdicts:
        """Return what scores and hard rules declare together."""
        return earliest(judge_scores(self.data, scores, self.settings), self.hard)

    def of_family(self, family: str) -> "Trial":
        """Return the episodes of one family."""
        data = self.data.take(np.flatnonzero(self.data.family == family))
        facts = self.facts[self.facts["episode"].isin(np.unique(data.episode))]
        return Trial(
            data, facts, fire_times(data, facts), judge_hard(data), self.settings, self.rates
        )


def load_trial(folder: Path, settings: DecisionSettings, rates: Path | None = None) -> Trial:
    """Read a data set of whole episodes; raises DatasetError."""
    data, facts = read_dataset(folder), read_facts(folder)
    return Trial(data, facts, fire_times(data, facts), judge_hard(data), settings, rates)
