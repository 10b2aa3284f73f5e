"""Trials on what this detector has stored: the newest hours at once, the rest behind them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import ValidationError

from firedetect.contract.settings import DecisionSettings
from firedetect.contract.shadow import HistoryVerdict, Verdict
from firedetect.contract.telemetry import TelemetryBatch
from firedetect.errors import StorageError, TrialError
from firedetect.model.scorer import Scorer
from firedetect.sensors.bus import DaemonExecutor
from firedetect.storage.store import Batch, read_batches
from firedetect.trial.history import HistoryBlock, Setup, history_block, joined, try_history
from firedetect.trial.library import Library, load_library
from firedetect.trial.verdict import Tried, history_refusal, try_settings

CHUNK = 120
"""Batches that are tried in one go: two hours of them before a change is adopted."""
LIMIT_S = 60.0
"""For one such go, on a slow machine: a disk that hangs must not hold up an answer for ever."""
_PROBLEM_MAX = 200

_log = structlog.get_logger()
_T = TypeVar("_T")


class StoredTrial:
    """Tries settings in a thread of its own; `database` is None where nothing is stored."""

    def __init__(
        self,
        database: Path | None,
        scorer: Callable[[], Scorer | None],
        limit_s: float = LIMIT_S,
    ) -> None:
        self._database = database
        self._scorer = scorer
        self._limit_s = limit_s
        self._thread = DaemonExecutor("trial")
        self._library: Library | None = None

    async def verdicts(
        self, candidate: DecisionSettings, present: DecisionSettings
    ) -> AsyncIterator[tuple[Verdict | None, str]]:
        """Yield the verdict on library and newest hours, then the one on everything stored."""
        scorer = self._scorer()
        try:
            tried, reached = await self._in_time(lambda: self._newest(candidate, present, scorer))
        except TrialError as error:
            yield None, f"cannot be tried: {error}"
            return
        verdict = tried.verdict
        yield verdict, tried.refused
        after, before = Setup(candidate, scorer), Setup(present, scorer)
        history = verdict.history
        while not history.complete and not history.problem:
            try:
                history, reached = await self._in_time(
                    partial(self._older, after, before, history, reached)
                )
            except TrialError as error:
                history = _broken_off(history, str(error))
        yield verdict.model_copy(update={"history": history}), history_refusal(history)

    def newest(self) -> HistoryBlock:
        """Return the newest stored hours, none where they cannot be read; blocks."""
        try:
            return joined(_blocks(self._read(None)))
        except StorageError as error:
            _log.warning("the stored history cannot be tried", error=str(error))
            return joined([])

    def library(self) -> Library:
        """Return the library, read at its first use; raises TrialError; blocks."""
        if self._library is None:
            self._library = load_library()
        return self._library

    def close(self) -> None:
        """End the thread once it is idle."""
        self._thread.shutdown(wait=False)

    def _newest(
        self, candidate: DecisionSettings, present: DecisionSettings, scorer: Scorer | None
    ) -> tuple[Tried, int]:
        batches, problem = [], ""
        try:
            batches = self._read(None)
        except StorageError as error:
            # The library alone decides then, and the verdict says so.
            problem = str(error)
        block = joined(_blocks(batches))
        tried = try_settings(candidate, present, scorer, self.library(), [block])
        if problem:
            history = _broken_off(tried.verdict.history, problem)
            tried = replace(tried, verdict=tried.verdict.model_copy(update={"history": history}))
        return tried, batches[-1].number if batches else 0

    def _older(
        self, after: Setup, before: Setup, so_far: HistoryVerdict, reached: int
    ) -> tuple[HistoryVerdict, int]:
        try:
            batches = self._read(reached) if reached else []
        except StorageError as error:
            return _broken_off(so_far, str(error)), 0
        if not batches:
            return so_far.model_copy(update={"complete": True}), 0
        verdict = next(try_history([joined(_blocks(batches))], after, before, so_far))
        return verdict, batches[-1].number

    def _read(self, before: int | None) -> list[Batch]:
        if self._database is None or not self._database.exists():
            return []
        return read_batches(self._database, before, CHUNK)

    async def _in_time(self, call: Callable[[], _T]) -> _T:
        """Run `call` in the thread of trials; raises TrialError if it does not end in time."""
        asked = asyncio.get_running_loop().run_in_executor(self._thread, call)
        done, _ = await asyncio.wait([asked], timeout=self._limit_s)
        if not done:
            asked.add_done_callback(_end_quietly)
            raise TrialError(f"the trial did not end within {self._limit_s:g} s")
        return asked.result()


def _broken_off(history: HistoryVerdict, problem: str) -> HistoryVerdict:
    _log.warning("the stored history cannot be tried", error=problem)
    return history.model_copy(update={"problem": problem[:_PROBLEM_MAX]})


def _end_quietly(late: "asyncio.Future[_T]") -> None:
    """Take the result of a call that nobody waits for any more."""
    if not late.cancelled():
        late.exception()


def _blocks(batches: list[Batch]) -> list[HistoryBlock]:
    blocks = []
    for batch in batches:
        if not batch.payload:
            _log.warning("a stored batch is damaged and not tried", batch=batch.number)
            continue
        try:
            blocks.append(history_block(TelemetryBatch.model_validate_json(batch.payload)))
        except (ValidationError, TrialError, ValueError) as error:
            _log.warning("a stored batch cannot be tried", batch=batch.number, error=str(error))
    return blocks
