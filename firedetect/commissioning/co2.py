"""One sitting of a forced recalibration of the SCD41: steady reference air, long enough."""

from collections import deque
from dataclasses import dataclass, field
from statistics import median, pstdev
from typing import Final

from firedetect.commissioning.sitting import NS_PER_S
from firedetect.readings import Co2Reading, Event, Sensor, SensorFault, SensorOpened
from firedetect.sensors.scd41.driver import SETTLED_S

READINGS: Final = 12
"""A minute of them must be steady."""
SPREAD_MAX_PPM: Final = 20.0
"""Twice the sensor's noise."""
DRIFT_MAX_PPM: Final = 15.0
"""Last quarter against the first: more is breath, or air that still changes."""
FAR_PPM: Final = 150.0
"""A correction that is larger than the sensor's accuracy and years of drift needs a person."""
SILENT_S: Final = 15.0
PATIENCE_S: Final = 900.0


@dataclass(slots=True)
class Co2Session:
    """Takes events; the sensor is to be told `target_ppm` once `problem` is empty."""

    target_ppm: int
    _values: deque[float] = field(default_factory=lambda: deque(maxlen=READINGS), init=False)
    _opened_ns: int | None = field(default=None, init=False)
    _began_ns: int | None = field(default=None, init=False)
    _now_ns: int = field(default=0, init=False)
    _lost_ns: int | None = field(default=None, init=False)
    _fault: str = field(default="", init=False)

    def feed(self, event: Event) -> None:
        """Take an event of any sensor."""
        self._now_ns = event.t_ns
        if self._began_ns is None:
            self._began_ns = event.t_ns
        if isinstance(event, SensorOpened) and event.sensor is Sensor.CO2:
            self._opened_ns = event.t_ns
            self._values.clear()
        elif isinstance(event, SensorFault) and event.sensor is Sensor.CO2:
            self._fault = event.detail
            self._lost_ns = event.t_ns if self._lost_ns is None else self._lost_ns
        elif isinstance(event, Co2Reading):
            self._fault, self._lost_ns = "", None
            self._values.append(event.co2_ppm)

    @property
    def share(self) -> float:
        """How much of the settling is over, 0 to 1."""
        return min(1.0, self._measured_s / SETTLED_S)

    @property
    def measured_ppm(self) -> float:
        """What the sensor reads."""
        return median(self._values)

    @property
    def problem(self) -> str:
        """What stands between now and the recalibration, in words; empty if nothing does."""
        if self._fault:
            return f"the sensor does not answer: {self._fault}"
        if self.share < 1.0 or len(self._values) < READINGS:
            return f"settling, {max(0.0, SETTLED_S - self._measured_s):.0f} s left"
        values = list(self._values)
        if pstdev(values) > SPREAD_MAX_PPM:
            return f"the air is not steady (spread {pstdev(values):.0f} ppm)"
        quarter = READINGS // 4
        drift = median(values[-quarter:]) - median(values[:quarter])
        if abs(drift) > DRIFT_MAX_PPM:
            return f"the air still changes ({drift:+.0f} ppm a minute): nobody may breathe near it"
        return ""

    @property
    def over(self) -> bool:
        """Whether it can be told, or patience is at its end."""
        silent_ns = 0 if self._lost_ns is None else self._now_ns - self._lost_ns
        elapsed_ns = 0 if self._began_ns is None else self._now_ns - self._began_ns
        return (
            not self.problem
            or silent_ns > SILENT_S * NS_PER_S
            or elapsed_ns > PATIENCE_S * NS_PER_S
        )

    @property
    def far(self) -> str:
        """Why the correction is larger than it should be, or nothing."""
        if self.problem or abs(self.measured_ppm - self.target_ppm) <= FAR_PPM:
            return ""
        return (
            f"the sensor reads {self.measured_ppm:.0f} ppm where {self.target_ppm} ppm should be, "
            f"more than {FAR_PPM:.0f} ppm apart"
        )

    @property
    def _measured_s(self) -> float:
        return 0.0 if self._opened_ns is None else (self._now_ns - self._opened_ns) / NS_PER_S
