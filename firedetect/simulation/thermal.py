"""What a 32x24 array sees: a textured room, people and objects, flames, its own noise."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firedetect.features.vector import COLS, ROWS
from firedetect.simulation.radiance import apparent_c, band_radiance

IFOV_DEG = {"narrow": (1.72, 1.46), "wide": (3.44, 3.13)}
"""Width and height of one pixel: the 55x35 and the 110x75 degree lens."""
_BLUR = np.array([0.12, 0.76, 0.12])
"""Optics: about a Gaussian of 0.55 pixels."""


@dataclass(frozen=True, slots=True)
class Source:
    """A rectangle of one temperature in the image; every value is a function of time (s).

    `row`, `col` are the centre, `height`, `width` the size in pixels; `temp_c` its temperature,
    `emissivity` its effective emissivity (below 1 what lies behind shines through).
    """

    row: Callable[[float], float]
    col: Callable[[float], float]
    height: Callable[[float], float]
    width: Callable[[float], float]
    temp_c: Callable[[float], float]
    emissivity: Callable[[float], float]


def constant(value: float) -> Callable[[float], float]:
    """Return the function that is always `value`."""
    return lambda _t_s: value


def pixel_size_m(distance_m: float, lens: str) -> tuple[float, float]:
    """Return width and height (m) of one pixel's footprint at a distance."""
    wide, high = IFOV_DEG[lens]
    return (
        2.0 * distance_m * math.tan(math.radians(wide) / 2.0),
        2.0 * distance_m * math.tan(math.radians(high) / 2.0),
    )


def room_background(rng: np.random.Generator, room_c: float) -> NDArray[np.float64]:
    """Return walls, floor and furniture (24, 32): a gradient with a few patches, in °C."""
    rows = np.linspace(0.8, -0.8, ROWS)[:, None]
    field = room_c + rows * rng.uniform(0.2, 1.5) + np.zeros((ROWS, COLS))
    for _ in range(int(rng.integers(3, 9))):
        r, c = rng.integers(0, ROWS), rng.integers(0, COLS)
        h, w = rng.integers(2, 9), rng.integers(2, 11)
        field[r : r + h, c : c + w] += rng.normal(0.0, 0.9)
    return field


@dataclass(slots=True)
class ThermalScene:
    """Renders the room at a time; noise is white per pixel with slow column drift."""

    background_c: NDArray[np.float64]
    sources: tuple[Source, ...]
    rng: np.random.Generator
    noise_c: float = 0.28

    def image_c(self, t_s: float) -> NDArray[np.float64]:
        """Return the apparent temperatures (24, 32) in °C with noise, clipped at 300."""
        radiance = band_radiance(self.background_c)
        for source in self.sources:
            emissivity = source.emissivity(t_s)
            if emissivity <= 0.0:
                continue
            share = np.outer(
                _overlap(ROWS, source.row(t_s), source.height(t_s)),
                _overlap(COLS, source.col(t_s), source.width(t_s)),
            )
            share *= emissivity
            hot = band_radiance(np.array([source.temp_c(t_s)]))[0]
            radiance += share * (hot - radiance)
        image = apparent_c(_blurred(radiance))
        image += self.rng.normal(0.0, self.noise_c, (ROWS, COLS))
        clipped: NDArray[np.float64] = np.minimum(image, 300.0)
        return clipped


def _overlap(n: int, centre: float, size: float) -> NDArray[np.float64]:
    """Return the share of each of n unit cells that the interval around `centre` covers."""
    edges = np.arange(n)
    low, high = centre - size / 2.0, centre + size / 2.0
    covered = np.minimum(edges + 1.0, high) - np.maximum(edges, low)
    share: NDArray[np.float64] = np.maximum(covered, 0.0)
    return share


def _blurred(image: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(image, 1, mode="edge")
    rows = _BLUR[0] * padded[:-2] + _BLUR[1] * padded[1:-1] + _BLUR[2] * padded[2:]
    blurred: NDArray[np.float64] = (
        _BLUR[0] * rows[:, :-2] + _BLUR[1] * rows[:, 1:-1] + _BLUR[2] * rows[:, 2:]
    )
    return blurred
