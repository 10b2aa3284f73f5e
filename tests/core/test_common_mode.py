"""All films fall together: a fault when nothing in the air does that, and never in a fire."""

import math

import numpy as np
import pytest

from firedetect.config import GasBaseline
from firedetect.contract.level import Health, Level
from firedetect.features.common_mode import HOLD_S, CommonMode
from firedetect.features.gas import GasFilms
from firedetect.pipeline import Pipeline
from firedetect.readings import GasCounts, Restored, Sensor, Started, Stream, ThermalImage, Tick
from firedetect.simulation.films import FilmBoard, RoomGas
from firedetect.simulation.scenarios import find_scenario

NS = 1_000_000_000
CLEAN = (40.0, 70.0, 90.0, 760.0)
TROUBLE = "gas:common-mode"
ROOM = np.full((24, 32), 21.0, dtype=np.float32)
FIRES = ("flaming", "smoulder", "smoulder-hidden", "next-room", "TF2", "TF3", "TF5", "TF6", "TF9")
NUISANCES = (
    "gas-hob",
    "frying",
    "toast",
    "shower",
    "car",
    "welding",
    "solvent",
    "cleaning",
    "cold-door",
    "damp",
    "draught",
)


def falls(shares, *, seconds=12, after=()):
    """Return the seconds at which the rule sees a fault in counts that are `shares` of clean."""
    rule = CommonMode()
    steps = [*((1.0,) * 4 for _ in range(3)), *([shares] * seconds), *after]
    counts = [tuple(c * s for c, s in zip(CLEAN, step, strict=True)) for step in steps]
    return [t for t, count in enumerate(counts) if rule.add(t * NS, count, CLEAN)]


def test_a_fall_of_all_films_that_lasts_is_a_fault_until_they_are_back():
    assert falls((0.7,) * 4)[0] == 3 + HOLD_S
    assert falls((0.84,) * 4)[0] == 3 + HOLD_S
    assert falls((0.7,) * 4, seconds=10) == []
    back = falls((0.7,) * 4, seconds=20, after=[(0.88,) * 4, (0.91,) * 4, (0.84,) * 4])
    assert back == list(range(13, 24))


@pytest.mark.parametrize(
    "shares",
    [
        (0.86,) * 4,
        (0.7, 0.7, 0.7, 1.0),
        (0.3, 0.7, 0.7, 0.8),
        (0.5, 1.5, 1.5, 1.2),
        (1.3,) * 4,
        (0.7, 0.7, 0.7, 0.9),
    ],
)
def test_what_the_air_may_do_is_no_fault(shares):
    assert falls(shares, seconds=60) == []


def test_dry_and_cold_air_is_no_fault_on_any_board():
    for seed in range(20):
        board = FilmBoard.of(np.random.default_rng([19, seed]))
        n = 900
        change = np.minimum(np.arange(n) / 300.0, 1.0)
        zero = np.zeros(n)
        air = RoomGas(zero, zero, zero, zero, zero, -30.0 * change, -15.0 * change)
        rows = board.counts(air, np.random.default_rng(seed))
        rule = CommonMode()
        clean = board.start_counts.tolist()
        # The glitches of single samples are filtered before the rule.
        smooth = [np.median(rows[max(t - 2, 0) : t + 1], axis=0).tolist() for t in range(n)]
        assert not any(rule.add(t * NS, row, clean) for t, row in enumerate(smooth))


def life(share_at, seconds, hot=range(0)):
    """Return (second, outcome) of a detector whose films have a share of their clean counts."""
    rng = np.random.default_rng(5)
    pipeline = Pipeline(None)
    begin = Started(0, "dev", 1, 0, (Stream(Sensor.THERMAL, 3.0), Stream(Sensor.GAS, 8.0)))
    known = Restored(0, gas_baseline=GasBaseline(no2=40.0, c2h5oh=70.0, voc=90.0, co=760.0))
    list(pipeline.run([begin, known]))
    heard = []
    for second in range(seconds):
        counts = [round(c * share_at(second) + rng.normal(0.0, 0.4)) for c in CLEAN]
        image = ROOM.copy()
        if second in hot:
            image[:3] = 250.0
        events = (
            GasCounts(second * NS, *counts),
            ThermalImage(second * NS, image),
            ThermalImage(second * NS + NS // 4, image),
            Tick(second * NS + NS // 2),
        )
        heard += [(second, outcome) for outcome in pipeline.run(events)]
    return heard, pipeline


def ramp(second):
    """F19: -30 % within 60 s from second 20 on, all there again at second 200."""
    return 1.0 - 0.3 * min(max(second - 20, 0) / 60.0, 1.0) if second < 200 else 1.0


@pytest.mark.fault("F19")
def test_f19_a_droop_of_the_supply_is_told_in_time_and_ends_in_time(say):
    heard, pipeline = life(ramp, 280)
    told = [second for second, outcome in heard if TROUBLE in outcome.troubles]
    say(f"F19: {TROUBLE} {told[0] - 20} s after the begin, over {told[-1] - 199} s after the end")
    assert told[0] - 20 <= 120
    assert told[-1] - 200 <= 60
    during = [o for s, o in heard if told[0] < s < 200 and o.features]
    assert all(math.isnan(o.features["gas_val"]) for o in during)
    assert all(math.isnan(o.features["gas_delta"]) for o in during)
    assert {o.health for o in during} == {Health.DEGRADED}
    last = heard[-1][1]
    assert (last.health, last.troubles) == (Health.OK, ("model:none",))
    assert last.level is Level.NORMAL
    # The baseline did not follow.
    assert pipeline.remembered(0).gas_tracked.no2 == pytest.approx(40.0, rel=0.02)
    rates = [o.features["gas_vel"] for s, o in heard if s > 201 and o.features]
    assert max(rate for rate in rates if not math.isnan(rate)) < 0.5


@pytest.mark.fault("F19")
def test_f19_the_array_alarms_during_the_fault():
    heard, _ = life(ramp, 140, hot=range(120, 125))
    at_fire = [outcome for second, outcome in heard if second == 121]
    assert at_fire[-1].level is Level.EMERGENCY
    assert TROUBLE in at_fire[-1].troubles


@pytest.mark.slow
@pytest.mark.parametrize("family", [*FIRES, *NUISANCES])
def test_no_fire_and_no_nuisance_of_the_generator_is_such_a_fault(family):
    for seed in range(4):
        episode = find_scenario(f"{family}:{seed}").build()
        counts = episode.readings.counts
        films = GasFilms()
        names = ("no2", "c2h5oh", "voc", "co")
        films.commission(GasBaseline(**dict(zip(names, counts[:60].mean(axis=0), strict=True))))
        for second, row in enumerate(counts.tolist()):
            films.add(second * NS, tuple(row), quiet=False)
            assert not films.common_mode, (family, seed, second)
        # As the detector would have learnt it in the middle, and then the air clears.
        late = counts[len(counts) // 3 :]
        learnt = GasFilms()
        for second, row in enumerate(late.tolist()):
            learnt.add(second * NS, tuple(row), quiet=False)
            assert not learnt.common_mode, (family, seed, second, "learnt late")
