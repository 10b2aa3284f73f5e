"""Films that answer with a tenth are told within a month; holidays and restarts are not."""

import dataclasses
import json
import math

import numpy as np
import pytest

from firedetect.config import GasBaseline
from firedetect.contract.level import Health, Level
from firedetect.features.gas import log_resistance
from firedetect.features.poisoning import CELL_S, DAY_CELLS, DEAF_DAYS, FilmMonitor
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    FilmActivity,
    GasCalibrated,
    GasCounts,
    Restored,
    Sensor,
    SensorOpened,
    Started,
    Stream,
    Tick,
)
from firedetect.sensors.codec import decode, encode

NS = 1_000_000_000
DAY_S = CELL_S * DAY_CELLS
STEP_S = 150
"""Two readings make a mean of five minutes."""
CLEAN = GasBaseline(no2=40.0, c2h5oh=70.0, voc=90.0, co=760.0)
TROUBLE = "gas:poisoned"
ANSWER = np.array([0.15, 0.35, 0.4, 0.25])
"""What a meal does to ln(R0/Rs) of each film."""


class Home:
    """A kitchen, a day at a time: meals, at random; `gain` is what is left of the answers."""

    def __init__(self, seed=22):
        self.rng = np.random.default_rng(seed)
        self.clean = np.array([log_resistance(c) for c in (40.0, 70.0, 90.0, 760.0)])

    def day(self, gain=1.0, meals=3):
        """Return counts (n, 4) of one day, rounded; noisy, so that seldom ones are never frozen."""
        t_s = np.arange(0, DAY_S, STEP_S)
        air = np.zeros(t_s.size)
        for begin in self.rng.uniform(0, DAY_S, meals):
            since = t_s - begin
            strength = self.rng.uniform(0.5, 2.0)
            air += np.where(since > 0, strength * np.exp(-since / 1500.0), 0.0)
        scales = np.broadcast_to(np.asarray(gain), 4)
        answers = air[:, None] * ANSWER * scales
        counts = 1023.0 / (1.0 + np.exp(self.clean - answers))
        return np.rint(counts + self.rng.normal(0.0, 0.6, counts.shape))


class Life:
    """A pipeline that lives in a home, with a restart every third day; `told` are its troubles."""

    def __init__(self, home):
        self.home, self.days, self.told = home, 0, []
        self.t_ns = 0
        self.restart(Restored(0, gas_baseline=CLEAN))

    def restart(self, known=None):
        text = json.dumps(encode(known or self.pipeline.remembered(0)))
        self.t_ns = 0
        self.pipeline = Pipeline(None)
        begin = Started(0, "dev", 1, 0, (Stream(Sensor.GAS, 8.0),))
        opened = SensorOpened(0, Sensor.GAS, 1e6)
        list(self.pipeline.run([begin, decode("Restored", json.loads(text)), opened]))

    def live(self, days, **what):
        for _ in range(days):
            for counts in self.home.day(**what).tolist():
                self.t_ns += STEP_S * NS
                self.pipeline.step(GasCounts(self.t_ns, *counts))
            self.days += 1
            self.now = next(self.pipeline.run([GasCounts(self.t_ns + NS, *counts), self.tick()]))
            self.told.append(TROUBLE in self.now.troubles)
            if self.days % 3 == 0:
                self.restart()
        return self

    def tick(self):
        return Tick(self.t_ns + NS)


@pytest.mark.fault("F22")
def test_a_board_poisoned_to_a_tenth_is_told_within_a_month_and_watches_on(say):
    life = Life(Home()).live(20)
    life.live(29, gain=0.1)
    first = life.told.index(True)
    say(f"F22: {TROUBLE} {first + 1 - 20} days after the response fell to 10 %")
    assert 20 < first + 1 <= 50
    assert all(life.told[first:])
    # Nothing is switched off.
    assert (life.now.health, life.now.level) == (Health.OK, Level.NORMAL)
    assert not math.isnan(life.now.features["gas_val"])
    life.live(14)
    assert not life.told[-1]


@pytest.mark.fault("F22")
def test_one_poisoned_film_of_four_is_enough():
    life = Life(Home(3)).live(15)
    assert any(life.live(20, gain=(1.0, 1.0, 0.1, 1.0)).told)


def test_habits_seasons_and_two_weeks_of_holidays_are_no_poison():
    life = Life(Home(4)).live(18).live(14, meals=0).live(15, meals=2).live(10, gain=0.5)
    assert not any(life.told)


def test_a_place_in_which_nothing_happens_tells_nothing_of_its_films():
    assert not any(Life(Home(5)).live(15, meals=0).live(20, gain=0.1, meals=0).told)


def test_a_calibration_begins_anew():
    life = Life(Home(6)).live(15).live(16, gain=0.1)
    assert life.told[-1]
    calibrated = GasCalibrated(life.t_ns + 2 * NS, CLEAN)
    assert TROUBLE not in next(life.pipeline.run([calibrated])).troubles
    assert life.pipeline.remembered(0).gas_activity is None


def test_a_restart_loses_no_more_than_five_minutes():
    rng = np.random.default_rng(8)
    values = rng.normal(0.0, 0.3, (3 * DAY_CELLS, 4)).tolist()
    whole, parts = FilmMonitor(), FilmMonitor()
    for at, ratios in enumerate(values):
        whole.add(at * CELL_S * NS, ratios)
        parts.add(at * CELL_S * NS, ratios)
        parts.add(at * CELL_S * NS + NS, (math.nan,) * 4)
        if at % 50 == 49:
            known = parts.stored()
            parts = FilmMonitor()
            parts.restore(known)
    assert len(whole.stored().days) == 2
    lost = len(values) // 50
    assert parts.stored().cells + len(parts.stored().days) * DAY_CELLS == len(values) - lost - (
        1 if len(values) % 50 else 0
    )
    expected = np.std(np.array(values[:DAY_CELLS]), axis=0)
    assert whole.stored().days[0] == pytest.approx(expected, abs=1e-6)


def test_the_last_days_are_judged_once_there_are_enough_of_them():
    monitor = FilmMonitor()
    deaf = ((0.1, 0.1, 0.019, 0.1),) * (DEAF_DAYS - 1)
    well = ((0.1,) * 4,) * 5
    monitor.restore(FilmActivity((0.1,) * 4, (*deaf, *well)))
    assert monitor.deaf == ()
    monitor.restore(FilmActivity((0.1,) * 4, (*deaf, *well, deaf[0])))
    assert monitor.deaf == (2,)
    monitor.restore(FilmActivity((0.019,) * 4, ((0.001,) * 4,) * DEAF_DAYS))
    assert monitor.deaf == ()
    assert dataclasses.asdict(monitor.stored())["cells"] == 0


@pytest.mark.parametrize(
    "damage",
    [
        {"cells": -1},
        {"cells": 3},
        {"reference": [0.1]},
        {"days": [[]]},
        {"days": [[0.1, 0.1, 0.1, -0.1]]},
        {"squares": [None] * 4},
    ],
)
def test_a_damaged_activity_is_refused(damage):
    values = encode(Restored(0, gas_activity=FilmActivity()))
    values["gas_activity"] |= damage
    with pytest.raises(ValueError, match=r"film|deviation|number"):
        decode("Restored", values)
