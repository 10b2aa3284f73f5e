"""A model that may fail: its faults become troubles, and repeated ones set it aside."""

import math
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from firedetect.features.vector import COLUMNS, N_FEATURES

STRIKES = 3
"""Wrong or late scores in a row after which the model is set aside."""
PUNCTUAL_SCORES = 60
"""Scores in time after which a late one is forgiven."""


class RowScorer(Protocol):
    """What the pipeline asks of a model."""

    @property
    def version(self) -> str:
        """The version of the model, as outcomes name it."""

    def score(self, row: NDArray[np.float32]) -> float:
        """Return the score (0 to 1) of one row of the feature table, NaN if there is none."""


@runtime_checkable
class RowExplainer(Protocol):
    """What a model may offer besides: the parts that its score is made of."""

    def contributions(self, row: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Return what each column adds to the margin and the rest, of shape (columns + 1,)."""


class GuardedModel:
    """Asks the scorer and never fails; `trouble` says what is wrong with it, or nothing."""

    def __init__(self, scorer: RowScorer | None) -> None:
        self.trouble = "" if scorer is not None else "model:none"
        self._scorer = scorer
        self._strikes = 0
        self._late = 0
        self._punctual = 0

    @property
    def version(self) -> str | None:
        """The version of the model in use, None without one."""
        return None if self._scorer is None else self._scorer.version

    def score(self, row: NDArray[np.float64]) -> float:
        """Return the score of a row, NaN if there is none; three failures set the model aside."""
        if self._scorer is None or bool(np.isnan(row[:N_FEATURES]).all()):
            return math.nan
        self._punctual += 1
        try:
            score = self._scorer.score(row.astype(np.float32))
            valid = 0.0 <= score <= 1.0
        except Exception as error:  # noqa: BLE001 - a broken model must not stop the hard rules
            return self._strike(f"model:failed {type(error).__name__}")
        if not valid:
            return self._strike("model:no valid score")
        self._strikes = 0
        if self._punctual > PUNCTUAL_SCORES:
            self._late = 0
        if self._late == 0:
            self.trouble = ""
        return score

    def explain(self, row: NDArray[np.float64]) -> dict[str, float]:
        """Return what each column adds to the margin (log odds) of a row.

        Columns that add nothing are left out. Empty if the model cannot tell: that is no fault.
        """
        scorer: object = self._scorer
        if not isinstance(scorer, RowExplainer):
            return {}
        try:
            found = scorer.contributions(row.astype(np.float32))
            if found is None or not np.isfinite(found).all():
                return {}
            *parts, _expected = found.tolist()
            named = dict(zip(COLUMNS, parts, strict=True))
            return {name: value for name, value in named.items() if value != 0.0}
        except Exception:  # noqa: BLE001 - an alarm without an explanation is an alarm
            return {}

    def late(self) -> None:
        """Note that the last score came too late; three in a row set the model aside."""
        if self._scorer is None:
            return
        self._late = self._late + 1 if self._punctual <= 1 else 1
        self._punctual = 0
        self.trouble = "model:slow"
        if self._late >= STRIKES:
            self._set_aside("model:set aside, too slow")

    def _strike(self, problem: str) -> float:
        self._strikes += 1
        self.trouble = problem
        if self._strikes >= STRIKES:
            self._set_aside(f"{problem}, set aside")
        return math.nan

    def _set_aside(self, why: str) -> None:
        self._scorer = None
        self.trouble = why
