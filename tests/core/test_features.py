"""The 18 features against their slow twins, on every kind of image."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firedetect.features import statistics
from firedetect.features.baseline import CleanAirBaseline
from firedetect.features.extractor import FeatureExtractor
from firedetect.features.history import SecondMeans
from firedetect.features.vector import COLUMNS, CONTEXT, FEATURES, INDEX, N_FEATURES, SCHEMA_ID
from firedetect.readings import AirReading, Co2Reading, GasCounts, Sensor, ThermalImage
from tests import naive

NS = 1_000_000_000
STEP_NS = NS // 4


def picture(kind, rng, shape=(24, 32)):
    if kind == "random":
        image = rng.normal(22.0, 3.0, shape)
    elif kind == "constant":
        image = np.full(shape, 21.5)
    elif kind == "room":
        image = rng.normal(22.0, 0.3, shape)
        r, c = rng.integers(2, shape[0] - 6), rng.integers(2, shape[1] - 6)
        image[r : r + 4, c : c + 4] += rng.uniform(20.0, 200.0)
    elif kind == "nan-ridden":
        image = rng.normal(22.0, 5.0, shape)
        image[rng.random(shape) < 0.05] = np.nan
    elif kind == "hot-nan":
        image = rng.normal(50.0, 30.0, shape)
        image[rng.random(shape) < 0.05] = np.nan
    elif kind == "saturated":
        image = rng.normal(250.0, 80.0, shape)
    elif kind == "absurd":
        image = rng.normal(22.0, 3.0, shape)
        image.flat[:5] = [np.inf, -np.inf, -273.15, 5000.0, np.nan]
    else:
        raise AssertionError(kind)
    return image.astype(np.float32)


KINDS = ("random", "constant", "room", "nan-ridden", "hot-nan", "saturated", "absurd")


def close(got, wanted):
    for name, a, b in zip(COLUMNS, got, wanted, strict=False):
        if math.isnan(b):
            assert math.isnan(a), (name, a)
        else:
            assert a == pytest.approx(b, rel=1e-6, abs=1e-8), name


@pytest.mark.parametrize("shape", [(24, 32), (120, 160)])
@pytest.mark.parametrize("kind", KINDS)
def test_spatial_and_temporal_features_equal_their_twins(kind, shape):
    rng = np.random.default_rng(len(kind) + shape[0])
    extractor = FeatureExtractor()
    before, image = picture(kind, rng, shape), picture(kind, rng, shape)
    extractor.image(ThermalImage(0, before))
    assert extractor.image(ThermalImage(STEP_NS, image))
    row = extractor.row()
    close(row[:13], naive.image_features(image, before))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0.0, 0.05), low=st.floats(-40, 60))
def test_any_image_equals_its_twin(seed, share, low):
    rng = np.random.default_rng(seed)
    image = rng.uniform(low, low + rng.uniform(0.1, 400.0), (24, 32)).astype(np.float32)
    image[rng.random((24, 32)) < share] = np.nan
    extractor = FeatureExtractor()
    assert extractor.image(ThermalImage(0, image))
    close(extractor.row()[:13], naive.image_features(image))


def test_all_eighteen_equal_their_twins_over_time():
    rng = np.random.default_rng(7)
    extractor = FeatureExtractor()
    spots, gases, baseline_counts = [], [], (41, 70, 95, 760)
    image = previous = None
    for step in range(4 * 75):
        t_ns = step * STEP_NS
        if step % 4 == 0:
            rise = max(step - 160, 0)
            counts = tuple(float(base + rise // 4) for base in baseline_counts)
            extractor.gas(GasCounts(t_ns, *counts), quiet=False)
            gases.append((t_ns, counts))
        previous, image = image, picture("room", rng)
        image[0, 0] += step
        extractor.image(ThermalImage(t_ns, image))
        spots.append((t_ns, naive.image_features(image)[12]))
    row = extractor.row()
    wanted = naive.image_features(image, previous)
    wanted.append(spots[-1][1] - naive.baseline(spots))
    wanted.append(naive.slope(spots))
    assert row[:15].tolist() == pytest.approx(wanted, rel=1e-6)
    learnt = tuple(float(np.sort([c[i] for _, c in gases[:61]])[30]) for i in range(4))
    # The glitch filter shows the middle of the last three readings.
    shown = [
        (
            t,
            tuple(
                sorted(c[i] for _, c in gases[max(k - 2, 0) : k + 1])[
                    len(gases[max(k - 2, 0) : k + 1]) // 2
                ]
                for i in range(4)
            ),
        )
        for k, (t, _) in enumerate(gases)
    ]
    assert row[15] == pytest.approx(naive.gas_index(shown[-1][1], learnt), rel=1e-6)
    assert row[16] == pytest.approx(row[15] - 400.0, rel=1e-6)
    assert math.isfinite(row[17])
    assert row[17] > 0.0


def test_gas_velocity_is_the_slope_of_the_index():
    extractor = FeatureExtractor()
    seen = []
    for second in range(100):
        counts = (40.0, 70.0, 90.0, 700.0 + (second if second > 62 else 0))
        extractor.gas(GasCounts(second * NS, *counts), quiet=False)
        if second >= 10:
            seen.append((second * NS, extractor.films.index))
    assert extractor.row()[17] == pytest.approx(naive.slope(seen), rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.one_of(st.just(math.nan), st.floats(-50, 500)), min_size=1, max_size=300),
    step_ms=st.integers(20, 1500),
)
def test_second_means_equal_their_twin(values, step_ms):
    means = SecondMeans()
    samples = []
    for i, value in enumerate(values):
        means.add(i * step_ms * 1_000_000, value)
        samples.append((i * step_ms * 1_000_000, value))
    wanted = naive.slope(samples), naive.baseline(samples)
    got = means.slope_per_s, means.baseline
    for a, b in zip(got, wanted, strict=True):
        assert (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b, rel=1e-6, abs=1e-6)


def test_a_gap_leaves_no_slope():
    means = SecondMeans()
    for second in range(40):
        means.add(second * NS, float(second))
    assert means.slope_per_s == pytest.approx(1.0)
    means.add(80 * NS, 500.0)
    means.add(81 * NS, 500.0)
    assert math.isnan(means.slope_per_s)


def test_a_slow_sensor_is_interpolated_between_its_samples():
    means = SecondMeans(interpolate=True)
    for t_s in range(0, 60, 5):
        means.add(t_s * NS, 400.0 + 2.0 * t_s)
    assert means.slope_per_s == pytest.approx(2.0)


def test_difference_and_flow_want_images_a_quarter_second_apart():
    rng = np.random.default_rng(3)
    known_at = {0.05: False, 0.125: True, 0.25: True, 0.5: True, 0.54: True, 0.6: False}
    for gap_s, known in known_at.items():
        extractor = FeatureExtractor()
        extractor.image(ThermalImage(0, picture("random", rng)))
        extractor.image(ThermalImage(round(gap_s * NS), picture("random", rng)))
        row = extractor.row()
        assert np.isfinite(row[8:12]).all() == known, gap_s


def test_a_fast_source_is_compared_with_the_image_nearest_to_a_quarter_second():
    rng = np.random.default_rng(4)
    extractor = FeatureExtractor()
    images = [picture("random", rng) for _ in range(40)]
    for i, image in enumerate(images):
        extractor.image(ThermalImage(i * NS // 64, image))
    wanted = naive.difference(images[39 - 16].astype(float), images[39].astype(float))
    assert extractor.row()[8] == pytest.approx(wanted[0], rel=1e-6)


def test_too_few_pixels_leave_every_thermal_feature_unknown():
    image = np.full((24, 32), 21.0, dtype=np.float32)
    image.flat[:69] = np.nan
    extractor = FeatureExtractor()
    assert not extractor.image(ThermalImage(0, image))
    assert np.isnan(extractor.row()[:15]).all()
    image.flat[68] = 21.0
    assert extractor.image(ThermalImage(STEP_NS, image))


def test_the_hottest_pixel_survives_a_nan_behind_it():
    image = np.full((24, 32), 21.0, dtype=np.float32)
    image[5, 5], image[5, 6] = 180.0, np.nan
    extractor = FeatureExtractor()
    extractor.image(ThermalImage(0, image))
    assert extractor.row()[INDEX["t_max"]] == pytest.approx(180.0)


def test_a_rising_co_film_raises_the_index_and_its_ratio():
    extractor = FeatureExtractor()
    for second in range(90):
        co = 760.0 + (4.0 * (second - 65) if second > 65 else 0.0)
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, co), quiet=False)
    row = extractor.row()
    assert row[INDEX["g_co_lr"]] > 0.5
    assert row[INDEX["gas_delta"]] == pytest.approx(50.0 * row[INDEX["g_co_lr"]], rel=1e-6)
    assert row[INDEX["gas_vel"]] > 0.0


@pytest.mark.fault("F18")
def test_one_wild_sample_changes_nothing():
    extractor = FeatureExtractor()
    for second in range(70):
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)
    before = extractor.films.index
    for wild in (0.0, 1023.0, 5.0, 1000.0):
        extractor.gas(GasCounts(70 * NS, 40.0, 70.0, wild, wild), quiet=False)
        assert extractor.films.index == before
        for second in (71, 72):
            extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)


@pytest.mark.fault("F17")
def test_counts_at_the_rail_are_no_clean_air():
    extractor = FeatureExtractor()
    for second in range(70):
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)
    for second in range(70, 73):
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 1023.0), quiet=False)
    assert extractor.films.stuck_at_rail
    assert math.isnan(extractor.row()[INDEX["gas_val"]])


@pytest.mark.fault("F20")
def test_warm_up_hides_the_films():
    extractor = FeatureExtractor()
    extractor.films.powered(0, 0.0)
    for second in range(170):
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)
    assert math.isnan(extractor.row()[INDEX["gas_val"]])
    for second in range(180, 260):
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)
    assert extractor.row()[INDEX["gas_val"]] == pytest.approx(400.0)


@pytest.mark.fault("F21")
def test_drift_follows_slowly_and_only_in_quiet_air():
    for quiet, limit in ((True, math.log(1.02)), (False, 0.0)):
        extractor = FeatureExtractor()
        for second in range(61):
            extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)
        learnt = extractor.films.clean_air.tracked
        for second in range(61, 3661):
            extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 800.0), quiet=quiet)
        moved = abs(extractor.films.clean_air.tracked[3] - learnt[3])
        assert moved == pytest.approx(limit, abs=1e-4)


def test_co2_learnt_in_a_crowd_comes_down_and_is_bounded_upwards_over_restarts():
    def after(hours, ppm, baseline):
        for step in range(hours * 240):
            baseline.add(step * 15 * NS, (math.log(ppm),), quiet=True)
        return math.exp(baseline.tracked[0])

    crowd = CleanAirBaseline(falls=True)
    for second in range(61):
        crowd.add(second * NS, (math.log(1500.0),), quiet=True)
    # Emptied air is clean, however far below the first minute it lies.
    assert after(72, 420.0, crowd) == pytest.approx(420.0)
    for _ in range(3):
        again = CleanAirBaseline(falls=True)
        again.commission(crowd.commissioned, crowd.tracked)
        assert after(30, 2000.0, again) == pytest.approx(630.0)
        crowd = again


@pytest.mark.fault("F21")
def test_drift_ends_at_half_of_the_commissioned_baseline():
    extractor = FeatureExtractor()
    for second in range(61):
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)
    assert not extractor.films.clean_air.exhausted
    for step in range(1, 5100):
        extractor.gas(GasCounts((60 + 15 * step) * NS, 40.0, 70.0, 90.0, 950.0), quiet=True)
    assert extractor.films.clean_air.exhausted


def test_carbon_dioxide_takes_the_gas_features_over_and_is_never_mixed():
    extractor = FeatureExtractor()
    for second in range(120):
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)
        if second % 5 == 0:
            extractor.co2(Co2Reading(second * NS, 420.0 + max(second - 80, 0) * 3.0), quiet=False)
    row = extractor.row()
    assert row[INDEX["gas_val"]] == pytest.approx(420.0 + 35 * 3.0)
    assert row[INDEX["co2_excess_ppm"]] == pytest.approx(row[INDEX["gas_delta"]])
    assert row[INDEX["co2_rate_ppm_per_min"]] == pytest.approx(60.0 * row[INDEX["gas_vel"]])
    extractor.lose(Sensor.CO2)
    extractor.gas(GasCounts(121 * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)
    row = extractor.row()
    assert row[INDEX["gas_val"]] == pytest.approx(400.0)
    assert math.isnan(row[INDEX["gas_vel"]])
    assert math.isnan(row[INDEX["co2_excess_ppm"]])


def test_air_comes_from_its_sensor_or_else_from_the_array():
    extractor = FeatureExtractor()
    image = np.full((24, 32), 21.0, dtype=np.float32)
    for step in range(4 * 60):
        extractor.image(ThermalImage(step * STEP_NS, image, 21.0 + step / 240.0))
    assert extractor.row()[INDEX["air_rate_c_per_min"]] == pytest.approx(1.0, rel=1e-3)
    extractor.air(AirReading(61 * NS, 30.0, 40.0))
    assert extractor.air_c == 30.0
    assert math.isnan(extractor.row()[INDEX["air_delta_c"]])
    extractor.lose(Sensor.AIR)
    assert math.isnan(extractor.air_c)


def test_the_table_is_the_contract():
    names = [feature.name for feature in FEATURES]
    assert " ".join(names) == (
        "t_mean t_std t_max t_p95 t_hot_area_pct t_hot_largest_blob_pct t_grad_mean t_grad_std "
        "t_diff_mean t_diff_std flow_mag_mean flow_mag_std tproxy_val tproxy_delta tproxy_vel "
        "gas_val gas_delta gas_vel"
    )
    assert N_FEATURES == 18
    assert len(CONTEXT) == 9
    assert len(SCHEMA_ID) == 16
    assert all(feature.unit and feature.meaning for feature in FEATURES + CONTEXT)


def test_nothing_known_is_all_nan():
    assert np.isnan(FeatureExtractor().row()).all()


def test_quantile_and_select_agree_with_sorting():
    rng = np.random.default_rng(1)
    for n in (1, 2, 3, 10, 768):
        values = np.round(rng.normal(size=n), 1)
        for q in (0.0, 0.5, 0.95, 1.0):
            assert statistics.quantile(values.copy(), n, q) == pytest.approx(np.quantile(values, q))


def test_what_happened_in_an_outage_is_not_taken_for_drift():
    extractor = FeatureExtractor()
    for second in range(61):
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 760.0), quiet=False)
    learnt = extractor.films.clean_air.tracked
    for second in range(86_400, 86_403):
        extractor.gas(GasCounts(second * NS, 40.0, 70.0, 90.0, 850.0), quiet=True)
    assert extractor.films.clean_air.tracked == pytest.approx(learnt, abs=1e-3)
