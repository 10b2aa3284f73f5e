"""The scenarios through emulated chips, drivers and pipeline: what they must reach, or not."""

import numpy as np
import pytest

from firedetect.config import GasBaseline, Settings
from firedetect.contract.level import Level
from firedetect.daemon.commands import play
from firedetect.daemon.models.choose import load_scorer
from firedetect.errors import ConfigError
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    AirReading,
    GasCounts,
    Restored,
    Sensor,
    Started,
    Stream,
    ThermalImage,
    Tick,
)
from firedetect.simulation.films import FilmBoard, RoomGas
from firedetect.simulation.scenarios import SCENARIOS

NS = 1_000_000_000

HIGHEST = {
    "quiet-room": (Level.NORMAL, Level.NORMAL),
    "people": (Level.NORMAL, Level.NORMAL),
    "kettle": (Level.NORMAL, Level.INFORMATIONAL),
    "candle": (Level.NORMAL, Level.INFORMATIONAL),
    "waste-bin": (Level.EMERGENCY, Level.EMERGENCY),
    "smoulder": (Level.ALERT, Level.EMERGENCY),
}


def test_every_scenario_has_its_expectation():
    assert set(HIGHEST) == set(SCENARIOS)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if SCENARIOS[name].duration_s > 100 else [])
        for name in sorted(SCENARIOS)
    ],
)
def test_a_scenario_reaches_its_level_and_no_higher_one(name):
    heard = []
    summary = play(Settings(), name, duration_s=None, record=None, hear=heard.append)
    low, high = HIGHEST[name]
    assert low <= Level.from_label(summary["max_level"]) <= high
    assert len(heard) > 3 * SCENARIOS[name].duration_s
    assert {outcome.health.value for outcome in heard[60:]} == {"ok"}


def test_the_waste_bin_goes_through_every_level_in_order():
    summary = play(
        Settings(), "waste-bin", duration_s=None, record=None, hear=lambda _outcome: None
    )
    first = [summary["first"][level.label] for level in Level if level is not Level.NORMAL]
    assert first == sorted(first)
    assert first[0] > 15.0
    assert summary["declarations"] == dict.fromkeys(summary["first"], 1)


def test_an_unknown_scenario_is_one_clear_error():
    with pytest.raises(ConfigError, match="quiet-room"):
        play(Settings(), "volcano", duration_s=None, record=None, hear=lambda _outcome: None)


@pytest.mark.fault("F25")
def test_humidity_from_30_to_90_percent_is_no_alert(say):
    scorer = load_scorer(None)
    highest = max(score for seed in range(12) for score in steamed(scorer, seed))
    say(f"humidity from 30 to 90 % on 12 boards: highest score {highest:.2f}")


def steamed(scorer, seed):
    """Yield the scores of a board and a BME280 in a room that fills with steam in a minute."""
    rng = np.random.default_rng([25, seed])
    risen = np.clip((np.arange(600) - 120) / 60.0, 0.0, 1.0)
    none = np.zeros(risen.size)
    air = RoomGas(none, none, none, none, none, 60.0 * risen, 4.0 * risen)
    rows = FilmBoard.of(rng).counts(air, rng)
    names = ("no2", "c2h5oh", "voc", "co")
    clean = GasBaseline(**dict(zip(names, np.median(rows[:60], axis=0), strict=True)))
    pipeline = Pipeline(scorer)
    streams = (Stream(Sensor.THERMAL, 3.0), Stream(Sensor.GAS, 8.0), Stream(Sensor.AIR, 10.0))
    list(pipeline.run([Started(0, "d", 1, 0, streams), Restored(0, gas_baseline=clean)]))
    for second, (counts, part) in enumerate(zip(rows.tolist(), risen.tolist(), strict=True)):
        image = rng.normal(21.0 + part, 0.15, (24, 32)).astype(np.float32)
        events = (
            GasCounts(second * NS, *counts),
            AirReading(second * NS, 21.0 + 4.0 * part, 30.0 + 60.0 * part),
            ThermalImage(second * NS, image),
            Tick(second * NS),
        )
        for outcome in pipeline.run(events):
            assert outcome.level < Level.ALERT, (seed, second, outcome.reasons)
            if outcome.features:
                yield outcome.score


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("TF5:1", Level.ALERT, Level.EMERGENCY), ("pets:2", Level.NORMAL, Level.NORMAL)],
)
def test_any_episode_of_the_generator_plays_through_the_emulated_chips(name, low, high):
    summary = play(Settings(), name, duration_s=None, record=None, hear=lambda _outcome: None)
    assert low <= Level.from_label(summary["max_level"]) <= high


@pytest.mark.parametrize("name", ["toast", "toast:", "toast:x", "volcano:3", "toast:-1"])
def test_an_episode_needs_a_family_and_a_seed(name):
    with pytest.raises(ConfigError, match="FAMILY:SEED"):
        play(Settings(), name, duration_s=None, record=None, hear=lambda _outcome: None)
