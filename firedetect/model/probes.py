"""Invented rows that try a forest where evaluators go wrong: at thresholds, limits and gaps."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.model.forest import Forest

MISSING_SHARE: Final = 0.15
_EXTREMES: Final = (0.0, -0.0, 1e-45, -1e-45, 1e-30, 1e6, -1e6, 3.4028235e38, -3.4028235e38)


def probe_rows(forest: Forest, count: int, seed: int) -> NDArray[np.float32]:
    """Return `count` rows, float32 of shape (count, columns); the same seed gives the same rows.

    Per column: ordinary values, the forest's own thresholds with both neighbours, extreme finite
    values, and 15 % missing. The first row has every value missing.
    """
    rng = np.random.default_rng(seed)
    rows = np.empty((count, len(forest.columns)), np.float32)
    extremes = np.array(_EXTREMES, np.float32)
    for column in range(rows.shape[1]):
        rows[:, column] = _column(rng, forest.thresholds(column), count)
        places = rng.random(count)
        rare = places < 0.03
        rows[rare, column] = rng.choice(extremes, int(rare.sum()))
        rows[places > 1 - MISSING_SHARE, column] = np.nan
    rows[:1] = np.nan
    return rows


def _column(
    rng: np.random.Generator, thresholds: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    if not thresholds.size:
        return (50 * rng.standard_normal(count)).astype(np.float32)
    reach = float(np.ptp(thresholds)) or 1.0
    wide = rng.uniform(thresholds[0] - reach, thresholds[-1] + reach, count).astype(np.float32)
    chosen = rng.choice(thresholds, count)
    step = rng.integers(0, 4, count)
    limit = np.float32(np.inf)
    wide[step == 0] = chosen[step == 0]
    wide[step == 1] = np.nextafter(chosen, limit)[step == 1]
    wide[step == 2] = np.nextafter(chosen, -limit)[step == 2]
    return wide
