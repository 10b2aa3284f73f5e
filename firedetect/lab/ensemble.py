"""A second opinion beside the boosted trees, and whether it helps: an anomaly score of quiet rows.

It is independent of them in what it learns: never of a fire, only how rows look while nothing
happens, as a site's own quiet days would teach it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.lab.dataset import Dataset

QUIET: Final = ("quiet-room", "people")
"""What a site's own quiet time is made of."""
USUAL: Final = 0.999
"""Rows up to this quantile of the quiet ones count as usual."""
WEIGHT: Final = 0.3
RULE: Final = (
    f"log odds of the trees, raised by {WEIGHT:g} times the excess of the anomaly over what "
    f"{100 * USUAL:g} % of quiet rows have"
)
_MAX_Z: Final = 20.0
_LEAST: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Anomaly:
    """How far a row is from quiet ones: the mean of its columns' distances in deviations."""

    middle: NDArray[np.float64]
    spread: NDArray[np.float64]
    usual: float

    @classmethod
    def of(cls, data: Dataset) -> "Anomaly":
        """Learn from the quiet rows of a data set."""
        rows = data.rows[np.isin(data.family, QUIET)].astype(np.float64)
        # A column that no quiet row knows has nothing usual: whatever it says stays out.
        middle = np.full(rows.shape[1], np.nan)
        spread = np.full(rows.shape[1], np.nan)
        for column, values in enumerate(rows.T):
            known = values[~np.isnan(values)]
            if len(known):
                middle[column] = np.median(known)
                deviation = 1.4826 * np.median(np.abs(known - middle[column]))
                spread[column] = max(deviation, _LEAST)
        distance = _distance(rows, middle, spread)
        return cls(middle, spread, float(np.quantile(distance, USUAL)) if len(rows) else np.inf)

    def raised(self, scores: NDArray[np.float64], rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores of both models together, by RULE."""
        distance = _distance(rows.astype(np.float64), self.middle, self.spread)
        excess = np.maximum(distance - self.usual, 0.0)
        held = np.clip(scores, _LEAST, 1.0 - _LEAST)
        log_odds = np.log(held / (1.0 - held)) + WEIGHT * excess
        together: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-log_odds))
        return together


def _distance(
    rows: NDArray[np.float64], middle: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    off = np.minimum(np.abs(rows - middle) / spread, _MAX_Z)
    known = ~np.isnan(off)
    found: NDArray[np.float64] = np.where(known, off, 0.0).sum(axis=1) / np.maximum(
        known.sum(axis=1), 1
    )
    return found
