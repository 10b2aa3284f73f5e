"""What a fire looks like to the array: flame, fuel bed, plume, glowing spot, warm surroundings.

Flame height after Heskestad, puffing at 1.5/sqrt(D) Hz, emissivity 1 - exp(-kD) with the long-wave
share of a flame's absorption.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.simulation.array import every_second
from firedetect.simulation.camera import Camera, Point
from firedetect.simulation.films import lagged
from firedetect.simulation.patches import (
    ELLIPSE,
    Patch,
    Series,
    Times,
    lying,
    steady,
    still,
    upright,
    wobble,
)

LUMINOUS_C: Final = (730.0, 930.0)
ALCOHOL_C: Final = (1030.0, 1130.0)
SOLID_BED_C: Final = (500.0, 750.0)
LIQUID_BED_C: Final = (75.0, 180.0)
LIQUIDS: Final = ("ethanol", "heptane", "gasoline", "decalin")
SMALLEST_M: Final = 0.04
_PUFFS: Final = 1.5
_SURFACE_KW_PER_M2_K: Final = 0.025


@dataclass(frozen=True, slots=True)
class Glow:
    """The face of a smoulder: its width (m) and temperature (°C), and how much of it is seen."""

    width_m: float
    temp_c: float
    shown: float


@dataclass(frozen=True, slots=True, eq=False)
class Burning:
    """One fire, every second: all heat and that of flames (kW), smouldering fuel (g/s); where."""

    at: Point
    heat_kw: NDArray[np.float64]
    flame_kw: NDArray[np.float64]
    smoulder_g_per_s: NDArray[np.float64]
    per_area_kw: float
    absorption_per_m: float
    radiated: float
    fuel: str
    glow: Glow


def flame_patches(camera: Camera, fire: Burning, rng: np.random.Generator) -> list[Patch]:
    """Return everything that glows or is warmed by the fire."""
    diameter = np.sqrt(4.0 * fire.flame_kw / (np.pi * fire.per_area_kw))
    burns = fire.flame_kw > 0.05
    diameter = np.where(burns, np.maximum(diameter, SMALLEST_M), 0.0)
    height = np.maximum(0.235 * fire.flame_kw**0.4 - 1.02 * diameter, 0.3 * diameter)
    patches = [_surroundings(camera, fire, diameter)]
    if fire.smoulder_g_per_s.any():
        patches.append(_spot(camera, fire))
    if burns.any():
        patches += [
            _bed(camera, fire, diameter, rng),
            _flame(camera, fire, diameter, height, rng),
            _plume(camera, fire, height, rng),
        ]
    return patches


def _flame(
    camera: Camera,
    fire: Burning,
    diameter_m: NDArray[np.float64],
    height_m: NDArray[np.float64],
    rng: np.random.Generator,
) -> Patch:
    puffing = _puffing(diameter_m, rng)
    slow, lean = wobble(rng, 0.25, 0.4), wobble(rng, 0.5, 0.5)
    swing = rng.uniform(0.05, 0.2)
    alcohol = fire.fuel == "ethanol"
    temp_c = float(rng.uniform(*(ALCOHOL_C if alcohol else LUMINOUS_C)))
    x, y, z = fire.at

    def size(t_s: Times) -> np.ndarray:
        mean = _at(height_m, t_s)
        return mean * np.clip(1.0 + 0.25 * puffing(t_s) + 0.1 * slow(t_s), 0.5, 1.6)

    def base(t_s: Times) -> np.ndarray:
        shift = swing * _at(height_m, t_s) * lean(t_s)
        return np.stack((x + shift, y + 0.5 * shift, np.full(len(t_s), z)), axis=1)

    def emissivity(t_s: Times) -> np.ndarray:
        deep = _at(diameter_m, t_s)
        return 1.0 - np.exp(-fire.absorption_per_m * deep)

    return upright(
        camera,
        base,
        width_m=lambda t_s: _at(diameter_m, t_s) * (1.0 + 0.08 * puffing(t_s)),
        height_m=size,
        temp_c=lambda t_s: temp_c + 40.0 * slow(t_s),
        emissivity=emissivity,
        shape=ELLIPSE,
    )


def _bed(
    camera: Camera, fire: Burning, diameter_m: NDArray[np.float64], rng: np.random.Generator
) -> Patch:
    liquid = fire.fuel in LIQUIDS
    temp_c = float(rng.uniform(*(LIQUID_BED_C if liquid else SOLID_BED_C)))
    # A solid is hottest where it burns now; half of its face is ash or not yet alight.
    share = 0.9 if liquid else float(rng.uniform(0.3, 0.7))
    return lying(
        camera,
        still(fire.at),
        width_m=lambda t_s: _at(diameter_m, t_s),
        height_m=lambda t_s: _at(diameter_m, t_s),
        temp_c=steady(temp_c),
        emissivity=lambda t_s: share * (_at(diameter_m, t_s) > 0.0),
    )


def _plume(
    camera: Camera, fire: Burning, height_m: NDArray[np.float64], rng: np.random.Generator
) -> Patch:
    """Return the hot gas over the flame: wide, warm and nearly transparent."""
    x, y, z = fire.at
    thick, waver = float(rng.uniform(0.02, 0.10)), wobble(rng, 1.0, 0.5)

    def base(t_s: Times) -> np.ndarray:
        top = z + _at(height_m, t_s)
        return np.stack((x + 0.04 * waver(t_s), np.full(len(t_s), y), top), axis=1)

    def temp_c(t_s: Times) -> np.ndarray:
        return 22.0 + np.clip(9.0 * _at(fire.flame_kw, t_s) ** (2.0 / 3.0), 0.0, 400.0)

    return upright(
        camera,
        base,
        width_m=lambda t_s: 0.15 + 0.3 * _at(height_m, t_s),
        height_m=lambda t_s: 0.3 + _at(height_m, t_s),
        temp_c=temp_c,
        emissivity=lambda t_s: thick * (_at(fire.flame_kw, t_s) > 0.05),
        shape=ELLIPSE,
    )


def _spot(camera: Camera, fire: Burning) -> Patch:
    """Return the face of a smoulder, which grows with what it burns."""
    reach = float(fire.smoulder_g_per_s.max())
    grown = np.sqrt(np.maximum(fire.smoulder_g_per_s, 0.0) / max(reach, 1e-9))
    width, front_c, shown = fire.glow.width_m, fire.glow.temp_c, fire.glow.shown
    return lying(
        camera,
        still(fire.at),
        width_m=lambda t_s: 0.02 + width * _at(grown, t_s),
        height_m=lambda t_s: 0.02 + width * _at(grown, t_s),
        temp_c=lambda t_s: 22.0 + (front_c - 22.0) * np.minimum(2.0 * _at(grown, t_s), 1.0),
        emissivity=lambda t_s: shown * (_at(grown, t_s) > 0.0),
    )


def _surroundings(camera: Camera, fire: Burning, diameter_m: NDArray[np.float64]) -> Patch:
    """Return floor and wall that the flame's radiation warms."""
    reach = np.maximum(diameter_m, 0.3)
    flux = fire.radiated * fire.flame_kw / (4.0 * np.pi * (1.5 * reach) ** 2)
    rise = lagged(np.minimum(flux / _SURFACE_KW_PER_M2_K, 500.0), 90.0, 240.0)
    return lying(
        camera,
        still(fire.at),
        width_m=lambda t_s: 3.0 * _at(reach, t_s),
        height_m=lambda t_s: 3.0 * _at(reach, t_s),
        temp_c=lambda t_s: 22.0 + _at(rise, t_s),
        emissivity=lambda t_s: 0.5 * (_at(rise, t_s) > 0.5),
    )


def _puffing(diameter_m: NDArray[np.float64], rng: np.random.Generator) -> Series:
    """Return puffs of unit amplitude whose frequency follows the diameter."""
    scale = float(rng.normal(1.0, 0.1))
    turns = np.cumsum(_PUFFS * scale / np.sqrt(np.maximum(diameter_m, SMALLEST_M)))
    turns -= turns[0]
    phase = rng.uniform(0.0, 2.0 * np.pi, 2)
    jitter = wobble(rng, 0.3, 0.5)

    def series(t_s: Times) -> np.ndarray:
        angle = 2.0 * np.pi * _at(turns, t_s) + 0.8 * jitter(t_s)
        puffs: np.ndarray = np.sin(angle + phase[0]) + 0.4 * np.sin(1.7 * angle + phase[1])
        return puffs

    return series


def _at(series: NDArray[np.float64], t_s: Times) -> np.ndarray:
    return every_second(series[:, None], t_s)[:, 0]
