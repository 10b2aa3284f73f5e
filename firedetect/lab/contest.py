"""What the model is compared with: one rule, a logistic regression, each column alone."""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from firedetect.features.vector import COLUMNS, INDEX
from firedetect.lab.dataset import Dataset

ScoreRows: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float64]]

RULE: Final = (("t_max", 60.0, 120.0), ("air_delta_c", 5.0, 15.0), ("g_co_lr", 0.8, 1.4))
"""The single rule: a column, the value at which its score begins, the one at which it is full."""
DANGEROUS: Final = 0.6
HARMLESS: Final = 0.2
_ROWS: Final = 200_000


def single_rule(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the scores of a rule as simple detectors have it: hottest of heat, air and CO."""
    parts = []
    for name, begins, full in RULE:
        values = rows[:, INDEX[name]].astype(np.float64)
        parts.append(np.clip((np.nan_to_num(values, nan=-1e9) - begins) / (full - begins), 0, 1))
    score: NDArray[np.float64] = np.max(parts, axis=0)
    return score


def logistic(data: Dataset, seed: int) -> ScoreRows:
    """Return a logistic regression on the same columns, missing values as the column's median."""
    chosen = _sample(data, seed)
    rows = data.rows[chosen].astype(np.float64)
    with np.errstate(invalid="ignore"):
        middle = np.nan_to_num(np.nanmedian(rows, axis=0))
    filled = np.where(np.isnan(rows), middle, rows)
    # A soft label is both classes with its weight.
    label = data.label[chosen].astype(np.float64)
    both = np.concatenate((filled, filled))
    target = np.concatenate((np.ones(len(label)), np.zeros(len(label))))
    weight = np.concatenate((label, 1.0 - label))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    model.fit(both, target, logisticregression__sample_weight=weight)

    def score(given: NDArray[np.float32]) -> NDArray[np.float64]:
        wide = np.where(np.isnan(given), middle, given.astype(np.float64))
        found: NDArray[np.float64] = model.predict_proba(wide)[:, 1]
        return found

    return score


def column_aucs(data: Dataset, seed: int) -> dict[str, float]:
    """Return how well each column alone tells dangerous rows from harmless ones, best first.

    Over 0.99 it is a shortcut of the generator, which is then to be mended.
    """
    told = (data.label >= DANGEROUS) | (data.label < HARMLESS)
    chosen = _sample(data.take(np.flatnonzero(told)), seed)
    part = data.take(np.flatnonzero(told)).take(chosen)
    burns = part.label >= DANGEROUS
    found = {}
    for i, name in enumerate(COLUMNS):
        known = ~np.isnan(part.rows[:, i])
        if burns[known].any() and not burns[known].all():
            auc = float(roc_auc_score(burns[known], part.rows[known, i]))
            found[name] = round(max(auc, 1.0 - auc), 4)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _sample(data: Dataset, seed: int) -> NDArray[np.intp]:
    if len(data) <= _ROWS:
        return np.arange(len(data))
    return np.sort(np.random.default_rng(seed).choice(len(data), _ROWS, replace=False))
