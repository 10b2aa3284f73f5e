"""Room air and the four films: source, dilution, lag, cross-sensitivity, raw counts with noise."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from firedetect.features.gas import FILMS, FULL_SCALE, counts_at, log_resistance

_STEP_S = 0.5
_FLOOR_PPM = 3.0
_BETA = {"no2": 0.2, "c2h5oh": 0.38, "voc": 0.35, "co": 0.29}
_SENSITIVITY = {
    "no2": (0.05, 1.5),
    "c2h5oh": (0.2, 10.0),
    "voc": (0.3, 8.0),
    "co": (1.0, 2.5),
}
"""Equivalent ppm of each film for 1 ppm of CO and of VOC (as ethanol); design values."""
_SENSITIVITY_SPREAD = 0.7
"""Spread (of the logarithm) of the sensitivities between boards, and between kinds of VOC."""
_START_COUNTS = {
    "no2": (41.0, 0.55),
    "c2h5oh": (75.0, 0.5),
    "voc": (95.0, 0.55),
    "co": (764.0, 0.05),
}
"""Median and spread (of the logarithm) of the boards' counts in room air."""

Added = Callable[[float], tuple[float, float, float]]


@dataclass(slots=True)
class RoomAir:
    """Well-mixed concentrations above clean air: CO, CO2, VOC in ppm; advances in order of time."""

    added: Added
    air_changes_per_h: float = 0.6
    co_ppm: float = 0.0
    co2_ppm: float = 0.0
    voc_ppm: float = 0.0
    _t_s: float = 0.0

    def at(self, t_s: float) -> tuple[float, float, float]:
        """Return CO, CO2 and VOC above clean air (ppm) at `t_s`, which must not go back."""
        while self._t_s < t_s:
            step = min(_STEP_S, t_s - self._t_s)
            loss = math.exp(-self.air_changes_per_h * step / 3600.0)
            co, co2, voc = self.added(self._t_s)
            self.co_ppm = self.co_ppm * loss + co * step
            self.co2_ppm = self.co2_ppm * loss + co2 * step
            self.voc_ppm = self.voc_ppm * loss + voc * step
            self._t_s += step
        return self.co_ppm, self.co2_ppm, self.voc_ppm


@dataclass(slots=True)
class GasBoard:
    """One Grove board: its own baseline, gain and lag; `counts` advances in order of time."""

    air: RoomAir
    rng: np.random.Generator
    humidity: Callable[[float], float] = lambda _t_s: 0.0
    start: dict[str, float] = field(default_factory=dict)
    gain: float = 1.0
    rise_s: float = 12.0
    fall_s: float = 60.0
    drift_per_h: dict[str, float] = field(default_factory=dict)
    sensitivity: dict[str, tuple[float, float]] = field(default_factory=dict)
    _response: dict[str, float] = field(default_factory=lambda: dict.fromkeys(FILMS, 0.0))
    _t_s: float = 0.0

    def __post_init__(self) -> None:
        """Draw this board's counts in clean air and its sensitivities."""
        for film, pair in _SENSITIVITY.items():
            drawn_pair = [
                value * math.exp(self.rng.normal(0.0, _SENSITIVITY_SPREAD)) for value in pair
            ]
            self.sensitivity.setdefault(film, (drawn_pair[0], drawn_pair[1]))
        for film, (median, spread) in _START_COUNTS.items():
            drawn = median * math.exp(self.rng.normal(0.0, spread))
            self.start.setdefault(film, min(max(drawn, 20.0), 900.0))

    def counts(self, t_s: float) -> tuple[float, float, float, float]:
        """Return the four raw counts at `t_s`: whole numbers from 0 to 1023."""
        co, _, voc = self.air.at(t_s)
        step = max(t_s - self._t_s, 0.0)
        self._t_s = t_s
        values = []
        for film in FILMS:
            per_co, per_voc = self.sensitivity[film]
            equivalent = per_co * co + per_voc * voc
            target = self.gain * _BETA[film] * math.log1p(equivalent / _FLOOR_PPM)
            target += 0.006 * self.humidity(t_s) + self.drift_per_h.get(film, 0.0) * t_s / 3600.0
            held = self._response[film]
            lag = self.rise_s if target > held else self.fall_s
            held += (target - held) * (1.0 - math.exp(-step / lag))
            self._response[film] = held
            counts = counts_at(log_resistance(self.start[film]) - held)
            noisy = round(counts + self.rng.normal(0.0, 0.4))
            values.append(float(min(max(noisy, 1), int(FULL_SCALE) - 1)))
        return values[0], values[1], values[2], values[3]
