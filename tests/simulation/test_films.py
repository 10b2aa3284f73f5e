"""The films: as sensitive as their makers say, as different from each other as real boards are."""

import numpy as np
import pytest

from firedetect.features.gas import FILMS, log_resistance
from firedetect.simulation.films import START_COUNTS, FilmBoard, RoomGas, lagged

CO = FILMS.index("co")


def air(n=600, **ppm):
    names = ("co_ppm", "co2_ppm", "voc_ppm", "no2_ppm", "h2_ppm", "rh_pct", "temp_k")
    return RoomGas(**{name: np.broadcast_to(ppm.get(name, 0.0), n).astype(float) for name in names})


def ratios(board, gas, seed=0):
    counts = board.counts(gas, np.random.default_rng(seed))
    start = np.array([log_resistance(float(count)) for count in board.start_counts])
    return start[None, :] - np.log((1023.0 - counts) / counts)


def boards(count):
    return [FilmBoard.of(np.random.default_rng([3, i])) for i in range(count)]


def test_the_co_film_falls_to_a_third_at_150_ppm_on_most_boards():
    found = [ratios(board, air(co_ppm=150.0))[-30:, CO].mean() for board in boards(60)]
    assert np.median(found) > np.log(3.0)
    assert np.quantile(found, 0.05) > 0.6


def test_boards_start_where_real_boards_do():
    start = np.array([board.start_counts for board in boards(800)])
    for i, film in enumerate(FILMS):
        low, five, middle, most, high = START_COUNTS[film]
        assert start[:, i].min() >= low
        assert start[:, i].max() <= high
        assert np.median(start[:, i]) == pytest.approx(middle, rel=0.25)
        assert five * 0.8 <= np.quantile(start[:, i], 0.05) <= middle
        assert middle <= np.quantile(start[:, i], 0.95) <= most * 1.2


def test_an_odour_moves_the_vapour_films_more_than_the_co_film():
    for board in boards(20):
        found = ratios(board, air(voc_ppm=30.0))[-30:].mean(axis=0)
        assert found[FILMS.index("no2")] > found[CO]
        assert found[FILMS.index("voc")] > found[CO]


def test_nitrogen_dioxide_moves_its_film_the_other_way():
    found = ratios(FilmBoard.of(np.random.default_rng(1)), air(no2_ppm=2.0))
    assert found[-1, FILMS.index("no2")] < -0.5


def test_quiet_air_is_quantisation_and_slow_drift():
    counts = FilmBoard.of(np.random.default_rng(2)).counts(air(), np.random.default_rng(2))
    steps = np.diff(counts, axis=0)
    assert np.median(np.abs(steps[np.abs(steps) < 20])) <= 1.0
    assert set(np.unique(counts % 1)) == {0.0}
    assert counts.min() >= 1.0
    assert counts.max() <= 1022.0


def test_a_lag_reaches_63_percent_after_its_time_up_and_down():
    step = np.concatenate((np.zeros(1), np.ones(300), np.zeros(300)))
    out = lagged(step, 20.0, 60.0)
    assert out[20] == pytest.approx(0.632, abs=0.01)
    assert out[360] == pytest.approx(0.368, abs=0.01)
