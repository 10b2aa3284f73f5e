"""Replay: recorded events through the same pipeline, with the same outcomes."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from firedetect.clock import NS_PER_S, Clock, SystemClock
from firedetect.config import GasBaseline, Settings, load_gas_baseline
from firedetect.contract.level import Health, Level
from firedetect.daemon.models.choose import load_scorer
from firedetect.decision.outcome import Outcome
from firedetect.model.guard import RowScorer
from firedetect.pipeline import Pipeline
from firedetect.readings import (
    Command,
    CommandAction,
    Event,
    Restored,
    SettingsChanged,
    ThermalImage,
)
from firedetect.sensors.decode import Decoder
from firedetect.sensors.recording import read_events


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a replay does otherwise than the recording: settings, gas baseline, resets."""

    settings: Settings | None = None
    gas_baseline: GasBaseline | None = None
    auto_reset_s: float | None = None


@dataclass(slots=True)
class Summary:
    """Folds the outcomes of one recording."""

    duration_s: float = 0.0
    images: int = 0
    first: dict[Level, float] = field(default_factory=dict)
    declarations: dict[Level, int] = field(default_factory=dict)
    max_level: Level = Level.NORMAL
    reasons: set[str] = field(default_factory=set)
    troubles: set[str] = field(default_factory=set)
    heard: int = 0
    """Outcomes so far."""
    _level: Level = Level.NORMAL

    def hear(self, outcome: Outcome) -> None:
        """Fold one outcome."""
        self.heard += 1
        self.duration_s = max(self.duration_s, outcome.t_s)
        for level in Level:
            if self._level < level <= outcome.level:
                self.first.setdefault(level, outcome.t_s)
        if outcome.level > self._level:
            self.declarations[outcome.level] = self.declarations.get(outcome.level, 0) + 1
        self._level = outcome.level
        self.max_level = max(self.max_level, outcome.level)
        self.reasons.update(outcome.reasons)
        self.troubles.update(outcome.troubles)

    def as_record(self, recording: Path, took_s: float) -> dict[str, Any]:
        """Return the object that `replay --summary` prints."""
        declared = [level for level in Level if level is not Level.NORMAL]
        return {
            "recording": str(recording),
            "duration_s": self.duration_s,
            "max_level": self.max_level.label,
            "first": {level.label: self.first.get(level) for level in declared},
            "declarations": {level.label: self.declarations.get(level, 0) for level in declared},
            "reasons": sorted(self.reasons),
            "troubles": sorted(self.troubles),
            "images": self.images,
            "images_per_s": round(self.images / took_s, 1) if took_s > 0 else None,
        }


def replay(
    path: Path,
    scorer: RowScorer | None,
    overrides: Overrides,
    hear: Callable[[Outcome], None],
    pace: Clock | None = None,
    summary: Summary | None = None,
) -> Summary:
    """Replay one recording and return its summary; `pace` replays at the speed of that clock.

    Raises RecordingError, after everything that could be read was replayed; a given `summary` then
    tells of that part.
    """
    summary = summary or Summary()
    pipeline = Pipeline(scorer, overrides.settings.decision if overrides.settings else None)
    resetter = _AutoReset(overrides.auto_reset_s)
    decoder = Decoder()
    begun_ns: tuple[int, int] | None = None
    for recorded in _overridden(read_events(path), overrides):
        if pace is not None:
            begun_ns = begun_ns or (pace.monotonic_ns(), recorded.t_ns)
            ahead_ns = recorded.t_ns - begun_ns[1] - (pace.monotonic_ns() - begun_ns[0])
            pace.block(ahead_ns / NS_PER_S)
        for event in decoder.feed(recorded):
            summary.images += isinstance(event, ThermalImage)
            for outcome in pipeline.run([event]):
                summary.hear(outcome)
                hear(outcome)
                for answer in pipeline.run(resetter.due(outcome)):
                    summary.hear(answer)
                    hear(answer)
    return summary


def _overridden(events: Iterator[Event], overrides: Overrides) -> Iterator[Event]:
    """Put the overriding settings and calibration where the recording has its own."""
    for event in events:
        if isinstance(event, SettingsChanged) and overrides.settings is not None:
            yield SettingsChanged(event.t_ns, overrides.settings.decision)
        elif isinstance(event, Restored) and overrides.gas_baseline is not None:
            yield replace(event, gas_baseline=overrides.gas_baseline, gas_tracked=None)
        else:
            yield event


@dataclass(slots=True)
class _AutoReset:
    """Resets a latched alarm after some seconds of normal input, so that the next one shows."""

    after_s: float | None
    _normal_since_s: float | None = None

    def due(self, outcome: Outcome) -> list[Event]:
        if self.after_s is None or not outcome.latched or outcome.current is not Level.NORMAL:
            self._normal_since_s = None
            return []
        if self._normal_since_s is None:
            self._normal_since_s = outcome.t_s
        if outcome.t_s - self._normal_since_s < self.after_s:
            return []
        self._normal_since_s = None
        return [Command(outcome.t_ns, CommandAction.RESET, command_id="auto-reset")]


def replay_all(
    recordings: list[Path],
    *,
    settings: Settings | None,
    bundle: Path | None,
    auto_reset_s: float | None,
    form: Literal["json", "summary", "text"],
    real_time: bool,
) -> None:
    """Replay recordings and print outcomes, summaries or changes of level.

    Raises FiredetectError at the first recording that cannot be read to its end.
    """
    scorer = load_scorer(bundle)
    calibration = settings.gas.calibration if settings is not None else None
    overrides = Overrides(
        settings=settings,
        gas_baseline=load_gas_baseline(calibration) if calibration is not None else None,
        auto_reset_s=auto_reset_s,
    )
    hear = {"json": _print_json, "summary": _print_nothing, "text": _print_changes()}[form]
    for path in recordings:
        begun = time.perf_counter()
        summary = Summary()
        try:
            replay(path, scorer, overrides, hear, SystemClock() if real_time else None, summary)
        finally:
            # Of a recording that is cut off, what could be read is told before the error.
            if form != "json" and summary.heard:
                record = summary.as_record(path, time.perf_counter() - begun)
                print(json.dumps(record, allow_nan=False))


def _print_json(outcome: Outcome) -> None:
    print(outcome.as_json())


def _print_nothing(_outcome: Outcome) -> None:
    pass


def _print_changes() -> Callable[[Outcome], None]:
    shown: list[tuple[Level, Health]] = []

    def hear(outcome: Outcome) -> None:
        now = (outcome.level, outcome.health)
        if shown and shown[-1] == now:
            return
        shown[:] = [now]
        why = ", ".join(outcome.reasons) or "-"
        print(f"{outcome.t_s:10.2f} s  {outcome.level.label:<13} {why:<12} {outcome.health}")

    return hear
