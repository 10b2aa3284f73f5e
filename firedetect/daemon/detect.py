"""The detect task: takes events, runs the pipeline, hands outcomes on in the right order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from firedetect.clock import NS_PER_S, Clock
from firedetect.daemon.keep import Keeper
from firedetect.daemon.messages import message_of, no_picture
from firedetect.daemon.queue import EventQueue
from firedetect.decision.outcome import Outcome
from firedetect.pipeline import Pipeline
from firedetect.readings import Event, ScoreOverrun, SystemTrouble
from firedetect.sensors.decode import Decoder
from firedetect.sensors.recording import RecordingWriter

SCORE_LIMIT_S = 0.2
REMEMBER_EVERY_S = 600.0
"""How often the drifting gas baseline is stored when nothing else happens."""
LAG_TROUBLE_S = 2.0
LAG_OVER_S = 10.0
"""Detection that is so far behind is a trouble, until it has kept up for a while."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Detector:
    """Joins the pure pipeline to the world.

    `on_event` hears of every event as it came, `on_reading` of every decoded one. What they do
    wrong is a trouble and keeps no event from being judged.
    `first` hears of every outcome before anything is written: the local outputs. `listeners` hear
    of it afterwards. `picture_of` names the picture of an alarm; what it does wrong keeps no alarm.
    """

    pipeline: Pipeline
    queue: EventQueue
    keeper: Keeper | None
    clock: Clock
    device: str
    site: str
    first: Callable[[Outcome], None]
    listeners: list[Callable[[Outcome], None]] = field(default_factory=list)
    on_event: Callable[[Event], None] = lambda _event: None
    on_reading: tuple[Callable[[Event], None], ...] = ()
    picture_of: Callable[[Outcome], str | None] = no_picture
    recorder: RecordingWriter | None = None
    processed: int = 0
    _decoder: Decoder = field(default_factory=Decoder)
    _before: Outcome | None = None
    _kept_ns: int | None = None
    _reached_ns: int = 0
    _dropped: int = 0
    _late: bool = False
    _late_ns: int = 0
    _baselines_kept: int = 0
    _lost: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Process events for ever; one that cannot be processed is a trouble, the next goes on."""
        while True:
            await self._process_guarded(await self.queue.get())
            self._watch_lag()

    async def drain(self) -> None:
        """Process what is still in the queue."""
        while len(self.queue) > 0:
            await self._process_guarded(await self.queue.get())

    async def process(self, event: Event) -> None:
        """Process one event to its end: an alarm is stored before the next one is taken."""
        if self.recorder is not None:
            self._record(partial(self.recorder.write, event))
        self._let_hear(self.on_event, event)
        for reading in self._decoder.feed(event):
            for hear in self.on_reading:
                self._let_hear(hear, reading)
            hard = self.pipeline.step(reading)
            if hard is not None:
                await self._hand_on(hard)
            asked_ns = self.clock.monotonic_ns()
            scored = self.pipeline.score()
            took_s = (self.clock.monotonic_ns() - asked_ns) / NS_PER_S
            if scored is not None:
                await self._hand_on(scored)
            if took_s > SCORE_LIMIT_S:
                await self._note_late_score(ScoreOverrun(reading.t_ns, took_s))
        self.processed += 1
        await self._remember(event.t_ns)

    async def _process_guarded(self, event: Event) -> None:
        try:
            await self.process(event)
        except Exception as error:  # noqa: BLE001 - the next event may be the fire
            self._lose(f"detect:{type(event).__name__}", error)
        self._reached_ns = event.t_ns

    async def _note_late_score(self, late: ScoreOverrun) -> None:
        # Right behind its image: a backlog must not put other scores between late ones.
        if self.recorder is not None:
            self._record(partial(self.recorder.write, late))
        outcome = self.pipeline.step(late)
        if outcome is not None:
            await self._hand_on(outcome)

    def _watch_lag(self) -> None:
        """Say when detection falls behind or readings had to be dropped, and when that is over."""
        now = self.clock.monotonic_ns()
        behind_s = (now - self._reached_ns) / NS_PER_S
        dropped = self.queue.dropped > self._dropped
        self._dropped = self.queue.dropped
        if behind_s > LAG_TROUBLE_S or dropped:
            self._late_ns = now
            if not self._late:
                self._late = True
                detail = f"detection is {behind_s:.1f} s behind, {self._dropped} readings dropped"
                _log.warning(detail)
                self.queue.put(SystemTrouble(now, "late", active=True, detail=detail))
        elif self._late and now - self._late_ns > LAG_OVER_S * NS_PER_S:
            self._late = False
            self.queue.put(SystemTrouble(now, "late", active=False))

    async def _hand_on(self, outcome: Outcome) -> None:
        self.first(outcome)
        message = message_of(outcome, self._before, self.device, self.site, self._pictured)
        self._before = outcome
        if message is not None and self.keeper is not None:
            self._kept_ns = outcome.t_ns
            await self.keeper.keep(self.pipeline.remembered(outcome.t_ns), message)
        if self.recorder is not None:
            line = outcome.as_json()
            self._record(partial(self.recorder.write_outcome, outcome.t_ns, line))
        for listener in tuple(self.listeners):
            self._tell(listener, outcome)

    def _pictured(self, outcome: Outcome) -> str | None:
        try:
            return self.picture_of(outcome)
        except Exception as error:  # noqa: BLE001 - the alarm goes without
            self._lose("picture", error)
            return None

    def _let_hear(self, hear: Callable[[Event], None], event: Event) -> None:
        try:
            hear(event)
        except Exception as error:  # noqa: BLE001 - this event may be the fire
            self._lose("hearing", error)

    def _record(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001 - what is not recorded is judged all the same
            self._lose("recording", error)
            self.recorder = None

    def _tell(self, listener: Callable[[Outcome], None], outcome: Outcome) -> None:
        try:
            listener(outcome)
        except Exception as error:  # noqa: BLE001 - who listens must not end detection
            self._lose("listener", error)
            self.listeners.remove(listener)

    def _lose(self, what: str, error: Exception) -> None:
        detail = f"{type(error).__name__}: {error}"
        if what in self._lost:
            return
        self._lost.add(what)
        _log.error("failed", what=what, error=detail, exc_info=error)
        now = self.clock.monotonic_ns()
        self.queue.put(SystemTrouble(now, what, active=True, detail=detail))

    async def _remember(self, t_ns: int) -> None:
        if self._kept_ns is None:
            # Not at once: what the last run left is folded by one of the next events.
            self._kept_ns = t_ns
        due = t_ns - self._kept_ns > REMEMBER_EVERY_S * NS_PER_S
        # A clean-air baseline that was just learnt must not be learnt again in smoke.
        learnt = self.pipeline.baselines_known > self._baselines_kept
        self._baselines_kept = self.pipeline.baselines_known
        if self.keeper is not None and (due or learnt or self.keeper.unsaved):
            self._kept_ns = t_ns
            await self.keeper.keep(self.pipeline.remembered(t_ns))
