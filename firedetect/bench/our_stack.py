"""Our stack from raw words to a score: the functions that the daemon runs, in its order."""

import numpy as np

from firedetect.bench.material import (
    CLEAN_COUNTS,
    EMISSIVITY,
    IMAGE_NS,
    IMAGES,
    IMAGES_A_S,
    REFLECTED_C,
    scene,
)
from firedetect.features.extractor import FeatureExtractor
from firedetect.model.bundle import default_bundle_path, load_bundle
from firedetect.model.scorer import Scorer
from firedetect.readings import GasCounts, ThermalImage
from firedetect.sensors.mlx90640.compute import celsius, prepare


class OurStack:
    """Two sub-pages to °C, the image to its features, the row to its score."""

    def __init__(self, images: int = IMAGES) -> None:
        found = scene(images)
        self._words = found.words
        self._terms = prepare(found.calibration)
        self._extractor = FeatureExtractor()
        self._scorer = Scorer(load_bundle(default_bundle_path()))
        self._number = 0

    def image(self, k: int) -> float:
        """Return the score of the next image, whose words are the `k`-th of the scene."""
        t_ns = self._number * IMAGE_NS
        if self._number % IMAGES_A_S == 0:
            self._extractor.gas(GasCounts(t_ns, *CLEAN_COUNTS), quiet=True)
        self._number += 1
        temp_c = np.empty((24, 32), np.float32)
        for words in self._words[k % len(self._words)]:
            celsius(words, self._terms, EMISSIVITY, REFLECTED_C, temp_c)
        self._extractor.image(ThermalImage(t_ns, temp_c))
        return self._scorer.score(self._extractor.row().astype(np.float32))
