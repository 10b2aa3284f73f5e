"""The emulated sensors of a scenario: register-level chips and frames behind the true drivers."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from firedetect.clock import Clock
from firedetect.config import Settings
from firedetect.emulator.bme280 import Bme280Chip
from firedetect.emulator.bus import EmulatedBus, EmulatedDevice
from firedetect.emulator.eeprom import encode_eeprom, random_terms
from firedetect.emulator.grove import GroveBoard
from firedetect.emulator.lepton import LeptonBoard
from firedetect.emulator.mlx90640 import USUAL_CONTROL, Mlx90640Chip, SceneSource
from firedetect.emulator.scd41 import Scd41Chip
from firedetect.errors import SimulationError
from firedetect.simulation.camera import SHAPE
from firedetect.simulation.episodes import Episode
from firedetect.simulation.scenarios import find_scenario

_EEPROM_SEED = 90640
_PRESSURE_HPA = 1013.25
"""Episodes have no weather."""


def find_episode(name: str, settings: Settings | None = None) -> Episode:
    """Return the episode of a scenario, or of a family and a seed; raises ConfigError.

    The array that the settings enable looks into it.
    """
    lepton = settings is not None and settings.lepton.enabled
    return find_scenario(name).build("lepton" if lepton else "narrow")


def emulated_port(episode: Episode, settings: Settings, clock: Clock) -> EmulatedBus:
    """Return a bus with an MLX90640 that sees the episode and a Grove board that smells it.

    An SCD41 and a BME280 are on it if the settings enable them and the episode has their readings;
    where a Lepton looks there is no MLX90640.
    """
    chips: dict[int, EmulatedDevice] = {settings.gas.address: GroveBoard(clock, episode.counts)}
    if not settings.lepton.enabled:
        eeprom = _eeprom()
        source = _source(eeprom, episode, settings)
        chips[settings.thermal.address] = Mlx90640Chip(clock, eeprom, source)
    readings = episode.readings
    if settings.co2.enabled and readings.co2_ppm is not None:
        chips[settings.co2.address] = Scd41Chip(clock, partial(episode.value, readings.co2_ppm))
    if settings.air.enabled and readings.air_c is not None and readings.rh_pct is not None:
        air_c = partial(episode.value, readings.air_c)
        rh_pct = partial(episode.value, readings.rh_pct)
        chips[settings.air.address] = Bme280Chip(
            clock, lambda t_s: (air_c(t_s), rh_pct(t_s), _PRESSURE_HPA)
        )
    return EmulatedBus(clock, chips)


def emulated_lepton(episode: Episode, settings: Settings, clock: Clock) -> LeptonBoard:
    """Return a board whose Lepton sees the episode; raises SimulationError if that has no image."""
    shape = episode.scene.camera.shape
    if shape != SHAPE["lepton"]:
        raise SimulationError(
            f"the episode was drawn for an array of {shape[1]}x{shape[0]} pixels, a Lepton has "
            "160x120: it cannot look into it"
        )
    return LeptonBoard(
        clock, episode.image_c, housing_c=episode.array_c, telemetry=settings.lepton.telemetry
    )


def warm_emulation(episode: Episode, settings: Settings) -> None:
    """Draw one image and forget it: to compile within a transfer would look like a stuck bus."""
    if settings.lepton.enabled:
        episode.image_c(0.0)
        return
    _source(_eeprom(), episode, settings)(0, 0.0, USUAL_CONTROL)


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
