"""The health machine: which fire inputs are trusted, and what that makes of the detector."""

from dataclasses import dataclass, field
from enum import Enum

from firedetect.contract.level import Health
from firedetect.readings import FaultKind, Sensor, Stream

NS_PER_S = 1_000_000_000
PASSING = frozenset({FaultKind.STARTING, FaultKind.WARM_UP, FaultKind.LEARNING})
"""Faults that end by themselves while the sensor speaks; silence makes them stale."""


class Trust(Enum):
    """How many of the configured fire inputs are trusted."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


HEALTH_TABLE: dict[tuple[Health, Trust], Health] = {
    (Health.OK, Trust.ALL): Health.OK,
    (Health.OK, Trust.SOME): Health.DEGRADED,
    (Health.OK, Trust.NONE): Health.BLIND,
    (Health.DEGRADED, Trust.ALL): Health.OK,
    (Health.DEGRADED, Trust.SOME): Health.DEGRADED,
    (Health.DEGRADED, Trust.NONE): Health.BLIND,
    (Health.BLIND, Trust.ALL): Health.OK,
    (Health.BLIND, Trust.SOME): Health.DEGRADED,
    (Health.BLIND, Trust.NONE): Health.BLIND,
}
"""Every state meets every input; nothing is remembered, so health cannot hang."""


@dataclass(slots=True)
class HealthMachine:
    """Folds readings and faults of the configured sensors; silence of a sensor is a fault too."""

    health: Health = Health.BLIND
    _stale_ns: dict[Sensor, int] = field(default_factory=dict)
    _last_ns: dict[Sensor, int] = field(default_factory=dict)
    _good_ns: dict[Sensor, int] = field(default_factory=dict)
    _faults: dict[Sensor, FaultKind] = field(default_factory=dict)

    def configure(self, t_ns: int, streams: tuple[Stream, ...]) -> None:
        """Start with the configured sensors: none has spoken yet, so none is trusted."""
        self._stale_ns = {stream.sensor: round(stream.stale_s * NS_PER_S) for stream in streams}
        self._last_ns = {stream.sensor: t_ns for stream in streams}
        self._faults = {stream.sensor: FaultKind.STARTING for stream in streams}
        self._update()

    def reading(self, t_ns: int, sensor: Sensor) -> None:
        """Note a good reading: the sensor is trusted again."""
        self._last_ns[sensor] = self._good_ns[sensor] = t_ns
        self._faults.pop(sensor, None)
        self._update()

    def unready(self, t_ns: int, sensor: Sensor, kind: FaultKind) -> None:
        """Note a reading of a sensor that speaks but cannot be used yet."""
        self._last_ns[sensor] = t_ns
        self.fault(sensor, kind)

    def fault(self, sensor: Sensor, kind: FaultKind) -> None:
        """Note that a sensor is lost."""
        if sensor in self._stale_ns:
            self._faults[sensor] = kind
            self._update()

    def advance(self, t_ns: int) -> tuple[Sensor, ...]:
        """Let time pass; returns the sensors whose last reading has just become stale."""
        stale = tuple(
            sensor
            for sensor, limit in self._stale_ns.items()
            if self._faults.get(sensor, FaultKind.STARTING) in PASSING
            and t_ns - self._last_ns[sensor] > limit
        )
        for sensor in stale:
            self._faults[sensor] = FaultKind.STALE
        if stale:
            self._update()
        return stale

    def trusted(self, sensor: Sensor) -> bool:
        """Whether the sensor is configured and not lost."""
        return sensor in self._stale_ns and sensor not in self._faults

    def recent(self, t_ns: int, sensor: Sensor) -> bool:
        """Whether the last good reading of a configured sensor, lost or not, is not stale yet."""
        good_ns, limit_ns = self._good_ns.get(sensor), self._stale_ns.get(sensor)
        return good_ns is not None and limit_ns is not None and t_ns - good_ns <= limit_ns

    @property
    def troubles(self) -> tuple[str, ...]:
        """The lost sensors with the kind of their fault, as `sensor:kind`."""
        return tuple(sorted(f"{sensor}:{kind}" for sensor, kind in self._faults.items()))

    def _update(self) -> None:
        lost = len(self._faults)
        configured = len(self._stale_ns)
        trust = Trust.SOME
        if lost == 0 and configured > 0:
            trust = Trust.ALL
        elif lost >= configured:
            trust = Trust.NONE
        self.health = HEALTH_TABLE[self.health, trust]
