"""The clean-air baseline: taken where the air is clean and steady, refused anywhere else."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.commissioning.gas import MIN_READINGS, CleanAir, change_of, moved_too_far
from firedetect.commissioning.session import GasSession
from firedetect.config import GasBaseline
from firedetect.contract.level import Level
from firedetect.features.baseline import DRIFT_LIMIT
from firedetect.features.gas import FILMS, counts_at, log_resistance
from firedetect.readings import (
    AirReading,
    Co2Reading,
    FaultKind,
    GasCounts,
    Sensor,
    SensorFault,
)

CLEAN = {"no2": 40.0, "c2h5oh": 70.0, "voc": 90.0, "co": 760.0}


def taken(count=60, level=Level.NORMAL, **films):
    """A collection in which a film may have its own course over the readings."""
    clean_air = CleanAir()
    clean_air.level(level)
    for number in range(count):
        values = {name: films.get(name, lambda _n, v=v: v)(number) for name, v in CLEAN.items()}
        clean_air.reading(GasCounts(number, **values))
    return clean_air


def test_steady_air_gives_the_medians():
    noisy = taken(voc=lambda number: 90.0 + (number % 3 - 1))
    assert noisy.readings == 60
    assert noisy.baseline() == GasBaseline(**CLEAN)


def test_one_outlier_does_not_move_it():
    assert taken(co=lambda number: 700.0 if number == 30 else 760.0).baseline() == GasBaseline(
        **CLEAN
    )


@pytest.mark.parametrize("film", FILMS)
@pytest.mark.parametrize(
    ("course", "why"),
    [
        (lambda _n: 1020.0, "end of its range"),
        (lambda _n: 1023.0, "end of its range"),
        (lambda _n: 3.0, "end of its range"),
        (lambda _n: 0.0, "end of its range"),
        (lambda n: 100.0 if n % 2 else 200.0, "not steady"),
        (lambda n: 300.0 + 0.25 * n, "still drifts"),
        (lambda n: 300.0 - 0.25 * n, "still drifts"),
        (lambda _n: math.nan, "0 readings"),
        (lambda _n: math.inf, "0 readings"),
    ],
)
def test_a_film_that_tells_of_no_clean_air_is_refused(film, course, why):
    found = taken(**{film: course}).baseline()
    assert isinstance(found, str)
    assert why in found


@pytest.mark.parametrize("level", [level for level in Level if level is not Level.NORMAL])
def test_nothing_is_taken_while_anything_is_suspected(level):
    clean_air = taken(level=level)
    clean_air.level(Level.NORMAL)
    assert f"the level was {level.label}" in clean_air.baseline()


@pytest.mark.parametrize("count", [0, 1, MIN_READINGS - 1])
def test_too_few_readings_are_refused(count):
    assert f"{count} readings" in taken(count).baseline()


@given(st.lists(st.tuples(*[st.floats(0.0, 1023.0) | st.just(math.nan)] * 4), max_size=40))
def test_no_readings_raise(rows):
    clean_air = CleanAir()
    for number, (no2, c2h5oh, voc, co) in enumerate(rows):
        clean_air.reading(GasCounts(number, no2, c2h5oh, voc, co))
    assert clean_air.baseline()


def moved(film, by_log):
    """The clean baseline with one film's resistance changed."""
    return GasBaseline(**CLEAN | {film: counts_at(log_resistance(CLEAN[film]) + by_log)})


@pytest.mark.parametrize("film", FILMS)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_baseline_may_be_moved_as_far_as_it_may_drift_and_no_further(film, sign):
    clean = GasBaseline(**CLEAN)
    assert moved_too_far(clean, moved(film, sign * (DRIFT_LIMIT - 1e-6))) == ""
    found = moved_too_far(clean, moved(film, sign * (DRIFT_LIMIT + 1e-6)))
    assert found.startswith("too far from the former baseline")
    assert f"{film} {CLEAN[film]:.1f} -> " in found
    assert [other for other in FILMS if f" {other} " in found] == [film]
    assert f"(resistance x {math.exp(sign * DRIFT_LIMIT):.2f})" in found


def test_every_film_that_is_too_far_is_named():
    far = GasBaseline(no2=CLEAN["no2"], c2h5oh=300.0, voc=400.0, co=760.0)
    found = moved_too_far(GasBaseline(**CLEAN), far)
    assert [film for film in FILMS if f" {film} " in found] == ["c2h5oh", "voc"]


def test_a_change_is_told_on_one_line():
    new = GasBaseline(**CLEAN | {"voc": 93.25})
    assert change_of(GasBaseline(**CLEAN), new) == (
        "no2 40.0 -> 40.0, c2h5oh 70.0 -> 70.0, voc 90.0 -> 93.2, co 760.0 -> 760.0"
    )
    assert change_of(None, new).startswith("no2 none -> 40.0, c2h5oh none -> 70.0")


def session(seconds=400, powered_s=1e9, steady_s=60.0, **courses):
    """A sitting that takes a reading of everything every second, until it is over."""
    sitting = GasSession(powered_s, steady_s)
    for second in range(seconds):
        t_ns = second * 1_000_000_000
        values = {name: courses.get(name, lambda _n, v=v: v)(second) for name, v in CLEAN.items()}
        sitting.feed(GasCounts(t_ns, **values))
        if "air_c" in courses:
            sitting.feed(AirReading(t_ns, courses["air_c"](second), 40.0, 1013.0))
        if "co2_ppm" in courses:
            sitting.feed(Co2Reading(t_ns, courses["co2_ppm"](second)))
        if sitting.over:
            break
    return sitting


def test_steady_air_is_proposed_with_what_it_was_taken_in():
    found = session(air_c=lambda _n: 21.5).proposal()
    assert found.baseline == GasBaseline(**CLEAN)
    assert found.taken == {"air_c": 21.5, "rh_pct": 40.0}
    assert set(found.uncertainty.values()) == {0.5}


def test_cold_films_are_waited_for():
    sitting = session(powered_s=30.0, seconds=100)
    assert sitting.problem == "the films are warming up, 51 s left"
    assert sitting.share == 0.0
    assert session(powered_s=30.0).elapsed_s == pytest.approx(209.0, abs=2.0)


def test_air_that_clears_is_waited_for_and_only_the_clean_end_counts():
    clearing = session(voc=lambda second: 90.0 + 60.0 * max(0.0, 1.0 - second / 80.0))
    assert clearing.proposal().baseline.voc == pytest.approx(90.0, abs=1.0)


def test_patience_ends_with_the_reason():
    restless = session(voc=lambda second: 90.0 + 0.5 * second)
    assert restless.over
    assert "voc" in restless.proposal()


def test_glitches_of_any_size_do_not_matter():
    found = session(co=lambda second: 1_022.0 if second % 20 == 7 else 760.0).proposal()
    assert found.baseline == GasBaseline(**CLEAN)


def test_somebody_who_breathes_is_told_to_step_back():
    assert "somebody breathes" in session(co2_ppm=lambda second: 450.0 + 3.0 * second).proposal()


def test_hot_air_is_no_place_for_a_baseline():
    assert "between 0 and 40" in session(air_c=lambda _n: 47.0).proposal()


def test_a_suspicion_is_no_clean_air():
    sitting = GasSession(1e9, 20.0)
    sitting.level(Level.INFORMATIONAL)
    for second in range(70):
        sitting.feed(GasCounts(second * 1_000_000_000, **CLEAN))
    assert "the level was informational" in sitting.proposal()


def test_a_board_that_does_not_answer_is_named():
    sitting = GasSession(1e9, 20.0)
    sitting.feed(SensorFault(0, Sensor.GAS, FaultKind.NO_ANSWER, "no acknowledge at 0x08"))
    assert sitting.problem == "the gas board does not answer: no acknowledge at 0x08"
