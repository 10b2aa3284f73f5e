"""The pure pipeline: events in, outcomes out. No input or output, no clock, no randomness.

Hard rules are judged in `step`, before the model is asked in `score`: whoever runs the pipeline
hands on the outcome of the first before calling the second.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.level import LATCHING_FROM
from firedetect.contract.settings import DecisionSettings
from firedetect.decision.hard_rules import HardInputs
from firedetect.decision.judge import Judge
from firedetect.decision.machine import ACKNOWLEDGED
from firedetect.decision.outcome import Answer, Outcome
from firedetect.decision.perception import Perception
from firedetect.decision.report import Reporter
from firedetect.features.vector import COLUMNS
from firedetect.model.guard import GuardedModel, RowScorer
from firedetect.readings import (
    AirReading,
    ClockSet,
    Co2Reading,
    Command,
    Event,
    GasCalibrated,
    GasCounts,
    MaskApproved,
    Restored,
    ScoreOverrun,
    Sensor,
    SensorFault,
    SensorOpened,
    SettingsChanged,
    Started,
    SystemTrouble,
    ThermalImage,
    Tick,
)

NS_PER_S = 1_000_000_000


class Observer(Protocol):
    """Hears everything that the decision is given, just before it decides."""

    def hard(self, inputs: HardInputs, image: ThermalImage | None) -> None:
        """Note what the hard rules are about to judge, and the image that its pixels are of."""

    def row(self, t_ns: int, row: NDArray[np.float64]) -> None:
        """Note the columns (27,) that the model is about to score."""


class Pipeline:
    """Folds events. One per detector and run; an observer changes no outcome."""

    def __init__(
        self,
        scorer: RowScorer | None,
        decision: DecisionSettings | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._settings = decision or DecisionSettings()
        self._perception = Perception()
        self._judge = Judge(self._settings)
        self._model = GuardedModel(scorer)
        self._reporter = Reporter(self._judge, self._perception.health)
        self._observer = observer
        self._system: dict[str, str] = {}
        self._pending_ns: int | None = None
        self._scored_ns = 0

    def step(self, event: Event) -> Outcome | None:
        """Fold one event and judge the hard rules; returns an outcome if something changed.

        What an image changes besides a rising alarm waits for its score.
        """
        answer = self._fold(event)
        if isinstance(event, Started | SettingsChanged):
            # Nothing is concluded before it is known what was remembered and what is read.
            return None
        self._judge.alarm.advance(event.t_ns)
        raised = self._declare()
        if answer is None and raised is None:
            if self._pending_ns is not None or not self._reporter.is_new(self._troubles()):
                return None
            if isinstance(event, Restored) and event.level >= LATCHING_FROM:
                raised = event.event_id
        return self._reporter.outcome(
            event.t_ns, raised, self._troubles(), self._model.version, answer=answer
        )

    def score(self) -> Outcome | None:
        """Ask the model about the vector that the last step completed, if it completed one."""
        if self._pending_ns is None:
            return None
        t_ns, self._pending_ns = self._pending_ns, None
        self._scored_ns = t_ns
        row = self._perception.features.row()
        if self._observer is not None:
            self._observer.row(t_ns, row)
        before = self._judge.current
        self._judge.see(t_ns, row)
        self._judge.score(t_ns, self._model.score(row))
        features = dict(zip(COLUMNS, row.tolist(), strict=True))
        raised = self._declare()
        outcome = self._reporter.outcome(
            t_ns, raised, self._troubles(), self._model.version, features=features
        )
        if self._judge.current <= before:
            return outcome
        # The score alone has raised the level, and all is decided: say what made the score.
        return replace(outcome, contributions=self._model.explain(row))

    def run(self, events: Iterable[Event]) -> Iterator[Outcome]:
        """Fold events in order and yield every outcome: replay, training and tests."""
        for event in events:
            outcome = self.step(event)
            if outcome is not None:
                yield outcome
            outcome = self.score()
            if outcome is not None:
                yield outcome

    def replace_model(self, scorer: RowScorer | None) -> None:
        """Score with another model from the next vector on; nothing is held against it yet.

        To be called between two events. Level, latched alarm and confirmed seconds stay.
        """
        self._model = GuardedModel(scorer)

    @property
    def baselines_known(self) -> int:
        """How many baselines of clean air have been commissioned or learnt."""
        features = self._perception.features
        return (not features.films.clean_air.learning) + (not features.co2_baseline.learning)

    def remembered(self, t_ns: int) -> Restored:
        """Return what must survive a restart."""
        alarm, features = self._judge.alarm, self._perception.features
        stored = features.films.stored()
        cleanest_ppm, clean_ppm = features.co2_clean_ppm
        return Restored(
            t_ns,
            level=alarm.level,
            incident_id=alarm.incident_id,
            event_id=self._reporter.last_id,
            acknowledged=alarm.state in ACKNOWLEDGED,
            reasons=alarm.reasons,
            gas_baseline=stored[0] if stored else None,
            gas_tracked=stored[1] if stored else None,
            gas_activity=features.films.activity.stored(),
            co2_clean_ppm=clean_ppm,
            co2_cleanest_ppm=cleanest_ppm,
        )

    def _fold(self, event: Event) -> Answer | None:
        match event:
            case ThermalImage():
                self._fold_image(event)
            case GasCounts():
                self._judge_hard(self._perception.gas(event, calm=self._judge.calm))
            case Co2Reading():
                self._judge_hard(self._perception.co2(event, calm=self._judge.calm))
            case AirReading():
                self._judge_hard(self._perception.air(event))
            case Tick():
                self._fold_tick(event)
            case SensorFault():
                self._perception.lose(event.sensor, event.kind)
            case Command():
                return self._judge.obey(event, self._perception.health.health)
            case _:
                self._configure(event)
        return None

    def _configure(self, event: Event) -> None:
        match event:
            case Started():
                self._reporter.start(event)
                self._perception.health.configure(event.t_ns, event.streams)
            case ClockSet():
                self._reporter.set_clock(event.t_ns, event.wall_ns)
            case SettingsChanged():
                self._settings = event.decision
                self._judge.configure(event.decision)
            case Restored():
                self._judge.alarm.restore(event)
                self._perception.restore(event)
            case MaskApproved():
                mask, wall_ns = self._perception.features.mask, self._reporter.wall_ns(event.t_ns)
                mask.approve(event.limit_c, event.approved_wall_ns, wall_ns)
            case _:
                self._note(event)

    def _note(self, event: Event) -> None:
        match event:
            case GasCalibrated():
                self._perception.calibrate_gas(event)
            case SensorOpened():
                self._perception.opened(event)
            case SystemTrouble(active=True):
                self._system[event.name] = event.detail
            case SystemTrouble():
                self._system.pop(event.name, None)
            case ScoreOverrun():
                self._model.late()
            case _:
                # A rejected frame is no reading: if no good one follows, the sensor goes stale.
                pass

    def _fold_image(self, event: ThermalImage) -> None:
        inputs = self._perception.image(event, self._settings.hard)
        if inputs.region_px is None:
            self._judge_hard(inputs)
            return
        self._judge_hard(inputs, event)
        self._pending_ns = event.t_ns

    def _fold_tick(self, event: Tick) -> None:
        self._perception.advance(event.t_ns, self._reporter.wall_ns(event.t_ns))
        # Without an image in the last second its tick completes the vector: gas and air must still
        # alarm, and the scores of a slow array must still confirm a level.
        slow = event.t_ns - self._scored_ns >= NS_PER_S
        if slow or not self._perception.health.trusted(Sensor.THERMAL):
            self._pending_ns = event.t_ns

    def _judge_hard(self, inputs: HardInputs | None, image: ThermalImage | None = None) -> None:
        if inputs is None:
            return
        if self._observer is not None:
            self._observer.hard(inputs, image)
        self._judge.hard(inputs)

    def _declare(self) -> str | None:
        """Latch the current level if it must be; returns the event's id if the alarm rose."""
        if not self._judge.declare(self._reporter.next_id):
            return None
        return self._reporter.take_id()

    def _troubles(self) -> tuple[str, ...]:
        model = (self._model.trouble,) if self._model.trouble else ()
        system = [f"{name}:{why}" if why else name for name, why in sorted(self._system.items())]
        return (*self._perception.troubles, *model, *system)
