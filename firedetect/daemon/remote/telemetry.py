"""One vector a second, packed into batches below 5 KB: for the cloud and for later trials."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from firedetect.clock import NS_PER_S
from firedetect.contract.level import Level
from firedetect.contract.limits import BATCH_MAX_BYTES
from firedetect.contract.telemetry import HARD, LEVEL, SCORE, STEP, TelemetryBatch, packed
from firedetect.decision.outcome import Outcome, iso_time

SECONDS_MAX = 600
"""More is not collected: a task that hangs must not fill the memory."""
_LOOK_S = 1.0


@dataclass(slots=True)
class _Second:
    """The last features of a second with its highest score and levels."""

    wall_s: int
    values: dict[str, float]

    def fold(self, outcome: Outcome) -> None:
        self.values.update(outcome.features)
        by_rule = any(reason.startswith("H") for reason in outcome.reasons)
        hard = outcome.current if by_rule else Level.NORMAL
        for name, value in (
            (SCORE, outcome.score),
            (LEVEL, float(outcome.level)),
            (HARD, float(hard)),
        ):
            before = self.values.get(name, math.nan)
            # A comparison with NaN is false: the first number wins over none.
            self.values[name] = before if before > value or math.isnan(value) else value


@dataclass(slots=True)
class TelemetryCollector:
    """Hears of outcomes; `run` hands a packed batch to `store` whenever one is due."""

    device: str
    boot: int
    batch_s: Callable[[], int]
    store: Callable[[bytes], Awaitable[None]]
    _seconds: list[_Second] = field(default_factory=list)
    _batches: int = 0
    _model: str | None = None

    def heard(self, outcome: Outcome) -> None:
        """Take one outcome; those without features say nothing new of a second."""
        if not outcome.features:
            return
        self._model = outcome.model
        wall_s = outcome.wall_ns // NS_PER_S
        if not self._seconds or self._seconds[-1].wall_s != wall_s:
            self._seconds.append(_Second(wall_s, {}))
            del self._seconds[:-SECONDS_MAX]
        self._seconds[-1].fold(outcome)

    async def run(self) -> None:
        """Pack for ever; what is left at the end is packed too."""
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                if len(self._seconds) > self.batch_s():
                    # The last second may not be over yet.
                    await self._pack(self._seconds[:-1])
        finally:
            await self._pack(list(self._seconds))

    async def _pack(self, seconds: list[_Second]) -> None:
        del self._seconds[: len(seconds)]
        while seconds:
            part, payload = self._fitting(seconds)
            seconds = seconds[part:]
            await self.store(payload)

    def _fitting(self, seconds: list[_Second]) -> tuple[int, bytes]:
        """Return how many of the seconds fit into one batch, and that batch."""
        count = len(seconds)
        while True:
            self._batches += 1
            batch = self._batch(seconds[:count])
            payload = batch.model_dump_json().encode()
            if len(payload) <= BATCH_MAX_BYTES or count == 1:
                return count, payload
            self._batches -= 1
            count = max(1, min(count - 1, count * BATCH_MAX_BYTES // len(payload)))

    def _batch(self, seconds: list[_Second]) -> TelemetryBatch:
        first_s = seconds[0].wall_s
        columns = {}
        for name, step in STEP.items():
            column = packed([second.values.get(name, math.nan) for second in seconds], step)
            if any(delta is not None for delta in column):
                columns[name] = column
        return TelemetryBatch(
            device=self.device,
            batch_id=f"{self.device}-{self.boot}-t{self._batches}",
            start=iso_time(first_s * NS_PER_S),
            seconds=tuple(second.wall_s - first_s for second in seconds),
            columns=columns,
            model=self._model,
        )
