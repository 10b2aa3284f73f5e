"""One sitting of a gas calibration: warm-up, steady clean air, a proposal to decide on.

Fed with events only; who opens the buses and who asks the operator is not known here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from firedetect.commissioning.gas import MIN_READINGS, CleanAir
from firedetect.commissioning.sitting import NS_PER_S
from firedetect.config import GasBaseline
from firedetect.contract.level import Level
from firedetect.features.gas import FILMS, WARM_UP_S
from firedetect.readings import AirReading, Co2Reading, Event, GasCounts, Sensor, SensorFault

AIR_C: Final = (0.0, 40.0)
"""Outside, the films have another resistance than in the rooms that they will watch."""
CO2_RISE_PPM: Final = 100.0
RH_RISE_PCT: Final = 5.0
"""More than this within a sitting, and somebody breathes at the detector."""
SILENT_S: Final = 10.0
"""A board that does not answer for so long is not waited for."""
PATIENCE: Final = 3.0
"""Steady air is waited for so many times as long as it has to last."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A baseline that was found, how sure it is (counts), and the conditions it was taken in."""

    baseline: GasBaseline
    uncertainty: Mapping[str, float]
    courses: Mapping[str, list[float]]
    taken: Mapping[str, float]


@dataclass(slots=True)
class GasSession:
    """Takes events; `share` and `problem` are the progress, `proposal` and `refusal` the end."""

    powered_s: float
    """For how long the board has had power at the first event."""
    steady_s: float
    """So long the air must be steady."""
    interval_s: float = 1.0
    """Time between two readings."""
    _air: CleanAir = field(init=False)
    _began_ns: int | None = field(default=None, init=False)
    _now_ns: int = field(default=0, init=False)
    _conditions: dict[str, list[float]] = field(
        default_factory=lambda: {"air_c": [], "rh_pct": [], "co2_ppm": []}, init=False
    )
    _fault: str = field(default="", init=False)
    _lost_ns: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._air = CleanAir(window=self._wanted)

    def feed(self, event: Event) -> None:
        """Take an event of any sensor."""
        self._now_ns = event.t_ns
        if self._began_ns is None:
            self._began_ns = event.t_ns
        if isinstance(event, SensorFault) and event.sensor is Sensor.GAS:
            self._fault = event.detail
            self._lost_ns = event.t_ns if self._lost_ns is None else self._lost_ns
        elif isinstance(event, AirReading):
            self._conditions["air_c"].append(event.temp_c)
            self._conditions["rh_pct"].append(event.rh_pct)
        elif isinstance(event, Co2Reading):
            self._conditions["co2_ppm"].append(event.co2_ppm)
        elif isinstance(event, GasCounts) and self.warming_s <= 0.0:
            self._fault, self._lost_ns = "", None
            self._air.reading(event)

    def level(self, level: Level) -> None:
        """Note the level that the detector would have."""
        self._air.level(level)

    @property
    def elapsed_s(self) -> float:
        """Time since the first event."""
        return 0.0 if self._began_ns is None else (self._now_ns - self._began_ns) / NS_PER_S

    @property
    def warming_s(self) -> float:
        """How long the films still need after power-up."""
        return WARM_UP_S - self.powered_s - self.elapsed_s

    @property
    def share(self) -> float:
        """How much of the steady air has been taken, 0 to 1."""
        return min(1.0, self._air.readings / self._wanted)

    @property
    def problem(self) -> str:
        """What stands between now and a baseline, in words; empty if nothing does."""
        if self._fault:
            return f"the gas board does not answer: {self._fault}"
        if self.warming_s > 0.0:
            return f"the films are warming up, {self.warming_s:.0f} s left"
        if self.share < 1.0:
            return f"taking air, {self._air.readings} of {self._wanted} readings"
        found = self._air.baseline()
        return found if isinstance(found, str) else self._wrong_conditions()

    @property
    def over(self) -> bool:
        """Whether there is a proposal, or patience is at its end."""
        silent_ns = 0 if self._lost_ns is None else self._now_ns - self._lost_ns
        lost = silent_ns > SILENT_S * NS_PER_S
        return not self.problem or lost or self.elapsed_s > self._limit_s

    def proposal(self) -> Proposal | str:
        """Return the baseline, or why there is none."""
        found = self._air.baseline()
        if self.problem or isinstance(found, str):
            return self.problem
        return Proposal(
            found,
            {film: self._air.uncertainty(film) for film in FILMS},
            {film: self._air.course(film) for film in FILMS},
            {name: values[-1] for name, values in self._conditions.items() if values},
        )

    @property
    def _wanted(self) -> int:
        return max(MIN_READINGS, round(self.steady_s / self.interval_s))

    @property
    def _limit_s(self) -> float:
        return max(0.0, WARM_UP_S - self.powered_s) + PATIENCE * self.interval_s * self._wanted

    def _wrong_conditions(self) -> str:
        air_c = self._conditions["air_c"]
        if air_c and not AIR_C[0] <= air_c[-1] <= AIR_C[1]:
            low, high = AIR_C
            return f"the air has {air_c[-1]:.0f} °C: take it between {low:.0f} and {high:.0f}"
        for name, most in (("co2_ppm", CO2_RISE_PPM), ("rh_pct", RH_RISE_PCT)):
            values = [value for value in self._conditions[name] if math.isfinite(value)]
            rise = values[-1] - min(values) if values else 0.0
            if rise > most:
                return f"{name} rises by {rise:.0f}: somebody breathes near it"
        return ""
