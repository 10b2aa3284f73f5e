"""The stack that a user would write: Adafruit, numpy, scipy, OpenCV, xgboost's own classifier.

Its features follow the same table as ours, without care for missing pixels, but for the flow:
OpenCV's Farneback on images of 8 bits, as its tutorial does it.
"""

import math
from collections import deque
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import xgboost
from numpy.typing import NDArray
from scipy import ndimage, stats

from firedetect.bench.material import (
    CLEAN_AIR,
    EMISSIVITY,
    IMAGES,
    IMAGES_A_S,
    REFLECTED_C,
    scene,
)
from firedetect.features.vector import (
    CLEAN_AIR_INDEX,
    COLUMNS,
    HOT_ABOVE_MEDIAN_C,
    HOT_MIN_C,
    INDEX_PER_LOG_RATIO,
    INDEX_WEIGHTS,
    PROXY_PIXELS,
    SLOPE_MIN_SECONDS,
    SLOPE_WINDOW_S,
)
from firedetect.model.bundle import MODEL_FILE, default_bundle_path
from firedetect.sensors.mlx90640.calibration import adafruit_chip

_EIGHT: Final = np.ones((3, 3), int)
_SPAN_C: Final = (0.0, 100.0)
_BASELINE_S: Final = 600


class UserFeatures:
    """The 18 features, image by image, four a second, and a gas reading every second."""

    def __init__(self, clean_air: tuple[float, ...]) -> None:
        cv2.setNumThreads(1)
        self._before: NDArray[np.float32] | None = None
        self._clean = np.array(clean_air)
        self._hot, self._gas = _Signal(), _Signal()
        self._gas_value = math.nan

    def gas(self, second: int, resistances: NDArray[np.float64]) -> None:
        """Fold the resistances of the four films."""
        weights = np.array(list(INDEX_WEIGHTS.values()))
        ratios = np.log(self._clean / resistances)
        self._gas_value = CLEAN_AIR_INDEX + INDEX_PER_LOG_RATIO * float(np.dot(weights, ratios))
        self._gas.add(second, self._gas_value)

    def image(self, second: int, image: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the features (18,) of an image (24, 32) in °C."""
        before = image if self._before is None else self._before
        hot = image >= max(HOT_MIN_C, float(np.median(image)) + HOT_ABOVE_MEDIAN_C)
        labels, regions = ndimage.label(hot, _EIGHT)
        largest = np.bincount(labels.ravel())[1:].max() if regions else 0
        gradient = np.hypot(ndimage.sobel(image, 0), ndimage.sobel(image, 1)) / 8.0
        change = np.abs(image - before)
        flow = np.hypot(*np.moveaxis(farneback(before, image), -1, 0))
        spot = float(np.partition(image.ravel(), -PROXY_PIXELS)[-PROXY_PIXELS:].mean())
        self._hot.add(second, spot)
        self._before = image
        return np.array(
            [
                image.mean(),
                image.std(),
                image.max(),
                np.percentile(image, 95),
                100.0 * hot.mean(),
                100.0 * largest / image.size,
                gradient.mean(),
                gradient.std(),
                change.mean(),
                change.std(),
                flow.mean(),
                flow.std(),
                spot,
                spot - self._hot.baseline,
                self._hot.slope,
                self._gas_value,
                self._gas_value - CLEAN_AIR_INDEX,
                self._gas.slope,
            ]
        )


class UserScore:
    """XGBClassifier, one row at a time."""

    def __init__(self, model: Path) -> None:
        self._model: Any = xgboost.XGBClassifier(n_jobs=1)
        self._model.load_model(model)
        self._row = np.full((1, len(COLUMNS)), np.nan, np.float32)

    def score(self, features: NDArray[np.float64]) -> float:
        """Return the probability of fire of a row of 18 features, or of all columns."""
        self._row[0, : len(features)] = features
        return float(self._model.predict_proba(self._row)[0, 1])


class _Signal:
    """One-second means; slope of 30 s and median of 10 min, anew every second."""

    def __init__(self) -> None:
        self._means: deque[tuple[int, float]] = deque(maxlen=_BASELINE_S)
        self._open: list[float] = []
        self._second = -1
        self.slope = self.baseline = math.nan

    def add(self, second: int, value: float) -> None:
        if second != self._second:
            if self._open:
                self._means.append((self._second, float(np.mean(self._open))))
            self._open, self._second = [], second
            self._refresh()
        self._open.append(value)

    def _refresh(self) -> None:
        if len(self._means) < SLOPE_MIN_SECONDS:
            return
        seconds, means = np.array(self._means).T
        self.baseline = float(np.median(means))
        last = slice(-SLOPE_WINDOW_S, None)
        self.slope = float(stats.theilslopes(means[last], seconds[last]).slope)


def farneback(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return OpenCV's dense flow (24, 32, 2) in pixels: one level, 15 px, three rounds."""
    low, high = _SPAN_C
    grey = [
        np.clip((image - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
        for image in (before, after)
    ]
    flow: Any = cv2.calcOpticalFlowFarneback(
        grey[0],
        grey[1],
        None,
        0.5,
        1,
        15,
        3,
        5,
        1.2,
        0,  # type: ignore[call-overload]
    )
    return np.asarray(flow, np.float32)


class UserStack:
    """The same with Adafruit, numpy, scipy, OpenCV and xgboost's classifier."""

    def __init__(self, images: int = IMAGES) -> None:
        found = scene(images)
        self._lists = [[page.tolist() for page in pages] for pages in found.words]
        self._chip: Any = adafruit_chip(found.eeprom)
        self._result = [0.0] * 768
        self._features = UserFeatures(CLEAN_AIR)
        self._scorer = UserScore(default_bundle_path() / MODEL_FILE)
        self._number = 0

    def image(self, k: int) -> float:
        """Return the probability of the next image, whose words are the `k`-th of the scene."""
        second, part = divmod(self._number, IMAGES_A_S)
        if part == 0:
            self._features.gas(second, np.array(CLEAN_AIR))
        self._number += 1
        for words in self._lists[k % len(self._lists)]:
            self._chip._CalculateTo(words, EMISSIVITY, REFLECTED_C, self._result)  # noqa: SLF001
        temp_c = np.array(self._result, np.float32).reshape(24, 32)
        return self._scorer.score(self._features.image(second, temp_c))
