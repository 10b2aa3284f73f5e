"""Boosted trees on a data set: parameters, constraints, missing sensors."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from firedetect.features.vector import COLUMNS, GAS_COLUMNS, N_FEATURES, THERMAL_COLUMNS
from firedetect.lab.dataset import Dataset, join
from firedetect.model.forest import Forest, parse_forest

Told = Callable[[float], None]
"""Takes the finished share, 0 to 1."""

ROUNDS: Final = 400
PARAMETERS: Final[dict[str, float | int | str]] = {
    "objective": "reg:logistic",
    "tree_method": "hist",
    "max_depth": 5,
    "max_bin": 256,
    "learning_rate": 0.08,
    "min_child_weight": 8.0,
    "reg_lambda": 2.0,
    "subsample": 0.7,
    "colsample_bytree": 0.8,
    # The logit of one half is 0 in every C library, so margins are equal on all computers.
    "base_score": 0.5,
}

MONOTONE: Final = (
    "t_max",
    "t_hot_area_pct",
    "t_hot_largest_blob_pct",
    "tproxy_val",
    "tproxy_delta",
    "tproxy_vel",
    "gas_delta",
    "gas_vel",
    "g_co_lr",
    "co2_excess_ppm",
    "air_delta_c",
    "air_rate_c_per_min",
)
"""Columns whose increase never lowers the score: hotter is never judged lower."""

HARMLESS: Final = 0.2
HARMLESS_WEIGHT: Final = 1.85
"""A harmless row counts so much more than a dangerous one: a life has many nuisances and hardly a
fire, and a detector that cries wolf is not believed."""

FILM_COLUMNS: Final = tuple(name for name in COLUMNS if name.startswith("g_"))
CO2_COLUMNS: Final = tuple(name for name in COLUMNS if name.startswith("co2_"))
AIR_COLUMNS: Final = tuple(name for name in COLUMNS if name.startswith(("air_", "rh_")))

COPIED_SHARE: Final = 0.6
DROPOUT: Final = (
    (THERMAL_COLUMNS, 0.3),
    (GAS_COLUMNS + FILM_COLUMNS + CO2_COLUMNS, 0.3),
    (FILM_COLUMNS, 0.15),
    (CO2_COLUMNS, 0.15),
    (AIR_COLUMNS, 0.3),
)
"""A share of the rows is copied, and in each copy whole sensors are made missing, each with its
own probability: array, all gas, Grove films, CO2, air. So the model can do without any of them."""


LEAST_SIGN: Final = {
    "t_hot_area_pct": 0.1,
    "tproxy_delta": 1.5,
    "air_delta_c": 1.0,
    "gas_delta": 10.0,
    "g_co_lr": 0.1,
    "co2_rate_ppm_per_min": 50.0,
}
"""The least of a fire that can be told from drift and noise."""


class Learner:
    """Learns trees from data sets with one seed and number of threads."""

    def __init__(self, seed: int, threads: int = 1) -> None:
        constraints = tuple(int(name in MONOTONE) for name in COLUMNS)
        self.seed = seed
        self.parameters: dict[str, Any] = PARAMETERS | {
            "monotone_constraints": constraints,
            "seed": seed,
            "nthread": threads,
            "verbosity": 0,
        }

    def boost(
        self, data: Dataset, rng: np.random.Generator, tell: Told | None = None
    ) -> xgboost.Booster:
        """Return a booster for `data` and its copies in which sensors are missing."""
        grown = drop_modalities(data, rng)
        matrix = xgboost.QuantileDMatrix(
            grown.rows,
            grown.label,
            weight=np.where(grown.label < HARMLESS, HARMLESS_WEIGHT, 1.0),
            feature_names=list(COLUMNS),
            max_bin=self.parameters["max_bin"],
            nthread=self.parameters["nthread"],
        )
        callbacks = [_Told(tell)] if tell is not None else []
        return xgboost.train(
            self.parameters, matrix, ROUNDS, callbacks=callbacks, verbose_eval=False
        )

    def forest(self, data: Dataset, rng: np.random.Generator) -> Forest:
        """Return the trees as the detector evaluates them."""
        return parse_forest(bytes(self.boost(data, rng).save_raw("ubj")), COLUMNS)

    def stated(self) -> dict[str, float | int | str]:
        """Return the parameters as the manifest shows them, constraints by name."""
        shown = {k: v for k, v in self.parameters.items() if isinstance(v, float | int | str)}
        names = ",".join(name for name in COLUMNS if name in MONOTONE)
        return shown | {
            "harmless_weight": HARMLESS_WEIGHT,
            "rounds": ROUNDS,
            "monotone_constraints": names,
        }


def forest_scores(forest: Forest, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the scores of rows (n, 27); NaN where none of the 18 features is there."""
    with np.errstate(over="ignore"):
        scores = 1.0 / (1.0 + np.exp(-forest.margins(rows).astype(np.float64)))
    scores[np.isnan(rows[:, :N_FEATURES]).all(axis=1)] = np.nan
    return scores


def without(rows: NDArray[np.float32], columns: tuple[str, ...]) -> NDArray[np.float32]:
    """Return rows in which the columns of a sensor are missing."""
    masked = rows.copy()
    masked[:, [COLUMNS.index(name) for name in columns]] = np.nan
    return masked


def drop_modalities(data: Dataset, rng: np.random.Generator) -> Dataset:
    """Return `data` followed by copies of some of its rows in which whole sensors are missing."""
    copies = data.take(rng.random(len(data)) < COPIED_SHARE)
    for names, share in DROPOUT:
        dropped = np.flatnonzero(rng.random(len(copies)) < share)
        copies.rows[dropped[:, None], np.array([COLUMNS.index(name) for name in names])] = np.nan
    # Without any of the 18 features there is no score, so nothing to learn either.
    usable = np.isfinite(copies.rows[:, :N_FEATURES]).any(axis=1)
    # A danger of which the sensors that are left show nothing would teach how many dangers the data
    # set holds, and a quiet room would get that as its score.
    usable &= (copies.label < HARMLESS) | shown(copies.rows)
    return join([data, copies.take(np.flatnonzero(usable))])


def shown(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which rows (n, 27) show anything at all of a fire; what is missing shows nothing."""
    sign = np.zeros(len(rows), bool)
    for name, least in LEAST_SIGN.items():
        sign |= rows[:, COLUMNS.index(name)] >= least
    return sign


class _Told(xgboost.callback.TrainingCallback):
    """Tells the progress after every round."""

    def __init__(self, tell: Told) -> None:
        super().__init__()
        self._tell = tell

    def after_iteration(self, _model: object, epoch: int, _evals_log: object) -> bool:
        """Never ask for an early end."""
        self._tell((epoch + 1) / ROUNDS)
        return False
