"""The evaluation of a bundle by events: what it finds, how soon, where it cries wolf."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.settings import DecisionSettings
from firedetect.features.vector import GAS_COLUMNS, THERMAL_COLUMNS
from firedetect.lab.boost import (
    AIR_COLUMNS,
    CO2_COLUMNS,
    FILM_COLUMNS,
    forest_scores,
    without,
)
from firedetect.lab.chatter import chatter
from firedetect.lab.contest import column_aucs, logistic, single_rule
from firedetect.lab.dataset import Dataset, content_hash, read_dataset
from firedetect.lab.detection import (
    HARD_FIRES,
    family_table,
    found_share,
    promises,
    smoulders_found,
)
from firedetect.lab.ensemble import RULE, Anomaly
from firedetect.lab.exposure import false_alarm_table, judged_episodes, worst_share
from firedetect.lab.left_out import left_out
from firedetect.lab.statistics import expected_calibration_error
from firedetect.lab.trial_set import Trial, load_trial
from firedetect.lab.verdicts import LEVELS, Verdicts, judge_scores
from firedetect.model.bundle import Bundle, load_bundle
from firedetect.simulation.families import SITES, load_rates
from firedetect.simulation.fires import FIRES

Progress = Callable[[str, float], None]
ScoreRows = Callable[[NDArray[np.float32]], NDArray[np.float64]]

DEGRADED: Final = {
    "thermal alone": GAS_COLUMNS + FILM_COLUMNS + CO2_COLUMNS + AIR_COLUMNS,
    "gas alone": THERMAL_COLUMNS + AIR_COLUMNS,
    "films alone": THERMAL_COLUMNS + AIR_COLUMNS + CO2_COLUMNS,
    "no air sensor": AIR_COLUMNS,
    "no films": FILM_COLUMNS,
    "no CO2": CO2_COLUMNS,
}
"""What is taken away; hard rules that need it are left out too."""
SWEEP: Final = (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
REPORT_SITE: Final = "dwelling"


def evaluate(
    bundle_path: Path,
    folder: Path,
    *,
    learned: Path | None = None,
    rates: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the whole evaluation as plain values; raises BundleError, DatasetError.

    `learned` is the data set that the bundle was trained on: with it families are left out of
    training one by one, and simpler models compete.
    """
    tell = progress or (lambda _stage, _share: None)
    tell("read", 0.0)
    bundle = load_bundle(bundle_path)
    settings = DecisionSettings()
    trial = load_trial(folder, settings, rates)
    scores = forest_scores(bundle.forest, trial.data.rows)
    both = trial.judged(scores)
    told: dict[str, Any] = {
        "bundle": _named(bundle),
        "settings": settings.model_dump(mode="json"),
        "data": _counted(trial),
        "families": family_table(trial.fires, both),
        "promises": promises(trial.fires, both),
        "false_alarms": _sites(trial, both),
        "calibration": calibration(trial.data, scores),
        "chatter": chatter(trial.data, trial.facts, scores, settings),
        "hard_rules_alone": _hard_alone(trial),
        "score_alone": _short(trial, judge_scores(trial.data, scores, settings)),
        "sweep": _sweep(trial, scores),
        "degraded": _degraded(trial, lambda rows: forest_scores(bundle.forest, rows)),
    }
    tell("judged", 0.3)
    if learned is not None:
        teaching = read_dataset(learned)
        told["columns"] = column_aucs(teaching, bundle.manifest.seed)
        told["contest"] = _contest(trial, teaching, scores)
        told["left_out"] = left_out(
            trial, teaching, bundle.manifest.seed, lambda share: tell("left out", share)
        )
    tell("done", 1.0)
    return told


def calibration(data: Dataset, scores: NDArray[np.float64]) -> dict[str, Any]:
    """Return how well scores mean the hazard: error over bins, and per level."""
    known = ~np.isnan(scores)
    score, hazard = scores[known], data.label[known].astype(np.float64)
    levels = []
    edges = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    for low, high in itertools.pairwise(edges):
        inside = (score >= low) & ((score < high) | (high == 1.0))
        levels.append(
            {
                "from": low,
                "to": high,
                "rows": int(inside.sum()),
                "mean_score": _mean(score[inside]),
                "mean_hazard": _mean(hazard[inside]),
                "hazard_at_or_above": _mean((hazard[inside] >= low).astype(np.float64)),
            }
        )
    return {
        "ece": round(expected_calibration_error(score, hazard), 5),
        "brier": round(float(np.mean((score - hazard) ** 2)), 6),
        "levels": levels,
    }


def _named(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "hash": bundle.hash,
        "training_data_sha256": manifest.training_data_sha256,
        "seed": manifest.seed,
        "hyper_parameters": manifest.hyper_parameters,
        "trees": bundle.forest.trees,
    }


def _counted(trial: Trial) -> dict[str, Any]:
    return {
        "sha256": content_hash(trial.data),
        "episodes": len(trial.facts),
        "fires": int(trial.facts["fire"].sum()),
        "images": len(trial.data),
        "rooms": int(trial.facts["room"].nunique()),
        "boards": int(trial.facts["board"].nunique()),
    }


def _sites(trial: Trial, verdicts: Verdicts) -> dict[str, Any]:
    judged = judged_episodes(trial.data, trial.facts, verdicts)
    return {site: false_alarm_table(judged, load_rates(site, trial.rates)) for site in SITES}


def _short(trial: Trial, verdicts: Verdicts) -> dict[str, Any]:
    """Return the promises and the false alarms of one way to decide."""
    judged = judged_episodes(trial.data, trial.facts, verdicts)
    table = false_alarm_table(judged, load_rates(REPORT_SITE, trial.rates))
    family, share = worst_share(table)
    return {
        "promises": promises(trial.fires, verdicts),
        "found": found_share(trial.fires, verdicts, tuple(FIRES)).as_record(),
        "false_a_year": {level.label: table[level.label]["a_year"] for level in LEVELS},
        "worst_nuisance": {"family": family, "share": share},
    }


def _hard_alone(trial: Trial) -> dict[str, Any]:
    short = _short(trial, trial.hard)
    short["in_view"] = {
        family: found_share(trial.fires, trial.hard, (family,), in_view=True).as_record()
        for family in HARD_FIRES
    }
    return short


def _sweep(trial: Trial, scores: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return misses and false alarms as the threshold of `alert` moves; scores alone."""
    found = []
    rates = load_rates(REPORT_SITE, trial.rates)
    for threshold in SWEEP:
        # One threshold for every level: only when anything at all reaches it is asked.
        moved = trial.settings.model_copy(
            update={
                "thresholds": trial.settings.thresholds.model_copy(
                    update={"alert": threshold, "emergency": max(threshold, 0.8)}
                )
            }
        )
        verdicts = judge_scores(trial.data, scores, moved)
        table = false_alarm_table(judged_episodes(trial.data, trial.facts, verdicts), rates)
        share = found_share(trial.fires, verdicts, tuple(FIRES))
        found.append(
            {
                "threshold": threshold,
                "missed": round(1.0 - share.value, 6),
                "false_a_year": table["alert"]["a_year"],
            }
        )
    return found


def _degraded(trial: Trial, score: ScoreRows) -> dict[str, Any]:
    """Return the figures with whole sensors missing: scores alone, as no rule is certain then."""
    told = {}
    for name, columns in DEGRADED.items():
        data = replace(trial.data, rows=without(trial.data.rows, columns))
        verdicts = judge_scores(data, score(data.rows), trial.settings)
        told[name] = _short(trial, verdicts) | {
            "smoulder_by_100ppm": smoulders_found(trial.fires, verdicts).as_record()
        }
    return told


def _contest(trial: Trial, teaching: Dataset, scores: NDArray[np.float64]) -> dict[str, Any]:
    """Return scores alone of the model, a logistic regression and a single rule."""
    rivals: dict[str, NDArray[np.float64]] = {
        "boosted trees": scores,
        "logistic regression": logistic(teaching, 0)(trial.data.rows),
        "single rule": single_rule(trial.data.rows),
        f"both: {RULE}": Anomaly.of(teaching).raised(scores, trial.data.rows),
    }
    return {
        name: _short(trial, judge_scores(trial.data, given, trial.settings))
        for name, given in rivals.items()
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    return round(float(values.mean()), 5) if len(values) else None
