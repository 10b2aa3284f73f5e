"""Exact intervals and censored quantiles: how sure a figure is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, chi2

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, with its exact two-sided 95 % interval."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share, NaN of none."""
        return self.hits / self.of if self.of else math.nan

    @property
    def low(self) -> float:
        """Lower bound (Clopper-Pearson)."""
        if self.hits == 0:
            return 0.0
        tail = (1.0 - CONFIDENCE) / 2.0
        return float(beta.ppf(tail, self.hits, self.of - self.hits + 1))

    @property
    def high(self) -> float:
        """Upper bound (Clopper-Pearson)."""
        if self.hits == self.of:
            return 1.0
        tail = (1.0 - CONFIDENCE) / 2.0
        return float(beta.ppf(1.0 - tail, self.hits + 1, self.of - self.hits))

    def as_record(self) -> dict[str, float | None]:
        """Return what a report holds; a share of none is None."""
        if not self.of:
            return {"hits": 0, "of": 0, "share": None, "low": None, "high": None}
        return {
            "hits": self.hits,
            "of": self.of,
            "share": round(self.value, 6),
            "low": round(self.low, 6),
            "high": round(self.high, 6),
        }


def upper_share(hits: int, of: int) -> float:
    """Return the one-sided 95 % upper bound of a share; 1 of none."""
    if hits >= of:
        return 1.0
    return float(beta.ppf(CONFIDENCE, hits + 1, of - hits))


def upper_rate(events: int, years: float) -> float:
    """Return the one-sided 95 % upper bound of a Poisson rate per year."""
    if years <= 0.0:
        return math.inf
    return float(chi2.ppf(CONFIDENCE, 2 * (events + 1)) / 2.0 / years)


def censored_quantiles(values: NDArray[np.float64], shares: Sequence[float]) -> list[float | None]:
    """Return quantiles of times in which a miss is infinitely late; None where it falls on one."""
    if not len(values):
        return [None for _ in shares]
    ordered = np.sort(values)
    found = [ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1] for share in shares]
    return [round(float(value), 3) if np.isfinite(value) else None for value in found]


def expected_calibration_error(
    scores: NDArray[np.float64], hazard: NDArray[np.float64], bins: int = 15
) -> float:
    """Return the mean distance of score and hazard over bins of equal mass."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, bins)
    total = sum(
        len(part) * abs(float(scores[part].mean()) - float(hazard[part].mean()))
        for part in parts
        if len(part)
    )
    return total / max(len(scores), 1)
