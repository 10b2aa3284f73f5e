"""Whole episodes judged at once: the same as what the pipeline declares, and exact statistics."""

import math

import numpy as np
import pytest

from firedetect.contract.level import Level
from firedetect.contract.settings import DecisionSettings
from firedetect.decision.judge import Judge
from firedetect.features.vector import COLUMNS, GAS_COLUMNS
from firedetect.lab.boost import forest_scores
from firedetect.lab.generate import RowRecorder, episode_rows
from firedetect.lab.plan import Task
from firedetect.lab.statistics import (
    Share,
    censored_quantiles,
    expected_calibration_error,
    upper_rate,
    upper_share,
)
from firedetect.lab.verdicts import LEVELS, earliest, judge_hard, judge_scores
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.model.scorer import Scorer
from firedetect.pipeline import Pipeline
from firedetect.simulation.events import NS_PER_S, episode_events
from firedetect.simulation.families import draw_episode
from firedetect.simulation.stage import Choice


@pytest.mark.parametrize("family", ["flaming", "liquid", "candles", "toast", "TF3"])
def test_a_verdict_is_what_the_judge_declares(family):
    data, _ = episode_rows(Task(0, family, (8, 1), "all", whole=True))
    scores = forest_scores(load_bundle(default_bundle_path()).forest, data.rows)
    settings = DecisionSettings()
    judge = Judge(settings)
    first = dict.fromkeys(LEVELS, math.inf)
    for t_s, row, score in zip(data.t_s.tolist(), data.rows, scores.tolist(), strict=True):
        t_ns = round(t_s * NS_PER_S)
        judge.see(t_ns, row)
        judge.score(t_ns, score)
        for level in LEVELS:
            if judge.current >= level:
                first[level] = min(first[level], t_s)
    found = judge_scores(data, scores, settings)
    np.testing.assert_array_equal(found.first_s[0], [first[level] for level in LEVELS])


@pytest.mark.parametrize("family", ["flaming", "liquid", "TF5"])
def test_an_alarm_comes_when_the_pipeline_declares_it(family):
    data, facts = episode_rows(Task(0, family, (8, 1), "all", whole=True))
    bundle, settings = load_bundle(default_bundle_path()), DecisionSettings()
    hard = judge_hard(data)
    found = earliest(judge_scores(data, forest_scores(bundle.forest, data.rows), settings), hard)
    assert np.isfinite(hard.at(Level.ALERT)).all()
    episode = draw_episode(family, (8, 1), Choice(), split="all")
    window = ((facts["from_s"], facts["to_s"]),)
    for ours, scorer in ((found, Scorer(bundle)), (hard, None)):
        outcomes = list(Pipeline(scorer, settings).run(episode_events(episode, window)))
        # A score at its threshold may take one second more: baselines of gas follow quiet air.
        for level in (Level.ALERT, Level.EMERGENCY):
            reached = [
                outcome.t_s
                for outcome in outcomes
                if outcome.current >= level and facts["from_s"] <= outcome.t_s <= facts["to_s"]
            ]
            first_s = min(reached, default=math.inf)
            assert ours.at(level)[0] == pytest.approx(first_s, abs=1.3), (level, scorer)


@pytest.mark.parametrize("family", ["flaming", "candles", "TF3"])
def test_rows_are_those_that_a_detector_with_a_model_sees(family):
    # Without a model the clean-air baselines stand still; with one they follow quiet air, by 2 % an
    # hour at most; that of CO2 by a few ppm.
    task = Task(0, family, (8, 1), "all", whole=True)
    data, facts = episode_rows(task)
    seen = RowRecorder()
    episode = draw_episode(family, task.seed, Choice(), split=task.split)
    window = ((facts["from_s"], facts["to_s"]),)
    pipeline = Pipeline(
        Scorer(load_bundle(default_bundle_path())), DecisionSettings(), observer=seen
    )
    for _ in pipeline.run(episode_events(episode, window)):
        pass
    times = np.array(seen.t_s, np.float32)
    rows = np.array(seen.rows)[np.isin(times, data.t_s)]
    gas = [name in GAS_COLUMNS or name.startswith(("g_", "co2_")) for name in COLUMNS]
    np.testing.assert_array_equal(rows[:, np.invert(gas)], data.rows[:, np.invert(gas)])
    np.testing.assert_allclose(rows[:, gas], data.rows[:, gas], atol=5.0)
    hours = (facts["to_s"] + 1.0) / 3600.0
    films = [name.startswith("g_") for name in COLUMNS]
    np.testing.assert_allclose(rows[:, films], data.rows[:, films], atol=0.02 * hours + 1e-6)


def test_a_share_has_its_exact_interval():
    assert Share(0, 8).high == pytest.approx(0.3694, abs=1e-4)
    assert Share(8, 8).low == pytest.approx(0.6306, abs=1e-4)
    assert Share(0, 0).as_record()["of"] == 0
    assert upper_share(0, 3000) == pytest.approx(0.000998, rel=0.01)
    assert upper_share(0, 8) == pytest.approx(0.3123, abs=1e-3)
    assert upper_share(5, 5) == 1.0
    assert upper_rate(0, 150.0) == pytest.approx(0.02, rel=0.01)
    assert math.isinf(upper_rate(0, 0.0))


def test_a_miss_is_infinitely_late():
    late = np.array([1.0, 2.0, 3.0, np.inf])
    assert censored_quantiles(late, (0.5, 0.75, 0.9)) == [2.0, 3.0, None]
    assert censored_quantiles(np.zeros(0), (0.5,)) == [None]


def test_a_calibrated_score_has_no_error():
    rng = np.random.default_rng(0)
    hazard = rng.random(30_000)
    assert expected_calibration_error(hazard, hazard) == 0.0
    assert expected_calibration_error(hazard, np.clip(hazard + 0.1, 0, 1)) == pytest.approx(
        0.1, abs=0.01
    )
    assert Level.ALERT in LEVELS
