"""How a conclusion is told: as an outcome that has a new event id if it differs from the last."""

import math
from typing import NamedTuple

from firedetect.contract.level import Health, Level
from firedetect.decision.health import HealthMachine
from firedetect.decision.judge import Judge
from firedetect.decision.machine import AlarmState
from firedetect.decision.outcome import Answer, Outcome
from firedetect.readings import Started

NS_PER_S = 1_000_000_000


class _Shown(NamedTuple):
    """What an outcome tells besides the readings: the next one is due when it changes."""

    level: Level
    current: Level
    alarm: AlarmState
    drill: bool
    health: Health
    troubles: tuple[str, ...]


class Reporter:
    """Makes outcomes of what judge and health hold; ids are `<device>-<boot>-<number>`."""

    def __init__(self, judge: Judge, health: HealthMachine) -> None:
        self.last_id: str | None = None
        """The id of the newest outcome that had one."""
        self._judge = judge
        self._health = health
        self._started = Started(0, "firedetect", 0, 0, ())
        self._wall_offset_ns = 0
        self._taken = 0
        self._shown: _Shown | None = None

    def start(self, event: Started) -> None:
        """Take the device's name, its boot and the wall-clock time at the start."""
        self._started = event
        self.set_clock(event.t_ns, event.wall_ns)

    def set_clock(self, t_ns: int, wall_ns: int) -> None:
        """Take the wall-clock time that belongs to a moment, as it is known from now on."""
        self._wall_offset_ns = wall_ns - t_ns

    def wall_ns(self, t_ns: int) -> int:
        """Return the wall-clock time of a moment."""
        return self._wall_offset_ns + t_ns

    @property
    def next_id(self) -> str:
        """The event id that has not been taken yet."""
        return f"{self._started.device}-{self._started.boot}-{self._taken + 1}"

    def take_id(self) -> str:
        """Return the next event id, for one event only."""
        event_id = self.next_id
        self._taken += 1
        return event_id

    def is_new(self, troubles: tuple[str, ...]) -> bool:
        """Whether an outcome would tell something else than the last one."""
        return self._state(troubles) != self._shown

    def outcome(
        self,
        t_ns: int,
        event_id: str | None,
        troubles: tuple[str, ...],
        model: str | None,
        *,
        features: dict[str, float] | None = None,
        answer: Answer | None = None,
    ) -> Outcome:
        """Return the outcome of a moment, with the score if it has `features`.

        `event_id` is that of an alarm that rose; else one is taken if there is anything new.
        """
        state = self._state(troubles)
        if event_id is None and (state != self._shown or answer is not None):
            event_id = self.take_id()
        self._shown = state
        self.last_id = event_id or self.last_id
        judge = self._judge
        return Outcome(
            t_ns=t_ns,
            t_s=round((t_ns - self._started.t_ns) / NS_PER_S, 6),
            wall_ns=self.wall_ns(t_ns),
            level=state.level,
            current=state.current,
            score=judge.last_score if features is not None else math.nan,
            reasons=judge.reasons,
            incident_id=judge.alarm.incident_id,
            health=state.health,
            troubles=troubles,
            alarm=state.alarm,
            model=model,
            event_id=event_id,
            drill=state.drill,
            features=features or {},
            answer=answer,
        )

    def _state(self, troubles: tuple[str, ...]) -> _Shown:
        judge = self._judge
        return _Shown(
            judge.level,
            judge.current,
            judge.alarm.state,
            judge.alarm.drill,
            self._health.health,
            troubles,
        )
