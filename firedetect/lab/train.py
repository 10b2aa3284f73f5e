"""Training: from a data set to a model bundle, the same bytes every time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from firedetect.contract.settings import DecisionSettings
from firedetect.errors import DatasetError
from firedetect.features.vector import (
    COLUMNS,
    GAS_COLUMNS,
    N_FEATURES,
    SCHEMA_ID,
    THERMAL_COLUMNS,
)
from firedetect.lab.dataset import Dataset, content_hash, join, read_dataset
from firedetect.lab.episodes import episode_figures
from firedetect.model.bundle import FIRE_AT_LEAST, QUIET_AT_MOST, check_target, write_bundle
from firedetect.model.forest import Forest, parse_forest
from firedetect.model.manifest import Canary, Golden, Manifest, to_row
from firedetect.model.probes import probe_rows

Progress = Callable[[str, float], None]
"""Takes the stage and its finished share, 0 to 1."""

HELD_OUT_SHARE: Final = 0.25
"""Share of every family's episodes that is never trained on and gives the metrics."""

ROUNDS: Final = 200
PARAMETERS: Final[dict[str, float | int | str]] = {
    "objective": "reg:logistic",
    "tree_method": "hist",
    "max_depth": 5,
    "max_bin": 256,
    "learning_rate": 0.1,
    "min_child_weight": 5.0,
    "reg_lambda": 1.0,
    "subsample": 0.8,
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

COPIED_SHARE: Final = 0.6
DROPOUT: Final = (
    (THERMAL_COLUMNS, 0.3),
    (GAS_COLUMNS + tuple(name for name in COLUMNS if name.startswith(("g_", "co2_"))), 0.3),
    (tuple(name for name in COLUMNS if name.startswith("g_")), 0.2),
    (tuple(name for name in COLUMNS if name.startswith("co2_")), 0.3),
    (tuple(name for name in COLUMNS if name.startswith(("air_", "rh_"))), 0.3),
)
"""A share of the rows is copied, and in each copy whole sensors are made missing, each with its
own probability: array, all gas, Grove films, CO2, air. So the model can do without any of them."""

GOLDEN_ROWS: Final = 64
_FIRE_LABEL: Final = 0.8
_QUIET_LABEL: Final = 0.2


def train(
    dataset_path: Path,
    out: Path,
    *,
    seed: int = 0,
    threads: int = 1,
    name: str = "firedetect",
    version: str = "1.0.0",
    progress: Progress | None = None,
) -> Path:
    """Train on the data set and write the bundle to the folder `out`; returns `out`.

    The same data, seed and number of threads give the same bundle hash. Raises DatasetError when
    the data cannot teach a usable model, BundleError when `out` cannot be written.
    """
    tell = progress or (lambda _stage, _share: None)
    check_target(out)
    tell("read", 0.0)
    data = read_dataset(dataset_path)
    rng = np.random.default_rng(seed)
    held_out = split_episodes(data, rng)
    learned, tested = data.take(~held_out), data.take(held_out)
    booster = _boost(learned, rng, _parameters(seed, threads), tell)
    tell("check", 0.0)
    model = bytes(booster.save_raw("ubj"))
    forest = parse_forest(model, COLUMNS)
    decision = DecisionSettings()
    figures = episode_figures(
        tested,
        _scores(forest, tested.rows),
        threshold=decision.thresholds.alert,
        confirm=decision.confirm,
    )
    manifest = Manifest(
        name=name,
        version=version,
        schema_id=SCHEMA_ID,
        features=COLUMNS,
        training_data_sha256=content_hash(data),
        metrics=figures.as_metrics(),
        thresholds=decision.thresholds,
        seed=seed,
        hyper_parameters=_stated(_parameters(seed, threads)),
        golden=_golden(booster, forest, data, seed),
        canary=_canary(forest, learned),
    )
    write_bundle(out, model, manifest)
    tell("check", 1.0)
    return out


def split_episodes(data: Dataset, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return the mask of the held-out rows: whole episodes, the same share of every family."""
    chosen: list[int] = []
    for family in np.unique(data.family):
        episodes = np.unique(data.episode[data.family == family])
        count = max(round(len(episodes) * HELD_OUT_SHARE), 1) if len(episodes) > 1 else 0
        chosen += rng.permutation(episodes)[:count].tolist()
    held_out = np.isin(data.episode, chosen)
    if not held_out.any() or held_out.all():
        raise DatasetError("too few episodes: no family has two, so none can be held out")
    return held_out


def drop_modalities(data: Dataset, rng: np.random.Generator) -> Dataset:
    """Return `data` followed by copies of some of its rows in which whole sensors are missing."""
    copies = data.take(rng.random(len(data)) < COPIED_SHARE)
    for names, share in DROPOUT:
        dropped = np.flatnonzero(rng.random(len(copies)) < share)
        copies.rows[dropped[:, None], np.array([COLUMNS.index(name) for name in names])] = np.nan
    # Without any of the 18 features there is no score, so nothing to learn either.
    usable = np.isfinite(copies.rows[:, :N_FEATURES]).any(axis=1)
    return join([data, copies.take(np.flatnonzero(usable))])


class _Told(xgboost.callback.TrainingCallback):
    """Tells the progress after every round."""

    def __init__(self, tell: Progress) -> None:
        super().__init__()
        self._tell = tell

    def after_iteration(self, _model: object, epoch: int, _evals_log: object) -> bool:
        """Never ask for an early end."""
        self._tell("train", (epoch + 1) / ROUNDS)
        return False


def _boost(
    learned: Dataset, rng: np.random.Generator, parameters: dict[str, Any], tell: Progress
) -> xgboost.Booster:
    grown = drop_modalities(learned, rng)
    matrix = xgboost.QuantileDMatrix(
        grown.rows,
        grown.label,
        feature_names=list(COLUMNS),
        max_bin=parameters["max_bin"],
        nthread=parameters["nthread"],
    )
    return xgboost.train(parameters, matrix, ROUNDS, callbacks=[_Told(tell)], verbose_eval=False)


def _parameters(seed: int, threads: int) -> dict[str, Any]:
    constraints = tuple(int(name in MONOTONE) for name in COLUMNS)
    return PARAMETERS | {
        "monotone_constraints": constraints,
        "seed": seed,
        "nthread": threads,
        "verbosity": 0,
    }


def _stated(parameters: dict[str, Any]) -> dict[str, float | int | str]:
    """Return the parameters as the manifest shows them, constraints by name."""
    stated = {k: v for k, v in parameters.items() if isinstance(v, float | int | str)}
    names = ",".join(name for name in COLUMNS if name in MONOTONE)
    return stated | {"rounds": ROUNDS, "monotone_constraints": names}


def _scores(forest: Forest, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-forest.margins(rows).astype(np.float64)))


def _golden(booster: xgboost.Booster, forest: Forest, data: Dataset, seed: int) -> Golden:
    """Half of the golden rows come from the data, half are probes with extremes and gaps."""
    spread = np.linspace(0, len(data) - 1, GOLDEN_ROWS // 2).astype(np.intp)
    probes = probe_rows(forest, GOLDEN_ROWS - len(spread), seed)
    rows = np.concatenate((probes, data.rows[spread]))
    matrix = xgboost.DMatrix(rows, feature_names=list(COLUMNS), nthread=1)
    margins = np.asarray(booster.predict(matrix, output_margin=True), np.float32)
    return Golden(
        rows=tuple(to_row(row) for row in rows),
        margins=tuple(float(margin) for margin in margins),
    )


def _canary(forest: Forest, learned: Dataset) -> Canary:
    """Take the most ordinary of the rows that the model gets right."""
    scores = _scores(forest, learned.rows)
    fire = np.flatnonzero((learned.label >= _FIRE_LABEL) & (scores >= FIRE_AT_LEAST))
    quiet = np.flatnonzero((learned.label < _QUIET_LABEL) & (scores <= QUIET_AT_MOST))
    if not fire.size or not quiet.size:
        raise DatasetError(
            f"no usable model: {fire.size} fire rows score at least {FIRE_AT_LEAST}, "
            f"{quiet.size} quiet rows at most {QUIET_AT_MOST}; the data set needs more episodes"
        )
    middle = [chosen[np.argsort(scores[chosen])[chosen.size // 2]] for chosen in (fire, quiet)]
    return Canary(fire=to_row(learned.rows[middle[0]]), quiet=to_row(learned.rows[middle[1]]))
