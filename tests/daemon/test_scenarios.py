"""The scenarios through emulated chips, drivers and pipeline: what they must reach, or not."""

import pytest

from firedetect.config import Settings
from firedetect.contract.level import Level
from firedetect.daemon.commands import play
from firedetect.errors import ConfigError
from firedetect.simulation.scenarios import SCENARIOS

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
