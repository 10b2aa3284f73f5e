"""The score of a feature row, from a bundle that passed its checks."""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.features.vector import N_FEATURES
from firedetect.model.bundle import Bundle
from firedetect.model.forest import sigmoid


class Scorer:
    """Scores rows with one bundle; holds no state between rows."""

    def __init__(self, bundle: Bundle) -> None:
        self._forest = bundle.forest
        self.version = bundle.manifest.version
        """The bundle's version, as outcomes and messages carry it."""

    def score(self, row: NDArray[np.float32]) -> float:
        """Return the hazard, 0 to 1, of a row, float32 of shape (27,).

        NaN is a missing value; with all 18 features missing there is no score: NaN.
        """
        for value in row[:N_FEATURES]:
            if not math.isnan(value):
                return sigmoid(self._forest.margin(row))
        return math.nan
