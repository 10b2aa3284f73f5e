"""The emulated bus of a scenario: register-level chips behind the true drivers."""

import numpy as np

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.emulator.bus import EmulatedBus, EmulatedDevice
from firedetect.emulator.eeprom import encode_eeprom, random_terms
from firedetect.emulator.grove import GroveBoard
from firedetect.emulator.mlx90640 import Mlx90640Chip, SceneSource
from firedetect.simulation.episodes import Episode
from firedetect.simulation.scenarios import find_scenario

_EEPROM_SEED = 90640


def find_episode(name: str) -> Episode:
    """Return the episode of a scenario, or of a family and a seed; raises ConfigError."""
    return find_scenario(name).build()


def emulated_port(episode: Episode, settings: Settings, clock: Clock) -> EmulatedBus:
    """Return a bus with an MLX90640 that sees the episode and a Grove board that smells it."""
    eeprom = encode_eeprom(random_terms(np.random.default_rng(_EEPROM_SEED)))
    source = SceneSource(
        eeprom,
        episode.image_c,
        ta_c=episode.array_c,
        emissivity=settings.thermal.emissivity,
        ta_shift_c=settings.thermal.ta_shift_c,
    )
    chips: dict[int, EmulatedDevice] = {
        settings.thermal.address: Mlx90640Chip(clock, eeprom, source),
        settings.gas.address: GroveBoard(clock, episode.counts),
    }
    return EmulatedBus(clock, chips)
