"""Training: from a data set to a model bundle, the same bytes every time."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from firedetect.contract.settings import DecisionSettings
from firedetect.errors import DatasetError
from firedetect.features.vector import COLUMNS, SCHEMA_ID
from firedetect.lab.boost import Learner, forest_scores
from firedetect.lab.dataset import Dataset, content_hash, read_dataset
from firedetect.lab.episodes import episode_figures
from firedetect.model.bundle import FIRE_AT_LEAST, QUIET_AT_MOST, check_target, write_bundle
from firedetect.model.forest import Forest, parse_forest
from firedetect.model.manifest import Canary, Golden, Manifest, to_row
from firedetect.model.probes import probe_rows

Progress = Callable[[str, float], None]
"""Takes the stage and its finished share, 0 to 1."""

HELD_OUT_SHARE: Final = 0.25
"""Share of every family's episodes that is never trained on and gives the metrics."""

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
    learner = Learner(seed, threads)
    booster = learner.boost(learned, rng, lambda share: tell("train", share))
    tell("check", 0.0)
    model = bytes(booster.save_raw("ubj"))
    forest = parse_forest(model, COLUMNS)
    decision = DecisionSettings()
    figures = episode_figures(
        tested,
        forest_scores(forest, tested.rows),
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
        hyper_parameters=learner.stated(),
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
    scores = forest_scores(forest, learned.rows)
    fire = np.flatnonzero((learned.label >= _FIRE_LABEL) & (scores >= FIRE_AT_LEAST))
    quiet = np.flatnonzero((learned.label < _QUIET_LABEL) & (scores <= QUIET_AT_MOST))
    if not fire.size or not quiet.size:
        raise DatasetError(
            f"no usable model: {fire.size} fire rows score at least {FIRE_AT_LEAST}, "
            f"{quiet.size} quiet rows at most {QUIET_AT_MOST}; the data set needs more episodes"
        )
    middle = [chosen[np.argsort(scores[chosen])[chosen.size // 2]] for chosen in (fire, quiet)]
    return Canary(fire=to_row(learned.rows[middle[0]]), quiet=to_row(learned.rows[middle[1]]))
