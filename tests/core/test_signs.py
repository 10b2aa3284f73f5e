"""Two signs: heat and gas within a minute make an alert of a warning, and of nothing else."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.contract.level import Health, Level
from firedetect.contract.settings import DecisionSettings
from firedetect.decision.judge import TWO_SIGNS, Judge
from firedetect.decision.signs import TwoSigns, gas_sign, heat_sign
from firedetect.features.vector import COLUMNS, INDEX
from firedetect.readings import Command, CommandAction

NS = 1_000_000_000
HEAT = ("tproxy_delta", "air_delta_c")
GAS = {"g_co_lr": 0.3, "co2_rate_ppm_per_min": 100.0}


def row(**values):
    found = np.full(len(COLUMNS), np.nan, np.float32)
    for name, value in values.items():
        found[INDEX[name]] = value
    return found


def judged(scores, rows):
    judge = Judge(DecisionSettings())
    for second, (score, columns) in enumerate(zip(scores, rows, strict=True)):
        judge.see(second * NS, columns)
        judge.score(second * NS, score)
        judge.declare(f"e{second}")
    return judge


@pytest.mark.parametrize("heat", HEAT)
@pytest.mark.parametrize("gas", GAS)
def test_a_warning_with_heat_and_gas_is_an_alert(heat, gas):
    both = row(**{heat: 5.0, gas: GAS[gas] + 1e-3})
    judge = judged([0.45] * 5, [both] * 5)
    assert judge.current is judge.level is Level.ALERT
    assert judge.reasons == ("score", TWO_SIGNS)
    assert judged([0.45] * 5, [row(**{heat: 4.9, gas: GAS[gas] + 1})] * 5).current is Level.WARNING
    assert judged([0.45] * 5, [row(**{heat: 9, gas: GAS[gas] * 0.9})] * 5).current is Level.WARNING


@pytest.mark.parametrize(
    ("score", "level"),
    [(0.39, Level.INFORMATIONAL), (0.1, Level.NORMAL), (math.nan, Level.NORMAL)],
)
def test_less_than_a_warning_stays_what_it_is(score, level):
    strong = row(tproxy_delta=50.0, g_co_lr=2.0)
    judge = judged([score] * 5, [strong] * 5)
    assert judge.current is level
    assert not judge.two_signs


def test_an_alert_or_emergency_by_the_score_needs_no_signs():
    strong = row(tproxy_delta=50.0, g_co_lr=2.0)
    for score, level in ((0.65, Level.ALERT), (0.9, Level.EMERGENCY)):
        judge = judged([score] * 6, [strong] * 6)
        assert judge.current is level
        assert judge.reasons == ("score",)


def test_signs_a_minute_apart_are_together_and_later_they_are_not():
    for gap_s, together in ((60, True), (61, False)):
        signs = TwoSigns()
        signs.fold(0, row(tproxy_delta=8.0))
        assert not signs.together(0)
        signs.fold(gap_s * NS, row(g_co_lr=0.5))
        assert signs.together(gap_s * NS) is together


def test_what_is_unknown_is_no_sign():
    signs = TwoSigns()
    signs.fold(0, row())
    assert not signs.together(0)


def test_a_reset_is_refused_while_both_signs_and_the_warning_last():
    judge = judged([0.45] * 5, [row(tproxy_delta=9.0, g_co_lr=0.5)] * 5)
    answer = judge.obey(Command(5 * NS, CommandAction.RESET), Health.OK)
    assert not answer.accepted
    assert "still high" in answer.detail


@given(
    st.lists(
        st.tuples(*(st.sampled_from((math.nan, 0.0, 4.0, 6.0, 0.4, 150.0)) for _ in range(4))),
        min_size=1,
        max_size=20,
    )
)
def test_rows_at_once_and_one_by_one_agree(values):
    names = (*HEAT, *GAS)
    rows = np.stack([row(**dict(zip(names, found, strict=True))) for found in values])
    for columns, heat, gas in zip(rows, heat_sign(rows), gas_sign(rows), strict=True):
        signs = TwoSigns()
        signs.fold(0, columns)
        assert signs.together(0) == (heat and gas)


def test_hotter_is_never_judged_lower_with_signs():
    grid = list(itertools.product((0.0, 4.0, 6.0), (0.0, 0.2, 0.4), (0.3, 0.45, 0.7)))
    level = {
        key: judged([key[2]] * 5, [row(tproxy_delta=key[0], g_co_lr=key[1])] * 5).current
        for key in grid
    }
    for low, high in itertools.product(grid, grid):
        if all(a <= b for a, b in zip(low, high, strict=True)):
            assert level[low] <= level[high]
