"""What the contenders work on: a room with a person and a growing fire, as the chip sends it."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.emulator.eeprom import encode_eeprom, typical_terms
from firedetect.emulator.frames import encode_subpage
from firedetect.features.gas import counts_at
from firedetect.sensors.mlx90640.calibration import Calibration, extract

IMAGES: Final = 240
IMAGES_A_S: Final = 4
IMAGE_NS: Final = 1_000_000_000 // IMAGES_A_S
CLEAN_AIR: Final = (2.0, 1.0, 1.5, 3.0)
"""Resistances of the four gas films, as a ratio to their load; the reading never changes."""
CLEAN_COUNTS: Final = tuple(counts_at(math.log(clean)) for clean in CLEAN_AIR)
CONTROL: Final = 0x1A01
EMISSIVITY: Final = 0.95
TA_C: Final = 25.0
REFLECTED_C: Final = TA_C - 8.0
_IMAGE_CENTRE: Final = (24, 4, 60, 30, 1, 1, 0.6, 1, 0.3, 0.4, 0.1, 0.2, 50, 15, 0.2)
_GAS_AND_AIR_CENTRE: Final = (430, 30, 0.5, 0.1, 0.3, 0.3, 0.2, 200, 30, 2, 1, 0)
_ROWS, _COLS = np.mgrid[0:24, 0:32]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A minute of images: temperatures (n, 24, 32) in °C, and their sub-pages (n, 2, 834)."""

    eeprom: NDArray[np.uint16]
    calibration: Calibration
    temp_c: NDArray[np.float32]
    words: NDArray[np.uint16]


@cache
def scene(images: int = IMAGES) -> Scene:
    """Return the scene; it is the same in every run."""
    eeprom = encode_eeprom(typical_terms(1))
    calibration = extract(eeprom)
    rng = np.random.default_rng(20_260_101)
    temp_c = np.stack([_image(k, images, rng) for k in range(images)])
    words = np.zeros((images, 2, 834), np.uint16)
    for k in range(images):
        for page in (0, 1):
            words[k, page, :832] = encode_subpage(
                calibration, temp_c[k], page, ta_c=TA_C, emissivity=EMISSIVITY, control=CONTROL
            )
            words[k, page, 832:] = CONTROL, page
    return Scene(eeprom, calibration, temp_c, words)


def _image(number: int, images: int, rng: np.random.Generator) -> NDArray[np.float32]:
    walk = 31.0 * (0.5 - 0.5 * np.cos(2.0 * np.pi * number / 80.0))
    person = 9.0 * np.exp(-((_COLS - walk) ** 2 / 6.0 + (_ROWS - 14.0) ** 2 / 20.0))
    fire = 160.0 * number / images * np.exp(-((_COLS - 22) ** 2 + (_ROWS - 18) ** 2) / 5.0)
    noisy = 22.0 + person + fire + rng.normal(0.0, 0.15, (24, 32))
    return np.asarray(noisy, np.float32)


def rows(count: int, *, missing: bool) -> NDArray[np.float32]:
    """Return rows of the model, float32 (count, 27); with `missing` CO2 and air are NaN."""
    rng = np.random.default_rng(20_260_102)
    centre = np.array([*_IMAGE_CENTRE, *_GAS_AND_AIR_CENTRE])
    found = rng.normal(centre, 0.5 * np.abs(centre) + 0.1, (count, 27)).astype(np.float32)
    if missing:
        found[:, 22:] = np.nan
    return found
