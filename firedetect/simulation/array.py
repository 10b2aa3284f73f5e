"""One array of its kind: noise, fixed pattern, optics, and the images that it takes of a scene."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.simulation.camera import SHAPE, Camera, Hits
from firedetect.simulation.patches import Patch, Times, farthest_first, stacked
from firedetect.simulation.radiance import radiance_tables
from firedetect.simulation.render import render

CEILING_RISE, WALL_RISE, FLOOR_RISE, LAYER_M, LAYER_C, ABSORPTION, DRIFT = range(7)
ZONE_COLUMNS: Final = 7
STEPS_PER_S: Final = 16
"""Images less than this apart have the same noise."""
PAGE_S: Final = 0.125
"""Between the two sub-pages of one image at the nominal 8 Hz."""

NETD_C: Final = {"narrow": (0.18, 0.34), "wide": (0.20, 0.36), "lepton": (0.05, 0.08)}
"""Temporal noise per pixel at 8 Hz sub-pages, centre; 0.38 K was seen behind a real wide lens."""
CORNER_FACTOR: Final = {"narrow": 1.6, "wide": 2.0, "lepton": 1.1}
BLUR_SIGMA_PX: Final = (0.5, 0.8)
GAIN_SPREAD: Final = 0.03
PATTERN_C: Final = 0.25
COLUMN_C: Final = 0.06


@dataclass(frozen=True, slots=True, eq=False)
class ArrayUnit:
    """A device: noise deviation and fixed pattern per pixel (°C), blur weight, its seed."""

    sigma_c: NDArray[np.float64]
    pattern_c: NDArray[np.float64]
    blur: float
    seed: int

    @classmethod
    def of(cls, rng: np.random.Generator, lens: str) -> "ArrayUnit":
        """Draw a device of a lens."""
        rows, cols = SHAPE[lens]
        down = (np.arange(rows) - rows / 2 + 0.5) / (rows / 2)
        along = (np.arange(cols) - cols / 2 + 0.5) / (cols / 2)
        off_centre = np.hypot(*np.meshgrid(down, along, indexing="ij")) / np.sqrt(2.0)
        sigma = rng.uniform(*NETD_C[lens]) * (1.0 + (CORNER_FACTOR[lens] - 1.0) * off_centre**2)
        pattern = rng.normal(0.0, PATTERN_C * rng.uniform(0.3, 1.0), (rows, cols))
        pattern += rng.normal(0.0, COLUMN_C, cols)[None, :]
        spread = np.exp(-0.5 / rng.uniform(*BLUR_SIGMA_PX) ** 2)
        blur = float(spread / (1.0 + 2.0 * spread))
        # A tenth of the devices has one to four pixels that read wrong before they are mended.
        if rng.random() < 0.1:
            for _ in range(int(rng.integers(1, 5))):
                sigma[rng.integers(rows), rng.integers(cols)] *= rng.uniform(1.5, 4.0)
        return cls(sigma, pattern, blur, int(rng.integers(1 << 62)))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What can be seen: the empty room, what is in it, and how walls, layer and air change.

    `base_c` (rows, cols) is the room at rest; `zones` and `air` are rows every second: the columns
    named above, and the share of radiance that passes with the temperature of the air.
    """

    camera: Camera
    hits: Hits
    base_c: NDArray[np.float64]
    patches: tuple[Patch, ...]
    zones: NDArray[np.float64]
    air: NDArray[np.float64]


def take_images(
    unit: ArrayUnit, scene: Scene, t_s: Times, *, interleaved: bool
) -> NDArray[np.float32]:
    """Return images (n, rows, cols) in °C at times (s, n), clipped at 300.

    Interleaved, the even pixels of the chess board are from a sub-page earlier.
    """
    t_s = np.asarray(t_s, dtype=np.float64)
    rows, cols = scene.camera.shape
    moments = [np.maximum(t_s - PAGE_S, 0.0), t_s] if interleaved else [t_s]
    painted = farthest_first(scene.patches)
    tables = radiance_tables()
    out = np.empty((len(t_s), rows, cols), np.float32)
    render(
        out,
        np.rint(t_s * STEPS_PER_S).astype(np.int64),
        unit.seed,
        scene.base_c,
        scene.hits.surface,
        scene.hits.height_m,
        scene.hits.distance_m,
        scene.camera.at[2],
        np.stack([every_second(scene.zones, moment) for moment in moments], axis=1),
        np.ascontiguousarray(
            np.stack([stacked(scene.patches, moment) for moment in moments], axis=1)
        ),
        np.array([patch.shape for patch in painted], np.int64),
        unit.sigma_c,
        unit.pattern_c,
        unit.blur,
        every_second(scene.air, t_s),
        tables.radiance,
        tables.back,
        tables.first_root,
        tables.root_step,
    )
    return out


def every_second(series: NDArray[np.float64], t_s: Times) -> NDArray[np.float64]:
    """Return rows of a series with one row a second (m, k) at times (n,), interpolated."""
    place = np.clip(t_s, 0.0, len(series) - 1.0)
    below = np.minimum(place.astype(np.int64), max(len(series) - 2, 0))
    share = (place - below)[:, None]
    above = np.minimum(below + 1, len(series) - 1)
    rows: NDArray[np.float64] = series[below] * (1.0 - share) + series[above] * share
    return rows
