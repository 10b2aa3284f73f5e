"""G6: noise of the array's pixels with people in view, against 4,772 images of a real array."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.lab.realism.check import Check, spread
from firedetect.simulation.families import draw_episode
from firedetect.simulation.stage import Choice

GROUP: Final = "G6 pixel noise"
SOURCE: Final = "4,772 images, 110 degree lens, 8 a second, people (FIR action set)"
IMAGES: Final = 4772
PER_S: Final = 8.0
NOISE_C: Final = 0.38
NOISE_BAND: Final = 1.2
STEP_C: Final = 5.0
STEP_BAND: Final = 1.5
"""One device and one room: so much more or less is taken as the same."""
COLDEST_C: Final = 22.0
HOTTEST_C: Final = 37.0
NEAR_K: Final = 3.0
AMBIENT_C: Final = 24.0
_FROM_S: Final = 80.0


def temporal_noise_c(images: NDArray[np.float32]) -> float:
    """Return the median pixel's noise, by the middle of its steps: what moves does not count."""
    steps = np.abs(np.diff(images.astype(np.float64), axis=0))
    return float(np.median(1.4826 * np.median(steps, axis=0) / np.sqrt(2.0)))


def largest_step_c(images: NDArray[np.float32]) -> float:
    """Return the largest step of the hottest pixel from one image to the next."""
    return float(np.abs(np.diff(images.max(axis=(1, 2)).astype(np.float64))).max())


def pixel_checks(episodes: int = 12) -> list[Check]:
    """Return the checks of noise, steps and range of temperature."""
    each = IMAGES // episodes
    choice = Choice(lens="wide", lead_s=75.0, ambient_c=AMBIENT_C, in_view=True)
    noise, steps, cold, hot = [], [], [], []
    for number in range(episodes):
        episode = draw_episode("people", (106, number), choice)
        images = episode.images(_FROM_S + np.arange(each) / PER_S)
        noise.append(temporal_noise_c(images))
        steps.append(largest_step_c(images))
        cold.append(float(images.min()))
        hot.append(float(images.max()))
    rows = (
        ("noise of a pixel", "K", "median over pixels and rooms", NOISE_C / NOISE_BAND,
         NOISE_C * NOISE_BAND, float(np.median(noise)), noise),
        ("largest step of the maximum", "K", f"over {each * episodes} images",
         STEP_C / STEP_BAND, STEP_C * STEP_BAND, max(steps), steps),
        ("coldest pixel", "°C", "median over rooms", COLDEST_C - NEAR_K, COLDEST_C + NEAR_K,
         float(np.median(cold)), cold),
        ("hottest pixel", "°C", "median over rooms", HOTTEST_C - NEAR_K, HOTTEST_C + NEAR_K,
         float(np.median(hot)), hot),
    )  # fmt: skip
    return [
        Check(
            name=f"people in view: {name}",
            group=GROUP,
            source=SOURCE,
            compared=compared,
            unit=unit,
            low=low,
            high=high,
            got=got,
            spread=spread(values),
            count=episodes,
        )
        for name, unit, compared, low, high, got, values in rows
    ]
