"""Trials on what this detector has stored: the newest hours at once, the rest behind them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

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

_log = structlog.get_logger()


class StoredTrial:
    """Tries settings in a thread of its own; `database` is None where nothing is stored."""

    def __init__(self, database: Path | None, scorer: Callable[[], Scorer | None]) -> None:
        self._database = database
        self._scorer = scorer
        self._thread = DaemonExecutor("trial")
        self._library: Library | None = None

    async def verdicts(
        self, candidate: DecisionSettings, present: DecisionSettings
    ) -> AsyncIterator[tuple[Verdict | None, str]]:
        """Yield the verdict on library and newest hours, then the one on everything stored."""
        loop = asyncio.get_running_loop()
        scorer = self._scorer()
        try:
            tried, reached = await loop.run_in_executor(
                self._thread, self._newest, candidate, present, scorer
            )
        except TrialError as error:
            yield None, f"cannot be tried: {error}"
            return
        verdict = tried.verdict
        yield verdict, tried.refused
        after, before = Setup(candidate, scorer), Setup(present, scorer)
        history = verdict.history
        while not history.complete:
            history, reached = await loop.run_in_executor(
                self._thread, self._older, after, before, history, reached
            )
        yield verdict.model_copy(update={"history": history}), history_refusal(history)

    def newest(self) -> HistoryBlock:
        """Return the newest stored hours; blocks."""
        return joined(_blocks(self._read(None)))

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
        batches = self._read(None)
        block = joined(_blocks(batches))
        tried = try_settings(candidate, present, scorer, self.library(), [block])
        return tried, batches[-1].number if batches else 0

    def _older(
        self, after: Setup, before: Setup, so_far: HistoryVerdict, reached: int
    ) -> tuple[HistoryVerdict, int]:
        batches = self._read(reached) if reached else []
        if not batches:
            return so_far.model_copy(update={"complete": True}), 0
        verdict = next(try_history([joined(_blocks(batches))], after, before, so_far))
        return verdict, batches[-1].number

    def _read(self, before: int | None) -> list[Batch]:
        if self._database is None or not self._database.exists():
            return []
        try:
            return read_batches(self._database, before, CHUNK)
        except (StorageError, sqlite3.Error) as error:
            # The library alone decides then; the verdict says how many hours were tried.
            _log.warning("the stored history cannot be tried", error=str(error))
            return []


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
