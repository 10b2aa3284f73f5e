"""Films alone: an alert by score waits until it has lasted; nothing else waits."""

import math

import numpy as np
import pytest

from firedetect.contract.level import Level
from firedetect.contract.settings import DecisionSettings
from firedetect.decision.films_alone import SUSTAINED_S, WINDOW_S, films_alone
from firedetect.decision.hard_rules import AIR_SAMPLES, HardInputs
from firedetect.decision.judge import TWO_SIGNS, Judge
from firedetect.features.vector import COLUMNS, INDEX

NS = 1_000_000_000


def row(**values):
    found = np.full(len(COLUMNS), np.nan, np.float32)
    for name, value in values.items():
        found[INDEX[name]] = value
    return found


ALONE = row(gas_val=560.0, g_co_lr=2.0)
WITH_IMAGE = row(gas_val=560.0, g_co_lr=2.0, t_max=25.0)
WITH_CO2 = row(gas_val=900.0, g_co_lr=2.0, co2_excess_ppm=500.0)


def levels(scores, columns=ALONE, judge=None, begin=0):
    judge = judge or Judge(DecisionSettings())
    found = []
    for second, score in enumerate(scores, start=begin):
        judge.see(second * NS, columns)
        judge.score(second * NS, score)
        judge.declare(f"e{second}")
        found.append(judge.current)
    return found


@pytest.mark.parametrize(("score", "level"), [(0.65, Level.ALERT), (0.95, Level.EMERGENCY)])
def test_what_films_alone_say_is_a_warning_until_it_has_lasted(score, level):
    found = levels([score] * WINDOW_S)
    assert found.index(Level.WARNING) == 2
    assert found.index(level) == SUSTAINED_S - 1
    assert set(found[SUSTAINED_S - 1 :]) == {level}


def test_an_odour_that_comes_and_goes_stays_a_warning():
    # 80 of 120 s: the most that a real odour reached.
    course = [0.7] * 80 + [0.5] * 40
    assert max(levels(course * 3)) is Level.WARNING


def test_seconds_count_once_and_old_ones_do_not():
    judge = Judge(DecisionSettings())
    for image in range(8 * (SUSTAINED_S - 1)):
        judge.see(image * NS // 8, ALONE)
        judge.score(image * NS // 8, 0.9)
    assert judge.current is Level.WARNING
    later = SUSTAINED_S + WINDOW_S
    assert levels([0.9] * 5, judge=judge, begin=later)[-1] is Level.WARNING


@pytest.mark.parametrize("columns", [WITH_IMAGE, WITH_CO2])
def test_with_an_image_or_carbon_dioxide_nothing_waits(columns):
    assert levels([0.65] * 6, columns)[-1] is Level.ALERT


def test_an_image_that_comes_back_ends_the_waiting_and_one_that_is_lost_ends_no_alarm():
    judge = Judge(DecisionSettings())
    assert levels([0.65] * 6, judge=judge)[-1] is Level.WARNING
    assert levels([0.65], WITH_IMAGE, judge, begin=6)[-1] is Level.ALERT
    assert levels([0.65], judge=judge, begin=7)[-1] is Level.WARNING
    assert judge.level is Level.ALERT


def test_hard_rules_and_heat_of_the_air_do_not_wait():
    judge = Judge(DecisionSettings())
    levels([0.65] * 5, row(g_co_lr=2.0, air_delta_c=6.0), judge)
    assert judge.current is Level.ALERT
    assert judge.reasons == ("score", TWO_SIGNS)
    judge = Judge(DecisionSettings())
    levels([0.65] * 5, judge=judge)
    for second in range(5, 5 + AIR_SAMPLES):
        judge.hard(HardInputs(second * NS, air_c=80.0))
    assert judge.current is Level.EMERGENCY


def test_an_unknown_score_says_nothing():
    assert set(levels([math.nan] * 3)) == {Level.NORMAL}
    rows = np.array([ALONE, WITH_IMAGE, WITH_CO2])
    np.testing.assert_array_equal(films_alone(rows), [True, False, False])
