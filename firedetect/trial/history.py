"""What settings or a model would have done on the seconds that this detector has stored.

The stored features have the resolution of telemetry. Of the hard rules only the level they had is
stored: other hard limits are tried on the library alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.level import Health, Level
from firedetect.contract.settings import DecisionSettings
from firedetect.contract.shadow import HistoryVerdict
from firedetect.contract.telemetry import HARD, STEP, TelemetryBatch, unpacked
from firedetect.decision.hard_rules import HardVerdict
from firedetect.decision.judge import Judge
from firedetect.decision.machine import AlarmState
from firedetect.errors import TrialError
from firedetect.features.vector import COLUMNS
from firedetect.readings import Command, CommandAction
from firedetect.trial.library import BatchScorer

NS_PER_S = 1_000_000_000
S_PER_H = 3600.0
AUTO_RESET_S: Final = 60
"""A latched alarm is reset after a normal minute, so that the next one shows."""
NO_HISTORY: Final = HistoryVerdict(hours=0.0, alarms=0, alarms_before=0, complete=False)


@dataclass(frozen=True, slots=True, eq=False)
class HistoryBlock:
    """n stored seconds, ascending, perhaps with gaps.

    `seconds` int64 (n,) is wall time (Unix), `rows` float32 (n, 27) the columns, NaN where
    unknown, `hard` int8 (n,) the level of the hard rules.
    """

    seconds: NDArray[np.int64]
    rows: NDArray[np.float32]
    hard: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Setup:
    """What decides: settings, and the model or none."""

    settings: DecisionSettings
    scorer: BatchScorer | None


def history_block(batch: TelemetryBatch) -> HistoryBlock:
    """Return a telemetry batch as history; raises TrialError when its columns do not fit."""
    n = len(batch.seconds)
    columns = {name: _column(batch, name, n) for name in (*COLUMNS, HARD)}
    begun = round(datetime.fromisoformat(batch.start).timestamp())
    hard = np.clip(np.nan_to_num(columns.pop(HARD)), Level.NORMAL, Level.EMERGENCY)
    return HistoryBlock(
        begun + np.array(batch.seconds, np.int64),
        np.stack(list(columns.values()), axis=1).astype(np.float32),
        hard.astype(np.int8),
    )


def joined(blocks: Iterable[HistoryBlock]) -> HistoryBlock:
    """Return blocks as one, in order of time; of a second that is there twice the first."""
    parts = list(blocks)
    if not parts:
        return HistoryBlock(
            np.zeros(0, np.int64), np.zeros((0, len(COLUMNS)), np.float32), np.zeros(0, np.int8)
        )
    seconds, first = np.unique(np.concatenate([part.seconds for part in parts]), return_index=True)
    rows = np.concatenate([part.rows for part in parts])[first]
    return HistoryBlock(seconds, rows, np.concatenate([part.hard for part in parts])[first])


def try_history(
    chunks: Iterable[HistoryBlock],
    candidate: Setup,
    present: Setup,
    so_far: HistoryVerdict = NO_HISTORY,
) -> Iterator[HistoryVerdict]:
    """Yield `so_far` with each chunk added, and at last the same as complete.

    Chunks are judged one by one, in any order: an alarm that lasts from one into the next counts
    in both. An hour takes some 10 ms, much of it without the interpreter's lock.
    """
    verdict = so_far
    for chunk in chunks:
        verdict = HistoryVerdict(
            hours=round(verdict.hours + len(chunk.seconds) / S_PER_H, 4),
            alarms=verdict.alarms + count_alarms(chunk, candidate),
            alarms_before=verdict.alarms_before + count_alarms(chunk, present),
            complete=False,
        )
        yield verdict
    yield verdict.model_copy(update={"complete": True})


def count_alarms(block: HistoryBlock, setup: Setup) -> int:
    """Return how often `alert` or more would have been newly declared, with automatic reset."""
    if setup.scorer is None:
        scores = np.full(len(block.seconds), np.nan)
    else:
        scores = setup.scorer.scores(block.rows)
    lowest = setup.settings.thresholds.informational
    busy = np.flatnonzero((scores >= lowest) | (block.hard > 0)).tolist()
    seconds, levels, said = block.seconds.tolist(), block.hard.tolist(), scores.tolist()
    judge = _Counter(setup.settings)
    at = 0
    for start in busy:
        at = max(at, start)
        # What is below every threshold changes nothing while nothing is held: it is skipped.
        while at < len(seconds) and (at == start or not judge.idle):
            judge.fold(seconds[at], Level(levels[at]), said[at], block.rows[at])
            at += 1
    return judge.alarms


class _Counter:
    """A judge on a one-second grid, with automatic reset, that counts its alarms."""

    def __init__(self, settings: DecisionSettings) -> None:
        self.alarms = 0
        self._judge = Judge(settings)
        self._normal_since: int | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is held or latched."""
        return self._judge.level is Level.NORMAL

    def fold(self, second: int, hard: Level, score: float, row: NDArray[np.float32]) -> None:
        judge, t_ns = self._judge, second * NS_PER_S
        # As in the pipeline: the hard rules are judged before the score.
        judge.hold(t_ns, HardVerdict(hard))
        self._declare()
        judge.see(t_ns, row)
        judge.score(t_ns, score)
        self._declare()
        if judge.alarm.state is AlarmState.CLEAR or judge.current is not Level.NORMAL:
            self._normal_since = None
        elif self._normal_since is None:
            self._normal_since = second
        elif second - self._normal_since >= AUTO_RESET_S:
            self._normal_since = None
            judge.obey(Command(t_ns, CommandAction.RESET), Health.OK)

    def _declare(self) -> None:
        clear = self._judge.alarm.state is AlarmState.CLEAR
        if self._judge.declare("") and clear:
            self.alarms += 1


def _column(batch: TelemetryBatch, name: str, n: int) -> NDArray[np.float64]:
    deltas = batch.columns.get(name)
    if deltas is None:
        return np.full(n, np.nan)
    if len(deltas) != n:
        raise TrialError(f"batch {batch.batch_id}: {name} has {len(deltas)} values for {n} seconds")
    return np.array(unpacked(deltas, STEP[name]))
