"""When each episode reached each level: scores and hard rules of whole episodes, judged at once.

Equal to what the pipeline declares: a level needs k of n seconds, each second taking its highest
score; a hard rule needs nothing more.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.level import Level
from firedetect.contract.settings import DecisionSettings
from firedetect.decision.signs import TOGETHER_S, gas_sign, heat_sign
from firedetect.lab.dataset import Dataset

LEVELS: Final = (Level.INFORMATIONAL, Level.WARNING, Level.ALERT, Level.EMERGENCY)
NEVER: Final = np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """First times (s, inf = never) at which each episode reached each level or a higher one.

    `episode` (m,) are the episodes in order; `first_s` has shape (m, 4) in the order of LEVELS.
    """

    episode: NDArray[np.int32]
    first_s: NDArray[np.float64]

    def at(self, level: Level) -> NDArray[np.float64]:
        """Return the first times of one level (m,)."""
        times: NDArray[np.float64] = self.first_s[:, LEVELS.index(level)]
        return times


def judge_scores(
    data: Dataset, scores: NDArray[np.float64], settings: DecisionSettings
) -> Verdicts:
    """Return the verdicts of scores (n,), with the two signs that may come to them.

    NaN counts for nothing.
    """
    episodes = np.unique(data.episode)
    first = np.full((len(episodes), len(LEVELS)), NEVER)
    warned = np.zeros(0, np.intp)
    for i, level in enumerate(LEVELS):
        need = settings.confirm_emergency if level is Level.EMERGENCY else settings.confirm
        threshold = float(getattr(settings.thresholds, level.label))
        confirmed = _confirmed(data, scores >= threshold, need.k, need.n)
        _note(first, i, data, confirmed, episodes)
        if level is Level.WARNING:
            warned = confirmed
    signs = np.zeros(len(data), bool)
    signs[warned] = True
    raised = np.flatnonzero(_held(data, signs, settings.hold_s) & _together(data))
    alert = np.full((len(episodes), len(LEVELS)), NEVER)
    _note(alert, LEVELS.index(Level.ALERT), data, raised, episodes)
    return Verdicts(episodes, _or_higher(np.minimum(first, alert)))


def judge_hard(data: Dataset) -> Verdicts:
    """Return the verdicts of the hard rules alone."""
    episodes = np.unique(data.episode)
    first = np.full((len(episodes), len(LEVELS)), NEVER)
    for i, level in enumerate(LEVELS):
        reached = np.flatnonzero(data.hard >= level)
        found, at = np.unique(data.episode[reached], return_index=True)
        first[np.searchsorted(episodes, found), i] = data.t_s[reached[at]]
    return Verdicts(episodes, first)


def earliest(*parts: Verdicts) -> Verdicts:
    """Return what several judges of the same episodes declare together."""
    return Verdicts(parts[0].episode, np.minimum.reduce([part.first_s for part in parts]))


def _note(
    first_s: NDArray[np.float64],
    column: int,
    data: Dataset,
    rows: NDArray[np.intp],
    episodes: NDArray[np.int32],
) -> None:
    """Write the time of each episode's first of these rows."""
    found, at = np.unique(data.episode[rows], return_index=True)
    first_s[np.searchsorted(episodes, found), column] = data.t_s[rows[at]]


def _confirmed(data: Dataset, reached: NDArray[np.bool_], k: int, n: int) -> NDArray[np.intp]:
    """Return the rows at which k of n seconds had reached; rows are in order of time."""
    rows = np.flatnonzero(reached)
    second = np.floor(data.t_s[rows]).astype(np.int64)
    episode = data.episode[rows]
    # The first row of each second that reaches: when that second begins to count.
    new = np.ones(len(rows), bool)
    new[1:] = (second[1:] != second[:-1]) | (episode[1:] != episode[:-1])
    rows, second, episode = rows[new], second[new], episode[new]
    if len(rows) < k:
        return np.zeros(0, np.intp)
    last = slice(k - 1, None)
    start = slice(None, len(rows) - k + 1)
    enough = (episode[start] == episode[last]) & (second[last] - second[start] < n)
    found: NDArray[np.intp] = rows[np.flatnonzero(enough) + k - 1]
    return found


def _together(data: Dataset) -> NDArray[np.bool_]:
    """Return at which rows heat and gas were both seen within the last minute."""
    heat = _held(data, heat_sign(data.rows), TOGETHER_S)
    return heat & _held(data, gas_sign(data.rows), TOGETHER_S)


def _held(data: Dataset, seen: NDArray[np.bool_], for_s: float) -> NDArray[np.bool_]:
    """Return at which rows something was seen within so many seconds before, in its episode."""
    place = np.where(seen, np.arange(len(seen)), -1)
    last = np.maximum.accumulate(place)
    known = last >= 0
    same = known & (data.episode[last] == data.episode)
    held: NDArray[np.bool_] = same & (data.t_s - data.t_s[last] <= for_s)
    return held


def _or_higher(first_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the times with a higher level counting for every lower one."""
    reached: NDArray[np.float64] = np.minimum.accumulate(first_s[:, ::-1], axis=1)[:, ::-1]
    return reached
