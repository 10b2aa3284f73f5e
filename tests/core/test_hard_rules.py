"""H1 to H6: what they catch, what they leave alone, and that settings only sharpen them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from firedetect.contract.level import Level
from firedetect.contract.settings import HardLimits
from firedetect.decision.hard_rules import HardInputs, HardRules

NS = 1_000_000_000


def judged(inputs, limits=None):
    rules = HardRules(limits or HardLimits())
    verdicts = [rules.judge(item) for item in inputs]
    return verdicts[-1]


def air(t_s, air_c, rise=0.0, rate=0.0):
    return HardInputs(round(t_s * NS), air_c=air_c, air_rise_c=rise, air_rate_c_per_min=rate)


def pixels(t_s, region=0, share=0.0, clipped=0):
    return HardInputs(round(t_s * NS), region_px=region, emergency_share=share, clipped_px=clipped)


def test_h1_hot_air_twice_is_an_emergency():
    assert judged([air(0, 58.0)]).level is Level.NORMAL
    assert judged([air(0, 58.0), air(1, 58.0)]).level is Level.EMERGENCY
    assert judged([air(0, 58.0), air(1, 57.9), air(2, 58.0)]).level is Level.NORMAL


def test_h2_fast_and_warm_air_alerts_after_five_seconds_and_much_warmer_is_an_emergency():
    warm = [air(t, 30.0, rise=9.0, rate=9.0) for t in range(5)]
    assert judged(warm).level is Level.NORMAL
    assert judged([*warm, air(5, 30.0, 9.0, 9.0)]).rules == ("H2",)
    assert judged([*warm, air(5, 37.0, 15.0, 9.0)]).level is Level.EMERGENCY
    slow = [air(t, 30.0, rise=20.0, rate=8.2) for t in range(60)]
    assert judged(slow).level is Level.NORMAL


@pytest.mark.parametrize(
    ("k_per_min", "not_before_s"), [(1, 1740), (3, 433), (5, 249), (10, 60), (20, 30), (30, 20)]
)
def test_h2_keeps_the_lower_response_times_with_the_lag_of_a_real_sensor(k_per_min, not_before_s):
    lag_s, rise, history = 10.0, 0.0, []
    rules = HardRules()
    for second in range(not_before_s):
        rise += (k_per_min * second / 60.0 - rise) / lag_s
        history.append(rise)
        recent = history[-30:]
        rate = 60.0 * (recent[-1] - recent[0]) / max(len(recent) - 1, 1)
        # Below 58 °C: the static rule has its own limit.
        verdict = rules.judge(air(second, 20.0, rise, rate))
        assert verdict.level is Level.NORMAL, second


def test_h3_a_growing_hot_region_alerts_and_a_still_one_does_not():
    still = [pixels(t / 4, region=5) for t in range(200)]
    assert judged(still).level is Level.NORMAL
    growing = [pixels(t / 4, region=4 + t // 8) for t in range(24)]
    assert judged(growing).rules == ("H3",)
    assert judged([pixels(t / 4, region=2) for t in range(99)]).level is Level.NORMAL


def test_h3_two_per_cent_for_three_seconds_is_an_emergency():
    large = [pixels(t / 4, share=0.02) for t in range(12)]
    assert judged(large).level is Level.NORMAL
    assert judged([*large, pixels(3, share=0.02)]).level is Level.EMERGENCY


def test_h3_six_per_cent_in_two_images_is_an_emergency_at_once():
    assert judged([pixels(0, share=0.06)]).level is Level.NORMAL
    assert judged([pixels(0, share=0.06), pixels(0.25, share=0.06)]).level is Level.EMERGENCY


def test_a_condition_is_not_held_over_a_gap():
    early = [pixels(t / 4, share=0.03) for t in range(4)]
    assert judged([*early, pixels(60, share=0.03)]).level is Level.NORMAL


def test_h4_growing_saturation_alerts():
    growing = [pixels(t / 4, clipped=4 + t // 4) for t in range(12)]
    assert judged(growing).rules == ("H4",)
    assert judged([pixels(t / 4, clipped=9) for t in range(99)]).level is Level.NORMAL


def test_h5_calibrated_carbon_monoxide_alerts_by_dose():
    at_100 = [HardInputs(t * NS, co_ppm=100.0) for t in range(180)]
    assert judged(at_100).level is Level.NORMAL
    assert judged([*at_100, HardInputs(180 * NS, co_ppm=100.0)]).rules == ("H5",)
    at_300 = [HardInputs(t * NS, co_ppm=300.0) for t in range(31)]
    assert judged(at_300).level is Level.ALERT


def test_h6_carbon_dioxide_needs_a_thermal_sign():
    def rising(spot_rise_c):
        return [
            HardInputs(t * NS, co2_ppm=420.0 + 6.0 * t, spot_rise_c=spot_rise_c)
            for t in range(0, 60, 5)
        ]

    assert judged(rising(0.0)).level is Level.NORMAL
    assert judged(rising(math.nan)).level is Level.NORMAL
    assert judged(rising(6.0)).rules == ("H6",)


def test_nothing_known_says_nothing_and_changes_nothing():
    rules = HardRules()
    rules.judge(air(0, 60.0))
    rules.judge(air(1, 60.0))
    assert rules.judge(HardInputs(2 * NS)).level is Level.EMERGENCY


def test_settings_only_make_the_rules_more_sensitive():
    for name, field in HardLimits.model_fields.items():
        floor = field.default
        with pytest.raises(ValidationError):
            HardLimits(**{name: floor + 0.1})
        HardLimits(**{name: floor - 0.1})


@settings(max_examples=200, deadline=None)
@given(
    airs=st.lists(st.floats(-20, 120), min_size=2, max_size=30),
    hotter=st.floats(0, 50),
    rises=st.lists(st.floats(-5, 40), min_size=30, max_size=30),
)
def test_hotter_air_is_never_judged_lower(airs, hotter, rises):
    cool = [air(t, a, r, r) for t, (a, r) in enumerate(zip(airs, rises, strict=False))]
    warm = [
        air(t, a + hotter, r + hotter, r + hotter)
        for t, (a, r) in enumerate(zip(airs, rises, strict=False))
    ]
    assert judged(warm).level >= judged(cool).level


def test_h3_a_fire_that_appears_and_stays_is_a_growth_from_nothing():
    empty = [pixels(t / 4) for t in range(8)]
    there = [pixels(2 + t / 4, region=14) for t in range(41)]
    assert judged([*empty, *there]).rules == ("H3",)
    assert judged([*empty, *there[:40]]).level is Level.NORMAL
    assert judged([pixels(t / 4, region=14) for t in range(400)]).level is Level.NORMAL


def test_h3_what_is_carried_past_is_no_growth():
    past = [pixels(t / 4, region=5 if t % 40 < 32 else 0) for t in range(400)]
    assert judged(past).level is Level.NORMAL


def test_h3_the_share_survives_an_image_below_it():
    flicker = [pixels(t / 4, share=0.018 if t % 8 == 7 else 0.04) for t in range(23)]
    assert judged(flicker).level is Level.EMERGENCY
    broken = [pixels(t / 4, share=0.0 if t % 8 >= 4 else 0.04) for t in range(64)]
    assert judged(broken).level is Level.NORMAL


def test_h3_one_image_below_the_share_is_survived_by_an_array_with_one_a_second_too():
    flicker = [pixels(t, share=0.018 if t == 2 else 0.04) for t in range(5)]
    assert judged(flicker).level is Level.EMERGENCY
    two = [pixels(t, share=0.018 if t in (2, 3) else 0.04) for t in range(6)]
    assert judged(two).level is Level.NORMAL
    late = [*(pixels(t, share=0.04) for t in range(2)), pixels(2.3, share=0.018)]
    assert judged([*late, pixels(3.3, share=0.04)]).level is Level.NORMAL
