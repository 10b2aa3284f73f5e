"""Whole episodes judged at once: the same as what the pipeline declares, and exact statistics."""

import math

import numpy as np
import pytest

from firedetect.contract.level import Level
from firedetect.contract.settings import DecisionSettings
from firedetect.lab.boost import forest_scores
from firedetect.lab.generate import episode_rows
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
from firedetect.simulation.events import episode_events
from firedetect.simulation.families import draw_episode
from firedetect.simulation.stage import Choice


@pytest.mark.parametrize("family", ["flaming", "liquid", "candles", "toast", "TF3"])
def test_a_verdict_is_what_the_pipeline_declares(family):
    task = Task(0, family, (8, 1), "all", whole=True)
    data, facts = episode_rows(task)
    bundle = load_bundle(default_bundle_path())
    settings = DecisionSettings()
    found = earliest(
        judge_scores(data, forest_scores(bundle.forest, data.rows), settings), judge_hard(data)
    )
    episode = draw_episode(family, (8, 1), Choice(), split="all")
    window = ((facts["from_s"], facts["to_s"]),)
    first = dict.fromkeys(LEVELS, math.inf)
    for outcome in Pipeline(Scorer(bundle), settings).run(episode_events(episode, window)):
        if outcome.t_s > facts["to_s"]:
            break
        if outcome.t_s < facts["from_s"]:
            continue
        for level in LEVELS:
            if outcome.current >= level:
                first[level] = min(first[level], outcome.t_s)
    # Without a model the clean-air baseline stands still; with one it follows quiet air, slowly.
    # That may move a score at a threshold of the low levels, but no alarm.
    expected = [first[level] for level in LEVELS]
    np.testing.assert_allclose(found.first_s[0, 2:], expected[2:], atol=0.26)
    np.testing.assert_allclose(found.first_s[0, :2], expected[:2], atol=15.0)


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
