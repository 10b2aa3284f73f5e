"""The emulated bus of a scenario: register-level chips behind the true drivers."""

import numpy as np
from numpy.typing import NDArray

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.emulator.bus import EmulatedBus, EmulatedDevice
from firedetect.emulator.eeprom import encode_eeprom, random_terms
from firedetect.emulator.grove import GroveBoard
from firedetect.emulator.mlx90640 import Mlx90640Chip, SceneSource
from firedetect.simulation.episodes import Episode
from firedetect.simulation.scenarios import find_scenario

_EEPROM_SEED = 90640
_USUAL_CONTROL = 0x1A01
"""Chess pattern, 18 bits, 8 Hz."""


def find_episode(name: str) -> Episode:
    """Return the episode of a scenario, or of a family and a seed; raises ConfigError."""
    return find_scenario(name).build()


def emulated_port(episode: Episode, settings: Settings, clock: Clock) -> EmulatedBus:
    """Return a bus with an MLX90640 that sees the episode and a Grove board that smells it."""
    eeprom = _eeprom()
    chips: dict[int, EmulatedDevice] = {
        settings.thermal.address: Mlx90640Chip(clock, eeprom, _source(eeprom, episode, settings)),
        settings.gas.address: GroveBoard(clock, episode.counts),
    }
    return EmulatedBus(clock, chips)


def warm_emulation(episode: Episode, settings: Settings) -> None:
    """Draw one image and forget it: to compile within a transfer would look like a stuck bus."""
    _source(_eeprom(), episode, settings)(0, 0.0, _USUAL_CONTROL)


def _eeprom() -> NDArray[np.uint16]:
    return encode_eeprom(random_terms(np.random.default_rng(_EEPROM_SEED)))


def _source(eeprom: NDArray[np.uint16], episode: Episode, settings: Settings) -> SceneSource:
    return SceneSource(
        eeprom,
        episode.image_c,
        ta_c=episode.array_c,
        emissivity=settings.thermal.emissivity,
        ta_shift_c=settings.thermal.ta_shift_c,
    )
