"""The score of a feature row, from a bundle that passed its checks."""

import math

import numpy as np
from numpy.typing import NDArray

from firedetect.errors import BundleError
from firedetect.features.vector import N_FEATURES
from firedetect.model.bundle import Bundle, check_canaries
from firedetect.model.explain import explainer_of
from firedetect.model.forest import sigmoid


class Scorer:
    """Scores rows with one bundle; holds no state between rows."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._forest = bundle.forest
        self._explainer = explainer_of(bundle.forest)
        self.version = bundle.manifest.version
        """The bundle's version, as outcomes and messages carry it."""
        self.hash = bundle.hash
        """Tells apart two bundles of one version."""

    def score(self, row: NDArray[np.float32]) -> float:
        """Return the hazard, 0 to 1, of a row, float32 of shape (27,).

        NaN is a missing value; with all 18 features missing there is no score: NaN.
        """
        for value in row[:N_FEATURES]:
            if not math.isnan(value):
                return sigmoid(self._forest.margin(row))
        return math.nan

    def contributions(self, row: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Return what each column of a row adds to the margin, then the margin of no row at all.

        float64 of shape (28,), in log odds; None if the model does not say enough.
        """
        return None if self._explainer is None else self._explainer.contributions(row)

    def scores(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what `score` returns for each of `rows`, float32 of shape (n, 27)."""
        found = np.array([sigmoid(margin) for margin in self._forest.margins(rows).tolist()])
        found[np.isnan(rows[:, :N_FEATURES]).all(axis=1)] = math.nan
        return found

    def known_answer(self) -> bool:
        """Whether the canary fire scores as fire and the quiet row as quiet, asked just now."""
        try:
            check_canaries(self._bundle)
        except BundleError:
            return False
        return True
