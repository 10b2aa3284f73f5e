"""The pure pipeline: events in, outcomes out. No input or output, no clock, no randomness.

Hard rules are judged in `step`, before the model is asked in `score`: whoever runs the pipeline
hands on the outcome of the first before calling the second.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from firedetect.contract.level import LATCHING_FROM, Health, Level
from firedetect.contract.settings import DecisionSettings
from firedetect.decision.hard_rules import HardInputs
from firedetect.decision.health import HealthMachine
from firedetect.decision.judge import Judge
from firedetect.decision.machine import ACKNOWLEDGED, AlarmState
from firedetect.decision.outcome import Answer, Outcome
from firedetect.features.extractor import FeatureExtractor
from firedetect.features.vector import CLIP_C, COLUMNS
from firedetect.model.guard import GuardedModel, RowScorer
from firedetect.readings import (
    AirReading,
    Co2Reading,
    Command,
    Event,
    FaultKind,
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
QUIET_SPOT_RISE_C = 5.0
QUIET_AIR_RISE_C = 2.0
"""Above either the clean-air baseline stands still: a slow smoulder is no drift."""


class Observer(Protocol):
    """Hears everything that the decision is given, just before it decides."""

    def hard(self, inputs: HardInputs, image: ThermalImage | None) -> None:
        """Note what the hard rules are about to judge, and the image that its pixels are of."""

    def row(self, t_ns: int, row: NDArray[np.float64]) -> None:
        """Note the columns (27,) that the model is about to score."""


class _Shown(NamedTuple):
    """What an outcome tells besides the readings: the next one is due when it changes."""

    level: Level
    current: Level
    alarm: AlarmState
    drill: bool
    health: Health
    troubles: tuple[str, ...]


class Pipeline:
    """Folds events. One per detector and run; an observer changes no outcome."""

    def __init__(
        self,
        scorer: RowScorer | None,
        decision: DecisionSettings | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._settings = decision or DecisionSettings()
        self._judge = Judge(self._settings)
        self._model = GuardedModel(scorer)
        self._observer = observer
        self._features = FeatureExtractor()
        self._health = HealthMachine()
        self._started = Started(0, "firedetect", 0, 0, ())
        self._sequence = 0
        self._last_event_id: str | None = None
        self._system: dict[str, str] = {}
        self._pending_ns: int | None = None
        self._scored_ns = 0
        self._shown: _Shown | None = None

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
            if self._pending_ns is not None or self._snapshot() == self._shown:
                return None
            if isinstance(event, Restored) and event.level >= LATCHING_FROM:
                raised = event.event_id
        return self._outcome(event.t_ns, raised, answer=answer)

    def score(self) -> Outcome | None:
        """Ask the model about the vector that the last step completed, if it completed one."""
        if self._pending_ns is None:
            return None
        t_ns, self._pending_ns = self._pending_ns, None
        self._scored_ns = t_ns
        row = self._features.row()
        if self._observer is not None:
            self._observer.row(t_ns, row)
        before = self._judge.current
        self._judge.see(t_ns, row)
        self._judge.score(t_ns, self._model.score(row))
        features = dict(zip(COLUMNS, row.tolist(), strict=True))
        outcome = self._outcome(t_ns, self._declare(), features=features)
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
    def baseline_known(self) -> bool:
        """Whether the clean-air baseline of the gas board has been commissioned or learnt."""
        return not self._features.films.clean_air.learning

    def remembered(self, t_ns: int) -> Restored:
        """Return what must survive a restart."""
        stored = self._features.films.stored()
        return Restored(
            t_ns,
            level=self._judge.alarm.level,
            incident_id=self._judge.alarm.incident_id,
            event_id=self._last_event_id,
            acknowledged=self._judge.alarm.state in ACKNOWLEDGED,
            reasons=self._judge.alarm.reasons,
            gas_baseline=stored[0] if stored else None,
            gas_tracked=stored[1] if stored else None,
            gas_activity=self._features.films.activity.stored(),
        )

    def _fold(self, event: Event) -> Answer | None:
        match event:
            case ThermalImage():
                self._fold_image(event)
            case GasCounts():
                self._fold_gas(event)
            case Co2Reading():
                self._fold_co2(event)
            case AirReading():
                self._fold_air(event)
            case Tick():
                self._fold_tick(event)
            case SensorFault():
                self._lose(event.sensor, event.kind)
            case Command():
                return self._judge.obey(event, self._health.health)
            case _:
                self._configure(event)
        return None

    def _configure(self, event: Event) -> None:
        match event:
            case Started():
                self._started = event
                self._health.configure(event.t_ns, event.streams)
            case SettingsChanged():
                self._settings = event.decision
                self._judge.configure(event.decision)
            case Restored():
                self._restore(event)
            case GasCalibrated() | MaskApproved():
                self._commission(event)
            case SensorOpened():
                self._opened(event)
            case SystemTrouble(active=True):
                self._system[event.name] = event.detail
            case SystemTrouble():
                self._system.pop(event.name, None)
            case ScoreOverrun():
                self._model.late()
            case _:
                # A rejected frame is no reading: if no good one follows, the sensor goes stale.
                pass

    def _restore(self, event: Restored) -> None:
        self._judge.alarm.restore(event)
        if event.gas_baseline is not None:
            self._features.commission(event.gas_baseline, event.gas_tracked)
        if event.gas_activity is not None:
            self._features.films.activity.restore(event.gas_activity)

    def _opened(self, event: SensorOpened) -> None:
        if event.sensor is Sensor.GAS:
            self._features.films.powered(event.t_ns, event.powered_s)
        elif event.sensor is Sensor.THERMAL:
            self._features.obstruction.commission(event.spread_c)

    def _commission(self, event: GasCalibrated | MaskApproved) -> None:
        if isinstance(event, GasCalibrated):
            self._features.commission(event.baseline, None)
            self._features.films.activity.begin()
            return
        wall_ns = self._wall_ns(event.t_ns)
        self._features.mask.approve(event.limit_c, event.approved_wall_ns, wall_ns)

    def _fold_image(self, event: ThermalImage) -> None:
        features = self._features
        usable = features.image(event)
        air_c = event.air_c if not self._health.trusted(Sensor.AIR) else math.nan
        if not usable:
            self._lose(Sensor.THERMAL, FaultKind.FEW_PIXELS)
            self._judge_hard(self._air_inputs(event.t_ns, air_c))
            return
        self._health.reading(event.t_ns, Sensor.THERMAL)
        hard = self._settings.hard
        hot = features.hot_regions(hard.pixel_alert_c, hard.pixel_emergency_c, CLIP_C)
        self._judge_hard(
            replace(
                self._air_inputs(event.t_ns, air_c),
                region_px=hot.largest_alert_px,
                emergency_share=hot.emergency_share,
                share_anywhere=hot.share_anywhere,
                clipped_px=hot.clipped_px,
            ),
            event,
        )
        self._pending_ns = event.t_ns

    def _fold_gas(self, event: GasCounts) -> None:
        films = self._features.films
        if any(math.isnan(count) for count in (event.no2, event.c2h5oh, event.voc, event.co)):
            # As a rejected reading: if no good one follows, the board goes stale.
            return
        self._features.gas(event, quiet=self._quiet())
        if films.warming_up(event.t_ns):
            self._health.unready(event.t_ns, Sensor.GAS, FaultKind.WARM_UP)
        elif films.stuck_at_rail:
            self._health.fault(Sensor.GAS, FaultKind.AT_RAIL)
        elif films.clean_air.tracked is None:
            self._health.unready(event.t_ns, Sensor.GAS, FaultKind.LEARNING)
        elif films.common_mode:
            self._lose(Sensor.GAS, FaultKind.COMMON_MODE)
        elif films.frozen:
            self._lose(Sensor.GAS, FaultKind.FROZEN)
        else:
            self._health.reading(event.t_ns, Sensor.GAS)
        self._judge_hard(HardInputs(event.t_ns, co_ppm=films.co_ppm))

    def _fold_co2(self, event: Co2Reading) -> None:
        self._features.co2(event, quiet=self._quiet())
        if math.isnan(self._features.co2_ppm):
            self._lose(Sensor.CO2, FaultKind.IMPLAUSIBLE)
            return
        self._health.reading(event.t_ns, Sensor.CO2)
        self._judge_hard(
            HardInputs(
                event.t_ns,
                co2_ppm=event.co2_ppm,
                air_rise_c=self._features.air_rise_c,
                spot_rise_c=self._features.hot_spot_rise_c,
            )
        )

    def _fold_air(self, event: AirReading) -> None:
        self._features.air(event)
        if math.isnan(self._features.air_c):
            self._lose(Sensor.AIR, FaultKind.IMPLAUSIBLE)
            return
        self._health.reading(event.t_ns, Sensor.AIR)
        self._judge_hard(self._air_inputs(event.t_ns, event.temp_c))

    def _fold_tick(self, event: Tick) -> None:
        for sensor in self._health.advance(event.t_ns):
            self._features.lose(sensor)
        self._features.advance(event.t_ns)
        self._features.mask.age(self._wall_ns(event.t_ns))
        # Without an image in the last second its tick completes the vector: gas and air must still
        # alarm, and the scores of a slow array must still confirm a level.
        slow = event.t_ns - self._scored_ns >= NS_PER_S
        if slow or not self._health.trusted(Sensor.THERMAL):
            self._pending_ns = event.t_ns

    def _judge_hard(self, inputs: HardInputs, image: ThermalImage | None = None) -> None:
        if self._observer is not None:
            self._observer.hard(inputs, image)
        self._judge.hard(inputs)

    def _lose(self, sensor: Sensor, kind: FaultKind) -> None:
        self._health.fault(sensor, kind)
        self._features.lose(sensor)

    def _air_inputs(self, t_ns: int, air_c: float) -> HardInputs:
        if math.isnan(air_c):
            return HardInputs(t_ns)
        return HardInputs(
            t_ns,
            air_c=air_c,
            air_rise_c=self._features.air_rise_c,
            air_rate_c_per_min=self._features.air_rate_c_per_min,
        )

    def _quiet(self) -> bool:
        spot, air = self._features.hot_spot_rise_c, self._features.air_rise_c
        # A comparison with NaN is false: what is unknown is not called warm.
        warm = spot >= QUIET_SPOT_RISE_C or air >= QUIET_AIR_RISE_C
        return self._judge.calm and not warm

    def _declare(self) -> str | None:
        """Latch the current level if it must be; returns the event's id if the alarm rose."""
        event_id = self._event_id(self._sequence + 1)
        if not self._judge.declare(event_id):
            return None
        self._sequence += 1
        return event_id

    def _wall_ns(self, t_ns: int) -> int:
        return self._started.wall_ns + t_ns - self._started.t_ns

    def _event_id(self, sequence: int) -> str:
        return f"{self._started.device}-{self._started.boot}-{sequence}"

    def _troubles(self) -> tuple[str, ...]:
        system = [f"{name}:{why}" if why else name for name, why in sorted(self._system.items())]
        model = [self._model.trouble] if self._model.trouble else []
        drift = ["gas:drift"] if self._features.films.clean_air.exhausted else []
        deaf = ["gas:poisoned"] if self._features.films.activity.deaf else []
        mask = [self._features.mask.trouble] if self._features.mask.trouble else []
        lens = ["thermal:obstructed"] if self._features.obstruction.seen else []
        return (*self._health.troubles, *drift, *deaf, *lens, *mask, *model, *system)

    def _snapshot(self) -> "_Shown":
        judge = self._judge
        return _Shown(
            judge.level,
            judge.current,
            judge.alarm.state,
            judge.alarm.drill,
            self._health.health,
            self._troubles(),
        )

    def _outcome(
        self,
        t_ns: int,
        event_id: str | None,
        *,
        features: dict[str, float] | None = None,
        answer: Answer | None = None,
    ) -> Outcome:
        shown = self._snapshot()
        if event_id is None and (shown != self._shown or answer is not None):
            self._sequence += 1
            event_id = self._event_id(self._sequence)
        self._shown = shown
        self._last_event_id = event_id or self._last_event_id
        since_ns = t_ns - self._started.t_ns
        judge = self._judge
        return Outcome(
            t_ns=t_ns,
            t_s=round(since_ns / NS_PER_S, 6),
            wall_ns=self._wall_ns(t_ns),
            level=shown.level,
            current=shown.current,
            score=judge.last_score if features is not None else math.nan,
            reasons=judge.reasons,
            incident_id=judge.alarm.incident_id,
            health=shown.health,
            troubles=shown.troubles,
            alarm=shown.alarm,
            model=self._model.version,
            event_id=event_id,
            drill=shown.drill,
            features=features or {},
            answer=answer,
        )
