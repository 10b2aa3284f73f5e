"""One comparison of the generator with something real: what it is, the real range, what came."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from firedetect.lab.realism.causes import CAUSES

RESAMPLES = 300
_BAND = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Check:
    """A value of the generator (`got`) against the range `low` to `high` that is real.

    `spread` is 10 and 90 % of the generator's draws, `count` how many draws there were. A value
    that never came is infinite or NaN and is outside.
    """

    name: str
    group: str
    source: str
    compared: str
    unit: str
    low: float
    high: float
    got: float
    spread: tuple[float, float] | None = None
    count: int = 0

    @property
    def inside(self) -> bool:
        """Whether the generator's value lies inside the real range."""
        return bool(self.low <= self.got <= self.high)

    @property
    def cause(self) -> str:
        """The known reason why the check is outside, empty if it is inside or none is known."""
        return "" if self.inside else CAUSES.get(self.name, "")

    def as_record(self) -> dict[str, object]:
        """Return what a report holds: figures that are not finite are None."""
        spread = None if self.spread is None else [finite(value) for value in self.spread]
        return {
            "name": self.name,
            "group": self.group,
            "source": self.source,
            "compared": self.compared,
            "unit": self.unit,
            "real": [finite(self.low), finite(self.high)],
            "generator": finite(self.got),
            "spread": spread,
            "draws": self.count,
            "inside": self.inside,
            "cause": self.cause,
        }


def check(
    group: str,
    source: str,
    name: str,
    compared: str,
    unit: str,
    real: tuple[float, float],
    got: float,
    values: ArrayLike | None = None,
    count: int = 1,
) -> Check:
    """Return a check against a range; `values` are the draws, else `count` tells how many."""
    return Check(
        name=name,
        group=group,
        source=source,
        compared=compared,
        unit=unit,
        low=real[0],
        high=real[1],
        got=got,
        spread=None if values is None else spread(values),
        count=count if values is None else len(np.asarray(values)),
    )


def finite(value: float) -> float | None:
    """Return a figure for JSON, to 4 significant digits."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def quantile(values: ArrayLike, share: float) -> float:
    """Return the smallest value that this share of values reaches; what never came is last."""
    ordered = np.sort(np.asarray(values, np.float64))
    ordered = ordered[~np.isnan(ordered)]
    if not len(ordered):
        return math.nan
    return float(ordered[max(math.ceil(share * len(ordered)) - 1, 0)])


def spread(values: ArrayLike) -> tuple[float, float]:
    """Return 10 and 90 % of values."""
    return quantile(values, 0.1), quantile(values, 0.9)


def bands(
    groups: list[NDArray[np.float64]], shares: tuple[float, ...], seed: int = 0
) -> list[tuple[float, float]]:
    """Return how sure the quantiles of real data are: 95 % of those of redrawn groups.

    Values of one group (a test, a substance, a day) go together.
    """
    rng = np.random.default_rng(seed)
    found = np.empty((RESAMPLES, len(shares)))
    for row in found:
        drawn = rng.integers(0, len(groups), len(groups))
        row[:] = np.quantile(np.concatenate([groups[i] for i in drawn]), shares)
    low, high = np.quantile(found, _BAND, axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def first_time(t_s: NDArray[np.float64], values: NDArray[np.float64], limit: float) -> float:
    """Return when a course first reaches a limit, between its points on a line; infinite: never."""
    above = np.flatnonzero(values >= limit)
    if not len(above):
        return math.inf
    right = int(above[0])
    if right == 0:
        return float(t_s[0])
    left = right - 1
    part = (limit - values[left]) / (values[right] - values[left])
    return float(t_s[left] + part * (t_s[right] - t_s[left]))
