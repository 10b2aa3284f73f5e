"""G8: candles and breath at the film for CO, against a real element in two rooms."""

from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.features.gas import FILMS, log_resistance
from firedetect.lab.realism.check import Check, check
from firedetect.lab.realism.films import log_rs, smoothed
from firedetect.simulation.families import draw_episode
from firedetect.simulation.stage import Choice

GROUP: Final = "G8 candles and breath"
SOURCE: Final = "10-bit CO element, closed and open room (domain 1.13)"
CLOSED: Final = {"air": 124.0, "candles": 196.0, "breath": 310.0, "most": 468.0}
OPEN: Final = {"air": 87.0, "candles": 79.0, "breath": 330.0, "most": 550.0}
LEAD_S: Final = 75.0
LIT_S: Final = slice(240, 310)
"""The last minute of four with candles."""
OFTEN: Final = 0.9
_AIR_S: Final = 60

_check = partial(check, GROUP, SOURCE)


def answer(room: dict[str, float], what: str) -> float:
    """Return a real answer as ln(R0/Rs)."""
    return log_resistance(room["air"]) - log_resistance(room[what])


def share_above(more: NDArray[np.float64], less: NDArray[np.float64]) -> float:
    """Return in which share of all pairs the first is larger."""
    return float((more[:, None] > less[None, :]).mean())


def element_checks(count: int = 60) -> list[Check]:
    """Return the checks of candles, of breath, and of which of them is larger."""
    candles = np.array([float(np.median(one[LIT_S])) for one in _answers("candles", count)])
    breath = np.array([float(one.max()) for one in _answers("breath", count)])
    real = {what: (answer(CLOSED, what), answer(OPEN, what)) for what in CLOSED}
    return [
        _check("candles: answer of the CO film", "median over the last minute of burning; nine "
               "tealights in a closed and an open room", "ln(R0/Rs)",
               (min(real["candles"]), max(real["candles"])), float(np.median(candles)), candles),
        _check("breath: answer of the CO film", "median of the largest; range from the smaller "
               "mean to the larger maximum", "ln(R0/Rs)",
               (min(real["breath"]), max(real["most"])), float(np.median(breath)), breath),
        _check("breath answers more than candles", "share of pairs", "", (OFTEN, 1.0),
               share_above(breath, candles), None, count),
    ]  # fmt: skip


def _answers(family: str, count: int) -> list[NDArray[np.float64]]:
    """Return ln(R0/Rs) of the film for CO over time, against the first minute."""
    choice = Choice(films=True, co2=False, air=False, lead_s=LEAD_S)
    column, found = FILMS.index("co"), []
    for number in range(count):
        counts = draw_episode(family, (108, number), choice).readings.counts
        if counts is not None:
            held = log_rs(smoothed(counts[:, column].astype(np.float64)))
            found.append(float(np.median(held[:_AIR_S])) - held)
    return found
